import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct PostgresCopyTests {
    private struct Broken: Error, Equatable {}

    private func withTable(_ body: @Sendable (TestDatabase) async throws -> Void) async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int primary key, v text)")
            try await body(db)
        }
    }

    private static let statement: PostgresQuery = "copy t (id, v) from stdin"

    @Test func rowsArriveAsTheyAre() async throws {
        try await withTable { db in
            let values: [String?] = ["plain", nil, "", "tab\tnew\nline\rback\\slash \\N", "ünï🦆"]
            let rows = values.enumerated().map { PostgresCopyText.row(["\($0.offset)", $0.element]) }
            let stored = try await db.client.copyIn(Self.statement, rows: rows)
            #expect(stored == values.count)
            let back = try await db.client.query("select v from t order by id")
            #expect(try back.map { try $0.decode(String?.self) } == values)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 5)
        }
    }

    @Test func manyRowsAreStreamed() async throws {
        try await withTable { db in
            let text = String(repeating: "x", count: 200)
            let rows = AsyncStream<[UInt8]> { continuation in
                for id in 0..<50_000 { continuation.yield(PostgresCopyText.row(["\(id)", text])) }
                continuation.finish()
            }
            let stored = try await db.client.copyIn(Self.statement, rows: rows)
            #expect(stored == 50_000)
            let nothing = try await db.client.copyIn(Self.statement, rows: [[UInt8]]())
            #expect(nothing == 0)
        }
    }

    @Test func badDataStoresNothing() async throws {
        try await withTable { db in
            let rows = (0..<10_000).map { PostgresCopyText.row([$0 == 5000 ? "secret-value" : "\($0)", "v"]) }
            let error = try await postgresError { try await db.client.copyIn(Self.statement, rows: rows) }
            #expect(error.sqlState == "22P02")
            #expect(!error.description.contains("secret-value"))
            let duplicate = try await postgresError {
                try await db.client.copyIn(Self.statement, rows: [1, 1].map { PostgresCopyText.row(["\($0)", nil]) })
            }
            #expect(duplicate.isUniqueViolation("t_pkey"))
            let noTable = try await postgresError {
                try await db.client.copyIn("copy nowhere from stdin", rows: rows)
            }
            #expect(noTable.sqlState == "42P01")
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
            #expect(db.client.statistics.total == 1)
        }
    }

    @Test func aFailingSourceStoresNothing() async throws {
        try await withTable { db in
            let rows = AsyncThrowingStream<[UInt8], any Error> { continuation in
                for id in 0..<5000 { continuation.yield(PostgresCopyText.row(["\(id)", "v"])) }
                continuation.finish(throwing: Broken())
            }
            await #expect(throws: Broken()) { try await db.client.copyIn(Self.statement, rows: rows) }
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func cancellationStoresNothing() async throws {
        try await withTable { db in
            let (rows, feed) = AsyncStream.makeStream(of: [UInt8].self)
            let task = Task { try await db.client.copyIn(Self.statement, rows: rows) }
            feed.yield(PostgresCopyText.row(["1", "v"]))
            try await eventually("COPY has begun") { try await db.client.backendsRunning("copy t (id") == 1 }
            task.cancel()
            #expect(try await postgresError { try await task.value }.code == .cancelled)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func anEndlessSourceRunsIntoTheLimit() async throws {
        try await withTable { db in
            try await db.client.query("create table endless (v text)")
            let chunk = PostgresCopyText.row([String(repeating: "x", count: 100_000)])
            let rows = AsyncStream { chunk }
            let error = try await postgresError {
                try await db.client.copyIn("copy endless from stdin", rows: rows, timeout: .milliseconds(200))
            }
            #expect(error.code == .timeout)
            let count = try await db.client.value("select count(*) from endless", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func aSourceThatStallsCostsTheConnection() async throws {
        try await withTable { db in
            // The server does not look for a cancellation while it waits for data, so the connection is closed.
            let rows = AsyncThrowingStream<[UInt8], any Error> {
                try await eventually("the connection is closed") {
                    try await db.client.backendsRunning("copy t (id") == 0
                }
                return PostgresCopyText.row(["1", "v"])
            }
            let error = try await postgresError {
                try await db.client.copyIn(Self.statement, rows: rows, timeout: .seconds(1))
            }
            #expect(error.code == .timeout)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func copyBelongsToItsTransaction() async throws {
        try await withTable { db in
            let rows = [PostgresCopyText.row(["1", "a"]), PostgresCopyText.row(["2", "b"])]
            await #expect(throws: Broken()) {
                try await db.client.withTransaction { transaction in
                    let stored = try await transaction.copyIn(Self.statement, rows: rows)
                    #expect(stored == 2)
                    let seen = try await transaction.value("select count(*) from t", as: Int.self)
                    #expect(seen == 2)
                    throw Broken()
                }
            }
            let none = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(none == 0)
            try await db.client.withTransaction { try await $0.copyIn(Self.statement, rows: rows) }
            let two = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(two == 2)
        }
    }
}
