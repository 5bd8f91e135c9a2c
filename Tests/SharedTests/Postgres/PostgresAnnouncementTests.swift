import Logging
import Shared
import TestSupport
import Testing

/// What travels with a statement and runs after its commit.
@Suite(.needsDatabase, .hangGuard) struct PostgresAnnouncementTests {
    private let failures = EventRecorder<PostgresError>()

    private func announcement(_ query: PostgresQuery) -> PostgresAnnouncement {
        PostgresAnnouncement(query) { [failures] in failures.record($0) }
    }

    private func withTables(_ body: @Sendable (TestDatabase) async throws -> Void) async throws {
        try await withEmptyTestDatabase(configure: { $0.maxConnections = 1 }) { db in
            try await db.client.query("create table t (id int primary key)")
            try await db.client.query("create table told (transaction xid8, seen int)")
            try await body(db)
        }
    }

    @Test func itRunsInATransactionOfItsOwnAfterTheCommit() async throws {
        try await withTables { db in
            let rows = try await db.client.query(
                "insert into t values (1) returning pg_current_xact_id()::text",
                announcing: announcement("insert into told select pg_current_xact_id(), count(*) from t"))
            let first = try rows.one(String.self)
            // One connection: this comes after the announcement.
            let (other, seen) = try await db.client.query("select transaction::text, seen from told")
                .one(String.self, Int.self)
            #expect(other != first)
            #expect(seen == 1)
            #expect(failures.values.isEmpty)
        }
    }

    @Test func itsFailureLeavesTheStatementCommitted() async throws {
        try await withTables { db in
            let tooLong = String(repeating: "x", count: 9_000)
            for id in 1...3 {
                let rows = try await db.client.query(
                    "insert into t values (\(id)) returning id",
                    announcing: announcement("select pg_notify('jobs', \(tooLong)::text)"))
                #expect(try rows.one(Int.self) == id)
            }
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 3)
            #expect(failures.values.map(\.sqlState) == ["22023", "22023", "22023"])
            #expect(db.client.statistics.connects == 1)
        }
    }

    @Test func aFailedStatementIsToldAndTheConnectionGoesOn() async throws {
        try await withTables { db in
            for _ in 0..<2 {
                let error = try await postgresError {
                    try await db.client.query(
                        "insert into t values (1), (1)",
                        announcing: announcement("insert into told select pg_current_xact_id(), count(*) from t"))
                }
                #expect(error.isUniqueViolation("t_pkey"))
            }
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 0)
            #expect(failures.values.isEmpty)
            #expect(db.client.statistics.connects == 1)
        }
    }

    @Test func statementsMadeStaleAreSentAgain() async throws {
        try await withTables { db in
            let read: PostgresQuery = "select * from t"
            let tell: PostgresQuery = "insert into told select pg_current_xact_id(), count(*) from t"
            #expect(try await db.client.query(read, announcing: announcement(tell)).columns == ["id"])
            try await db.client.query("alter table t add b text")
            #expect(try await db.client.query(read, announcing: announcement(tell)).columns == ["id", "b"])
            #expect(failures.values.isEmpty)
            try await db.client.query("deallocate all")
            #expect(try await db.client.query(read, announcing: announcement(tell)).columns == ["id", "b"])
            // The announcement alone is not worth another attempt, but the next one arrives.
            #expect(try await db.client.query(read, announcing: announcement(tell)).columns == ["id", "b"])
            #expect(failures.values.allSatisfy { $0.sqlState == "26000" })
            #expect(try await db.client.value("select count(*) from told", as: Int.self) >= 3)
            #expect(db.client.statistics.connects == 1)
        }
    }

    /// The caller goes on while the announcement waits for a lock; its time limit ends it, not the connection.
    @Test func nobodyWaitsForIt() async throws {
        try await withEmptyTestDatabase(configure: { $0.statementTimeout = .seconds(2) }) { db in
            try await db.client.query("create table t (id int)")
            try await db.client.query("create table told (id int)")
            try await db.client.withTransaction { blocker in
                try await blocker.query("lock table told in access exclusive mode")
                let rows = try await db.client.query(
                    "insert into t values (1) returning id", announcing: announcement("insert into told values (1)"))
                #expect(try rows.one(Int.self) == 1)
                #expect(failures.values.isEmpty)
                try await eventually("the announcement is given up") { !failures.values.isEmpty }
            }
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 1)
            #expect(try await db.client.value("select count(*) from told", as: Int.self) == 0)
        }
    }

    @Test func aLostConnectionLosesItAndSaysSo() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int)")
            let rows = try await db.client.query(
                "insert into t values (1) returning id",
                announcing: announcement("select pg_terminate_backend(pg_backend_pid())"))
            #expect(try rows.one(Int.self) == 1)
            try await eventually("the loss is told") { !failures.values.isEmpty && db.client.statistics.total == 0 }
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 1)
        }
    }
}
