import Foundation
import Logging
import TestSupport
import Testing

@testable import Shared

@Suite("Rate limit store", .needsDatabase, .hangGuard)
struct RateLimitStoreTests {
    private static let store = PostgresRateLimitStore()

    private static func demand(_ key: String, limit: Int = 10, chunk: Int = 4) -> RateLimitDemand {
        RateLimitDemand(key: key, limit: limit, chunk: chunk)
    }

    private static func minute(_ database: TestDatabase) async throws -> Int64 {
        try await database.client.query("select floor(extract(epoch from clock_timestamp()) / 60)::bigint").one(
            Int64.self)
    }

    /// What `body` gives when all of it falls into one minute of the database's clock.
    private static func inOneMinute<Result>(
        _ database: TestDatabase, _ body: (_ attempt: Int) async throws -> Result
    ) async throws -> Result {
        for attempt in 1...3 {
            let begin = try await minute(database)
            let result = try await body(attempt)
            if try await minute(database) == begin { return result }
        }
        throw TooSlow()
    }

    private struct TooSlow: Error {}

    @Test("a limit is given out in chunks up to its end; only the first refusal says so")
    func chunks() async throws {
        try await withTestDatabase { database in
            let grants = try await Self.inOneMinute(database) { attempt in
                var grants: [RateLimitGrant] = []
                for _ in 0..<5 {
                    let taken = try await Self.store.take([Self.demand("a\(attempt)")], in: database.client)
                    grants.append(try #require(taken["a\(attempt)"]))
                }
                return grants
            }
            #expect(grants.map(\.granted) == [4, 4, 2, 0, 0] && grants.map(\.taken) == [4, 8, 10, 10, 10])
            #expect(grants.map(\.isFirstRefusal) == [false, false, false, true, false])
            #expect(grants.allSatisfy { $0.remaining > .zero && $0.remaining <= .seconds(60) })
        }
    }

    @Test("a minute that is over counts no more, nor does a limit that was lowered give anything back")
    func windows() async throws {
        try await withTestDatabase { database in
            let client = database.client
            _ = try await Self.store.take([Self.demand("old", limit: 4)], in: client)
            try await client.query("update rate_limits set window_start = window_start - 1, granted = -1")
            let next = try await Self.store.take([Self.demand("old", limit: 4)], in: client)
            #expect(next["old"]?.granted == 4 && next["old"]?.taken == 4)
            // A statement that comes late counts on the row's minute, which is a later one.
            try await client.query("update rate_limits set window_start = window_start + 5")
            let late = try await Self.store.take([Self.demand("old", limit: 2)], in: client)
            #expect(late["old"]?.granted == 0 && late["old"]?.taken == 4 && late["old"]?.isFirstRefusal == true)
            #expect(try #require(late["old"]?.remaining) > .seconds(240))
            let small = try await Self.store.take([Self.demand("small", limit: 3, chunk: 5)], in: client)
            #expect(small["small"]?.granted == 3)
        }
    }

    @Test(
        "many clients that take many keys at once get each key's limit exactly, and never wait for each other for ever")
    func concurrent() async throws {
        try await withTestDatabase { database in
            let granted = try await Self.inOneMinute(database) { attempt in
                try await Self.takeAll(database, keys: (0..<50).map { "key \(attempt) \($0)" })
            }
            #expect(granted.count == 50 && granted.values.allSatisfy { $0 == 10 }, "\(granted)")
        }
    }

    /// Six clients ask for all keys again and again, in orders of their own. Gives what each key gave.
    private static func takeAll(_ database: TestDatabase, keys: [String]) async throws -> [String: Int] {
        try await withThrowingTaskGroup(of: [String: Int].self) { group in
            for _ in 0..<6 {
                group.addTask {
                    let client = PostgresClient(settings: database.settings, logger: Logger(label: "test"))
                    var sums: [String: Int] = [:]
                    do {
                        for _ in 0..<8 {
                            let demands = keys.shuffled().map { demand($0, chunk: 3) }
                            for (key, grant) in try await store.take(demands, in: client) {
                                sums[key, default: 0] += grant.granted
                            }
                        }
                    } catch {
                        await client.close()
                        throw error
                    }
                    await client.close()
                    return sums
                }
            }
            return try await group.reduce(into: [:]) { $0.merge($1, uniquingKeysWith: +) }
        }
    }

    @Test("old rows go, a bounded number at a time; those of this minute and the last stay")
    func purge() async throws {
        try await withTestDatabase { database in
            let client = database.client
            _ = try await Self.store.take((0..<10).map { Self.demand("\($0)") }, in: client)
            #expect(try await Self.store.purge(limit: 100, in: client) == 0)
            try await client.query("update rate_limits set window_start = window_start - 3 where key <= '6'")
            #expect(try await Self.store.purge(limit: 5, in: client) == 5)
            #expect(try await Self.store.purge(limit: 5, in: client) == 2)
            #expect(try await client.query("select count(*) from rate_limits").one(Int.self) == 3)
        }
    }
}
