import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Spend and end of keys", .needsDatabase, .hangGuard)
struct KeySpendTests {
    private func withKeys(
        _ count: Int, _ body: @Sendable (KindBench, User, [CreatedKey]) async throws -> Void
    ) async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 1000
        try await KindBench.run(settings: settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            var keys: [CreatedKey] = []
            for _ in 0..<count { keys.append(try await bench.addKey(user)) }
            try await bench.runAll()
            try await body(bench, user, keys)
        }
    }

    @Test("a snapshot takes over what LiteLLM says of our keys, and of no others")
    func snapshot() async throws {
        try await withKeys(3) { bench, _, keys in
            let hashes = keys.map(\.key.hash)
            bench.litellm.change { state in
                state.keys[hashes[0]]?["spend"] = .double(0.47999999999999093)
                state.keys[hashes[0]]?["budget_reset_at"] = "2026-12-01T00:00:00Z"
                state.keys[hashes[1]]?["last_active"] = "2026-11-22T10:00:00.123000+00:00"
                state.keys["foreign"] = ["token": "foreign", "spend": 8]
            }
            let job = try await bench.services.queue.enqueue(KeysSnapshot())
            let output = try #require(try await bench.attempt(job.id) as? KeysSnapshot.Output)
            #expect(output == KeysSnapshot.Output(listed: 4, updated: 3))
            let row = try await bench.row(keys[0])
            #expect(row.currentSpend == Decimal(string: "0.48") && row.spendTakenAt != nil && row.budgetResetAt != nil)
            #expect(try await bench.row(keys[1]).lastUsedAt != nil)
            #expect(try await bench.row(keys[2]).currentSpend == 0)
        }
    }

    @Test("a reset survives death between any two steps, and one that LiteLLM carried back is done again")
    func reset() async throws {
        try await withKeys(1) { bench, user, keys in
            try await bench.everyDeath(atLeast: 3) {
                let created = try await bench.addKey(user)
                try await bench.runAll()
                let hash = created.key.hash
                bench.litellm.change { state in
                    state.keys[hash]?["spend"] = 6
                    state.calls = []
                }
                return (created, try await bench.resetSpend(created))
            } check: { (created: CreatedKey, death: String) in
                #expect(bench.litellm.state.keys[created.key.hash]?["spend"] == 0, "\(death)")
                let row = try await bench.row(created)
                #expect(row.currentSpend == 0, "\(death)")
            }
            let hash = keys[0].key.hash
            bench.litellm.change { $0.keys[hash]?["spend"] = 6 }
            let first = try await bench.resetSpend(keys[0])
            try await bench.attempt(first)
            try await bench.finish(first)
            bench.litellm.change { $0.keys[hash]?["spend"] = 6 }
            let look = try await bench.database.query(
                "select id from jobs where state = 2 and args->>'spentBefore' is not null"
            ).one(Int64.self)
            let output = try #require(try await bench.attempt(look) as? KeyResetSpend.Output)
            #expect(output.outcome == "reset" && bench.litellm.state.keys[hash]?["spend"] == 0)
        }
    }

    @Test("expired keys are taken away, each by a child; younger ones and others stay")
    func expire() async throws {
        try await withKeys(4) { bench, _, keys in
            for (created, age) in zip(keys, [7200, 3600, 60, -3600]) {
                try await bench.database.query(
                    """
                    update api_keys set expires_at = now() - make_interval(secs => \(Double(age)))
                    where id = \(created.key.id)
                    """)
            }
            let job = try await bench.services.queue.enqueue(KeysExpire(olderThanSeconds: 1800))
            for _ in 1...2 {
                _ = await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(job.id) }
            }
            let children = try await bench.jobs(KeyRevoke.self)
            #expect(children.count == 2)
            for (created, isActive) in zip(keys, [false, false, true, true]) {
                let row = try await bench.row(created)
                #expect(row.isActive == isActive)
                #expect(row.revokeReason == (isActive ? nil : .expired))
            }
            for child in children { try await bench.attempt(child) }
            #expect(bench.litellm.state.keys.values.filter { $0["blocked"] == true }.count == 2)
        }
    }
}

extension KindBench {
    /// Asks for a reset; gives the job.
    func resetSpend(_ created: CreatedKey) async throws -> Int64 {
        try await database.withTransaction { transaction in
            try await provisioning.resetSpend(created.key.id, by: actor, in: transaction).job.id
        }
    }
}
