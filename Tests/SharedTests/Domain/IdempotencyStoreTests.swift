import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct IdempotencyStoreTests {
    private let store = PostgresIdempotencyStore()
    private let scope = IdempotencyScope(caller: "alice", method: "POST", path: "/api/v1/api-keys", key: "k")

    private func claim(_ body: String, wait: Duration = .seconds(5), in client: PostgresClient) async throws
        -> IdempotencyClaim
    {
        try await client.withTransaction { try await store.claim(scope, bodyHash: body, wait: wait, in: $0) }
    }

    @Test func answersARepetitionWithTheFirstAnswer() async throws {
        try await withTestDatabase { test in
            let answer = StoredAnswer(status: 202, body: ["id": "x"], headers: ["Location": "/api/v1/jobs/1"])
            let first = try await test.client.withTransaction { transaction in
                let claim = try await store.claim(scope, bodyHash: "b1", wait: .seconds(5), in: transaction)
                try await store.store(answer, for: scope, in: transaction)
                return claim
            }
            #expect(first == .first)
            #expect(try await claim("b1", in: test.client) == .answered(answer))
            #expect(try await claim("b2", in: test.client) == .otherBody)
        }
    }

    @Test func aRequestThatFailedCanBeRepeated() async throws {
        try await withTestDatabase { test in
            struct Refused: Error {}
            await #expect(throws: Refused.self) {
                try await test.client.withTransaction { transaction in
                    _ = try await store.claim(scope, bodyHash: "b1", wait: .seconds(5), in: transaction)
                    throw Refused()
                }
            }
            let claim = try await claim("b2", in: test.client)
            #expect(claim == .first)
        }
    }

    @Test func theSecondRequestWaitsForTheFirst() async throws {
        try await withTestDatabase { test in
            let claimed = AsyncStream<Void>.makeStream()
            let proceed = AsyncStream<Void>.makeStream()
            let answer = StoredAnswer(status: 201, body: nil, headers: [:])
            let first = Task {
                try await test.client.withTransaction { transaction in
                    _ = try await store.claim(scope, bodyHash: "b", wait: .seconds(5), in: transaction)
                    claimed.continuation.yield()
                    for await _ in proceed.stream { break }
                    try await store.store(answer, for: scope, in: transaction)
                }
            }
            for await _ in claimed.stream { break }
            // Not for ever: it gives up while the first one is still at work.
            await #expect(throws: IdempotencyInProgress.self) {
                try await claim("b", wait: .milliseconds(20), in: test.client)
            }
            let second = Task { try await claim("b", wait: .seconds(60), in: test.client) }
            try await waitUntilSomebodyWaitsForALock(test.client)
            proceed.continuation.yield()
            try await first.value
            #expect(try await second.value == .answered(answer))
        }
    }

    private func waitUntilSomebodyWaitsForALock(_ client: PostgresClient) async throws {
        let deadline = ContinuousClock.now + .seconds(20)
        while ContinuousClock.now < deadline {
            let waiting = try await client.query(
                """
                select count(*) from pg_stat_activity
                where datname = current_database() and wait_event_type = 'Lock' and query like 'insert into idempotency%'
                """
            ).one(Int.self)
            if waiting > 0 { return }
            await Task.yield()
        }
        Issue.record("nobody waits for the first request")
    }

    @Test func keepsTheLockLimitOfTheTransaction() async throws {
        try await withTestDatabase { test in
            let limits = try await test.client.withTransaction { transaction in
                _ = try await store.claim(scope, bodyHash: "b", wait: .milliseconds(7), in: transaction)
                return try await transaction.query("select current_setting('lock_timeout')").one(String.self)
            }
            #expect(limits == "0")
        }
    }

    @Test func scopesAreApartAndOldKeysGo() async throws {
        try await withTestDatabase { test in
            _ = try await claim("b", in: test.client)
            var other = scope
            other.caller = "bob"
            let foreign = other
            let claim = try await test.client.withTransaction { transaction in
                try await store.claim(foreign, bodyHash: "b", wait: .seconds(5), in: transaction)
            }
            #expect(claim == .first)
            #expect(try await store.purge(olderThan: .seconds(3600), limit: 10, in: test.client) == 0)
            try await test.client.query("update idempotency_keys set created_at = now() - interval '2 hours'")
            #expect(try await store.purge(olderThan: .seconds(3600), limit: 10, in: test.client) == 2)
        }
    }
}
