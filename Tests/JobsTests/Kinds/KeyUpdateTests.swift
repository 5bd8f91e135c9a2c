import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("key.update", .needsDatabase, .hangGuard)
struct KeyUpdateTests {
    private func withUser(_ body: @Sendable (KindBench, User) async throws -> Void) async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 1000
        try await KindBench.run(settings: settings) { bench in
            for model in ["claude", "gpt"] { try await bench.addModel(model) }
            try await body(bench, try await bench.addUser(isSynced: true))
        }
    }

    private func row(_ created: CreatedKey, _ bench: KindBench) -> FakeLiteLLM.Row {
        bench.litellm.state.keys[created.key.hash] ?? [:]
    }

    @Test("sets, replaces and clears every limit, and reads that back")
    func limits() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user) {
                $0.limits.spending = SpendingLimits(maxBudget: 5, budgetDuration: "monthly", tpmLimit: 10, rpmLimit: 2)
                $0.limits.maxParallelRequests = 3
                $0.limits.modelRpmLimit = ["gpt": 4]
                $0.expiresAt = Date() + 86_400
            }
            try await bench.runAll()
            #expect(row(created, bench)["max_budget"] == 5 && row(created, bench)["expires"] != nil)

            try await bench.database.subscribe(user.id, to: ["claude"])
            let job = try await bench.change(created) {
                $0.maxBudget = .set(7)
                $0.budgetDuration = .clear
                $0.tpmLimit = .clear
                $0.rpmLimit = .set(0)
                $0.maxParallelRequests = .clear
                $0.modelRpmLimit = .set(["claude": 9])
                $0.expiresAt = .clear
                $0.modelIds = ["claude", "gpt"]
                $0.metadata = ["note": "new"]
            }
            #expect(try await bench.row(created).sync.status == .pending)
            let output = try #require(try await bench.attempt(job ?? 0) as? KeyUpdate.Output)
            #expect(output.outcome == "applied" && output.changed.contains("maxBudget"))
            let stored = row(created, bench)
            #expect(stored["max_budget"] == 7 && stored["rpm_limit"] == 0)
            #expect(stored["budget_duration"] == nil && stored["tpm_limit"] == nil)
            #expect(stored["max_parallel_requests"] == nil && stored["expires"] == nil)
            #expect(stored["model_rpm_limit"] == ["claude": 9])
            #expect(stored["metadata", default: [:]]["client"] == ["note": "new"])
            #expect(stored["metadata", default: [:]]["version"] == 2)
            #expect(try await bench.row(created).sync.isSynced)
        }
    }

    @Test("survives death between any two steps")
    func deaths() async throws {
        try await withUser { bench, user in
            try await bench.everyDeath(atLeast: 3) {
                let created = try await bench.addKey(user)
                try await bench.runAll()
                bench.litellm.change { $0.calls = [] }
                let job = try await bench.change(created) { $0.maxBudget = .set(3) }
                return (created, try #require(job))
            } check: { created, death in
                #expect(row(created, bench)["max_budget"] == 3, "\(death)")
                let stored = try await bench.row(created)
                #expect(stored.sync.isSynced, "\(death)")
            }
        }
    }

    @Test("several changes before it starts are one, and what is ours alone needs no job")
    func coalesces() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            for _ in 1...2 {
                let job = try await bench.change(created) { $0.name = .set("other") }
                #expect(job == nil)
            }
            let first = try await bench.change(created) { $0.maxBudget = .set(3) }
            let second = try await bench.change(created) { $0.maxBudget = .set(4) }
            #expect(first == second)
            try await bench.runAll()
            #expect(row(created, bench)["max_budget"] == 4)
            let entries = try await PostgresAuditStore().entries(
                resourceType: "api_key", resourceId: created.key.id.text, limit: 10, in: bench.database)
            #expect(entries.count { $0.action == "API_KEY_UPDATE" } == 3)
            let last = try #require(entries.first { $0.action == "API_KEY_UPDATE" })
            #expect(last.newValues?["maxBudget"]?.doubleValue == 4 && last.oldValues?["maxBudget"]?.doubleValue == 3)
        }
    }

    @Test("a budget by model without a licence is a warning, not a failure")
    func enterpriseOnly() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            bench.litellm.fail(
                "/key/update",
                .answer(403, ["error": ["message": "You must be a LiteLLM Enterprise user to use this feature."]]))
            let job = try await bench.change(created) {
                $0.modelMaxBudget = .set(["gpt": ["budgetLimit": 5]])
                $0.tpmLimit = .set(8)
            }
            let output = try #require(try await bench.attempt(job ?? 0) as? KeyUpdate.Output)
            #expect(output.warnings.map(\.field) == ["modelMaxBudget"])
            #expect(row(created, bench)["tpm_limit"] == 8)
            #expect(try await bench.row(created).warnings.map(\.code) == [LiteLLMError.Code.enterpriseOnly])
        }
    }

    @Test("a key that LiteLLM has lost is said to be lost, and rotating it helps")
    func lost() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            bench.litellm.change { $0.keys = [:] }
            let job = try #require(try await bench.change(created) { $0.tpmLimit = .set(8) })
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job) }
            #expect(failure?.info.code == "key_lost" && failure?.info.errorClass == .permanent)
            try await bench.end(job, as: .failed, code: "key_lost")
            #expect(try await bench.row(created).sync.status == .failed)
            let rotated = try await bench.rotate(created)
            try await bench.runAll()
            #expect(bench.litellm.state.keys[APIKeySecret.hash(of: rotated.secret)]?["tpm_limit"] == 8)
            #expect(try await bench.row(created).sync.isSynced)
        }
    }

    @Test("refuses what cannot be")
    func refused() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            let cases: [(ProvisioningError.Code, @Sendable (inout APIKeyChange) -> Void)] = [
                (.notSubscribed, { $0.modelIds = ["gpt", "claude"] }), (.unknownModels, { $0.modelIds = ["nope"] }),
                (.noModels, { $0.modelIds = [] }), (.expiryInPast, { $0.expiresAt = .set(Date() - 1) }),
                (.invalidLimit, { $0.maxBudget = .set(-1) }), (.invalidLimit, { $0.budgetDuration = .set("often") }),
            ]
            for (code, change) in cases {
                let error = await #expect(throws: ProvisioningError.self) {
                    try await bench.change(created, change)
                }
                #expect(error?.code == code)
            }
            _ = try await bench.revoke(created)
            let error = await #expect(throws: ProvisioningError.self) {
                try await bench.change(created) { $0.tpmLimit = .set(1) }
            }
            #expect(error?.code == .keyNotFound)
        }
    }
}

extension KindBench {
    /// Changes a key as an administrator does; gives the job.
    @discardableResult
    func change(
        _ created: CreatedKey, isSelfService: Bool = false, _ body: @Sendable (inout APIKeyChange) -> Void
    ) async throws -> Int64? {
        var change = APIKeyChange()
        body(&change)
        let wanted = change
        return try await database.withTransaction { transaction in
            try await provisioning.change(
                created.key.id, wanted, isSelfService: isSelfService, by: actor, in: transaction
            ).job?.id
        }
    }

    /// Rotates a key.
    func rotate(_ created: CreatedKey, grace: Duration = .zero) async throws -> RotatedKey {
        try await database.withTransaction { transaction in
            try await provisioning.rotate(created.key.id, grace: grace, by: actor, in: transaction)
        }
    }
}
