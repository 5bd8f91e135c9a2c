import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Models that go", .needsDatabase, .hangGuard)
struct ModelRetirementTests {
    /// A bench whose LiteLLM has lost model `c` of three for good.
    private func withLostModel(_ body: @Sendable (KindBench) async throws -> Void) async throws {
        try await KindBench.run { bench in
            bench.litellm.change { state in state.deployments = ["a", "b", "c"].map { KindBench.deployment($0) } }
            try await bench.sync()
            bench.litellm.change { $0.deployments.removeLast() }
            try await bench.sync()
            try await bench.sync()
            try await body(bench)
        }
    }

    private func plan(_ bench: KindBench) async throws -> ModelRetirementPlan? {
        try await PostgresModelRetirementStore().find("c", in: bench.database)
    }

    @Test("a model that two listings lack goes after the grace; no earlier")
    func planned() async throws {
        try await withLostModel { bench in
            let plan = try #require(try await plan(bench))
            let job = try #require(try await bench.services.queue.job(id: plan.jobId))
            #expect(job.kind == "model.cascade" && job.state == .scheduled)
            #expect(job.runAt.timeIntervalSinceNow > 3000 && abs(job.runAt.timeIntervalSince(plan.dueAt)) < 1)
            #expect(try await bench.model("c")?.availability == .unavailable)
            // Further listings without it change nothing.
            try await bench.sync()
            let same = try await self.plan(bench)
            #expect(same == plan)
        }
    }

    @Test("a model that is listed again before it is due takes the plan back")
    func comesBack() async throws {
        try await withLostModel { bench in
            let plan = try #require(try await plan(bench))
            bench.litellm.change { $0.deployments.append(KindBench.deployment("c")) }
            try await bench.sync()
            #expect(try await bench.services.queue.job(id: plan.jobId)?.state == .cancelled)
            #expect(try await self.plan(bench) == nil)
            #expect(try await bench.model("c")?.availability == .available)
            #expect(try await bench.audited("c") == ["MODEL_RETIREMENT_CANCELLED", "MODEL_MARKED_UNAVAILABLE"])
        }
    }

    @Test("a model that comes back after it went has its subscriptions looked at again")
    func comesBackLate() async throws {
        try await withLostModel { bench in
            let plan = try #require(try await plan(bench))
            _ = await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(plan.jobId) }
            try await bench.finish(plan.jobId)
            bench.litellm.change { $0.deployments.append(KindBench.deployment("c")) }
            try await bench.sync()
            let jobs = try await bench.jobs(ModelCascade.self)
            #expect(jobs.count == 1 && jobs != [plan.jobId])
            #expect(try await self.plan(bench) == nil)
        }
    }

    @Test("somebody can undo it until it has begun")
    func undo() async throws {
        try await withLostModel { bench in
            let plan = try #require(try await plan(bench))
            let undo: @Sendable () async throws -> ModelRetirementPlan = {
                try await bench.database.withTransaction { transaction in
                    try await ModelRetirement(queue: bench.services.queue).undo("c", by: bench.actor, in: transaction)
                }
            }
            let undone = try await undo()
            #expect(undone == plan)
            #expect(try await bench.services.queue.job(id: plan.jobId)?.state == .cancelled)
            #expect(try await bench.model("c")?.availability == .unavailable)
            let missing = await #expect(throws: ProvisioningError.self) { _ = try await undo() }
            #expect(missing?.code == .retirementNotPlanned)
            // Nor do the next listings plan it anew.
            try await bench.sync()
            #expect(try await self.plan(bench) == nil)
        }
    }

    @Test("once it has begun it is too late")
    func begun() async throws {
        try await withLostModel { bench in
            let plan = try #require(try await plan(bench))
            try await bench.database.query(
                "update jobs set state = 1, started_at = now(), token = token + 1 where id = \(plan.jobId)")
            let refused = await #expect(throws: ProvisioningError.self) {
                try await bench.database.withTransaction { transaction in
                    _ = try await ModelRetirement(queue: bench.services.queue)
                        .undo("c", by: bench.actor, in: transaction)
                }
            }
            #expect(refused?.code == .retirementBegun)
            #expect(try await self.plan(bench) == plan)
        }
    }

    @Test("what goes with it is known before: subscriptions, keys, and keys left without any model")
    func impact() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            try await bench.addModel("other")
            let user = try await bench.addUser()
            let single = try await bench.addKey(user)
            let double = try await bench.addKey(user) { $0.modelIds = ["gpt", "other"] }
            try await bench.database.query(
                """
                insert into subscriptions (user_id, model_id, status, status_cause, quota_requests, quota_tokens)
                select \(user.id), m, 'active', 'test', 1, 1 from unnest(\(["gpt", "other"])) as m
                on conflict (user_id, model_id) do update set status = 'active'
                """)
            let impact = try await PostgresModelRetirementStore().impact(
                of: "gpt", page: PageRequest(number: 1, size: 1), in: bench.database)
            #expect(impact.subscriptions.total == 1 && impact.subscriptions.items.first?.userId == user.id)
            #expect(impact.keys.total == 2 && impact.keys.items.count == 1)
            #expect(impact.emptyKeys.items.map(\.id) == [single.key.id] && impact.emptyKeys.total == 1)
            let other = try await PostgresModelRetirementStore().impact(
                of: "other", page: PageRequest(), in: bench.database)
            #expect(other.keys.items.map(\.id) == [double.key.id] && other.keys.items.first?.modelsLeft == 1)
            #expect(other.emptyKeys.total == 0)
        }
    }

    @Test("a model that is kept here is put right, not let go, when LiteLLM loses or changes it")
    func drift() async throws {
        try await KindBench.run { bench in
            bench.litellm.change { state in state.deployments = ["a", "b"].map { KindBench.deployment($0) } }
            let managed = try await bench.addSynced()
            try await bench.sync()
            bench.litellm.change { state in state.deployments.removeAll { $0["model_name"] == "gpt" } }
            for _ in 1...3 {
                let synced = try await bench.sync()
                #expect(synced.unavailableModels == 0)
            }
            #expect(try await bench.managed()?.sync.status == .drifted)
            let job = try #require(try await bench.jobs(ModelApply.self).first)
            try await bench.attempt(job)
            try await bench.finish(job)
            #expect(bench.listed().count == 1)
            #expect(bench.litellm.state.providerKeys[managed.deploymentId] == KindBench.providerKey)
            bench.litellm.change { state in
                let index = state.deployments.firstIndex { $0["model_name"] == "gpt" } ?? 0
                var row = state.deployments[index].objectValue ?? [:]
                row["litellm_params"] = .object(
                    (row["litellm_params"]?.objectValue ?? [:]).merging(["tpm": 1]) { $1 })
                state.deployments[index] = .object(row)
            }
            try await bench.sync()
            let again = try #require(try await bench.jobs(ModelApply.self).first)
            let output = try #require(try await bench.attempt(again) as? ModelApply.Output)
            #expect(output.changed == ["tpm"])
            #expect(try await bench.managed()?.sync.isSynced == true)
        }
    }

    @Test("a listing taken while a model is being deleted does not bring it back")
    func deletedMeanwhile() async throws {
        try await KindBench.run { bench in
            bench.litellm.change { state in state.deployments = [KindBench.deployment("a")] }
            try await bench.addSynced()
            let stale = bench.litellm.state.deployments
            let deletion = try await bench.deleteManaged()
            // Before the job: LiteLLM still lists it.
            #expect(try await bench.sync().success)
            #expect(try await bench.model()?.availability == .unavailable)
            try await bench.attempt(deletion)
            try await bench.finish(deletion)
            // After it: an answer from before.
            bench.litellm.change { $0.deployments = stale }
            let synced = try await bench.sync()
            #expect(synced.errors.count == 1)
            #expect(try await bench.model()?.availability == .unavailable)
            #expect(try await bench.model()?.deletedAt != nil)
        }
    }
}
