import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Decisions about differences", .needsDatabase, .hangGuard)
struct DriftDecisionTests {
    private func requests(_ bench: KindBench) -> ReconciliationRequests {
        ReconciliationRequests(queue: bench.services.queue)
    }

    private func refusal(_ body: () async throws -> Void) async throws -> DriftError.Code? {
        do {
            try await body()
            return nil
        } catch let error as DriftError {
            #expect(!error.message.isEmpty)
            return error.code
        }
    }

    private func adopt(
        _ finding: DriftFinding, for user: User, subscribe: Bool = false, replaceMetadata: Bool = false,
        _ bench: KindBench
    ) async throws -> EnqueuedJob {
        try await bench.database.withTransaction { transaction in
            try await requests(bench).adopt(
                finding.id, for: user.id, name: "Taken over", subscribe: subscribe, replaceMetadata: replaceMetadata,
                by: bench.actor, in: transaction
            ).job
        }
    }

    @Test("a stranger's key is adopted as it is, and from then on is one of ours")
    func adopts() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[DriftScene.hash(2)] = DriftScene.key(2, marker: false) }
            _ = try await bench.reconcile()
            let finding = try await bench.finding(.key, .foreign)
            let job = try await adopt(finding, for: scene.user, bench)
            let output = try #require(try await bench.attemptFamily(job.id) as? KeyAdopt.Output)
            let id = try #require(output.keyId.flatMap { UUID(uuidString: $0) })
            let row = try #require(try await bench.keys.find(id, in: bench.database))
            #expect(row.sync.isSynced && row.userId == scene.user.id && row.modelIds == ["gpt"])
            #expect(row.limits.spending.maxBudget == 3 && row.limits.spending.rpmLimit == 7)
            let key = bench.litellm.state.keys[DriftScene.hash(2)]
            #expect(LiteLLMMarker(metadata: key?["metadata"])?.id == id.text)
            #expect(key?["user_id"]?.stringValue == scene.user.id.text)
            let adopted = try await bench.findings(.adopted)
            #expect(adopted == ["key foreign"])
            try await bench.succeed(job.id, output)
            // Revoked as any other.
            _ = try await bench.database.withTransaction { transaction in
                try await bench.provisioning.revoke(id, reason: .deleted, by: bench.actor, in: transaction)
            }
            try await bench.runAll()
            #expect(bench.litellm.state.keys[DriftScene.hash(2)]?["blocked"] == true)
        }
    }

    @Test("nobody is subscribed by an adoption, unless that is asked for")
    func subscriptions() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[DriftScene.hash(2)] = DriftScene.key(2, marker: false) }
            _ = try await bench.reconcile()
            let finding = try await bench.finding(.key, .foreign)
            let refused = try await adopt(finding, for: scene.other, bench)
            let error = await #expect(throws: JobFailure.self) { try await bench.attemptFamily(refused.id) }
            #expect(error?.info.code == "adoption_refused" && error?.info.message.contains("gpt") == true)
            try await bench.end(refused.id, as: .failed, code: "adoption_refused")
            let open = try await bench.findings(.open)
            #expect(open == ["key foreign"])
            let job = try await adopt(finding, for: scene.other, subscribe: true, bench)
            let output = try #require(try await bench.attemptFamily(job.id) as? KeyAdopt.Output)
            #expect(output.keyId != nil)
            let granted = try await bench.keys.granted(["gpt"], to: scene.other.id, in: bench.database)
            #expect(granted == ["gpt"])
        }
    }

    @Test("an adopted key keeps its budgets by model, and loses metadata only when that is said")
    func metadata() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            var stranger = DriftScene.key(2, marker: false)
            stranger["model_max_budget"] = ["gpt": ["budget_limit": 5, "time_period": "1d"]]
            stranger["metadata"] = ["guardrails": ["pii"], "tags": ["x"], "model_rpm_limit": ["gpt": 4]]
            let (hash, row) = (DriftScene.hash(2), stranger)
            bench.litellm.change { $0.keys[hash] = row }
            _ = try await bench.reconcile()
            let finding = try await bench.finding(.key, .foreign)
            let refused = try await adopt(finding, for: scene.user, bench)
            let error = await #expect(throws: JobFailure.self) { try await bench.attemptFamily(refused.id) }
            #expect(error?.info.code == "adoption_refused")
            #expect(error?.info.message.contains("guardrails, tags. ") == true, "\(error?.info.message ?? "")")
            #expect(bench.litellm.state.keys[hash]?["metadata"] == row["metadata"])
            try await bench.end(refused.id, as: .failed, code: "adoption_refused")

            let job = try await adopt(finding, for: scene.user, replaceMetadata: true, bench)
            let output = try #require(try await bench.attemptFamily(job.id) as? KeyAdopt.Output)
            let id = try #require(output.keyId.flatMap { UUID(uuidString: $0) })
            let key = try #require(try await bench.keys.find(id, in: bench.database))
            #expect(key.limits.modelMaxBudget == ["gpt": ["budgetLimit": 5, "timePeriod": "1d"]])
            #expect(key.limits.modelRpmLimit == ["gpt": 4] && key.sync.isSynced)
            #expect(bench.litellm.state.keys[hash]?["model_max_budget"] == row["model_max_budget"])
            let entries = try await PostgresAuditStore().entries(
                resourceType: "api_key", resourceId: id.text, limit: 10, in: bench.database)
            let entry = try #require(entries.first { $0.action == "API_KEY_ADOPTED" })
            #expect(entry.newValues?["replacedMetadata"] == ["guardrails", "tags"])
        }
    }

    @Test("what cannot be decided so is refused, with what to do instead")
    func refusals() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            _ = try await bench.reconcile()
            let requests = requests(bench)
            let foreign = try await bench.finding(.key, .foreign)
            let unknown = try await bench.finding(.key, .unknown)
            let missing = try await bench.finding(.key, .missing)
            let user = try await bench.finding(.user, .foreign)
            let team = try await bench.finding(.team, .foreign)
            try await bench.database.withTransaction { transaction in
                let actor = bench.actor
                func adopt(_ id: Int64) async throws {
                    _ = try await requests.adopt(
                        id, for: scene.user.id, name: nil, subscribe: false, by: actor, in: transaction)
                }
                let codes = [
                    try await refusal { _ = try await requests.repair(foreign.id, by: actor, in: transaction) },
                    try await refusal { _ = try await requests.repair(unknown.id, by: actor, in: transaction) },
                    try await refusal {
                        _ = try await requests.revoke(missing.id, confirm: nil, by: actor, in: transaction)
                    },
                    try await refusal {
                        _ = try await requests.revoke(user.id, confirm: "somebody", by: actor, in: transaction)
                    },
                    try await refusal { try await adopt(user.id) },
                    try await refusal { try await adopt(team.id) },
                    try await refusal { try await adopt(missing.id) },
                ]
                #expect(codes == Array(repeating: .impossible, count: 7))
                let unconfirmed = try await refusal {
                    _ = try await requests.revoke(foreign.id, confirm: "another", by: actor, in: transaction)
                }
                let unnamed = try await refusal {
                    _ = try await requests.revoke(unknown.id, confirm: nil, by: actor, in: transaction)
                }
                #expect(unconfirmed == .unconfirmed && unnamed == .unconfirmed)
                let unheard = try await refusal { _ = try await requests.repair(1 << 40, by: actor, in: transaction) }
                #expect(unheard == .notFound)
            }
        }
    }

    @Test("a stranger's key is revoked when a person names it")
    func revokes() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            _ = try await bench.reconcile()
            let foreign = try await bench.finding(.key, .foreign)
            let job = try await bench.database.withTransaction { transaction in
                try await requests(bench).revoke(
                    foreign.id, confirm: "stranger-2", by: bench.actor, in: transaction
                ).job
            }
            let output = try await bench.attemptFamily(job.id) as? DriftSettle.Output
            #expect(output?.outcome == .revoked)
            #expect(bench.litellm.state.keys[DriftScene.hash(2)]?["blocked"] == true)
        }
    }

    @Test("a key that LiteLLM does not refuse holds a comparison up for ten minutes only; its refusal goes on")
    func irrefusable() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[scene.revoked.key.hash]?["blocked"] = false }
            _ = try await bench.reconcile()
            let finding = try await bench.finding(.key, .alive)
            let job = try await bench.database.withTransaction { transaction in
                try await requests(bench).repair(finding.id, by: bench.actor, in: transaction).job
            }
            await #expect(throws: JobSnooze.self) { try await bench.attempt(job.id) }
            let refusal = try #require(try await bench.jobs(KeyRevoke.self).first)
            let isChild = try await bench.database.query("select parent_id is not null from jobs where id = \(refusal)")
                .one(Bool.self)
            #expect(!isChild)
            // It waits, and puts no other in.
            await #expect(throws: JobSnooze.self) { try await bench.attempt(job.id) }
            try await bench.database.query("update drift_findings set settling_since = now() - interval '11 minutes'")
            let output = try #require(try await bench.attempt(job.id) as? DriftSettle.Output)
            #expect(output.outcome == .failed)
            let (open, live) = (try await bench.findings(.open), try await bench.jobs(KeyRevoke.self))
            #expect(open == ["key alive"] && live == [refusal])
            try await bench.succeed(job.id, output)
            // Later it is refused after all.
            try await bench.attempt(refusal)
            try await bench.finish(refusal)
            _ = try await bench.reconcile()
            let left = try await bench.findings(.open, .repairing)
            #expect(left == [] && bench.litellm.state.keys[scene.revoked.key.hash]?["blocked"] == true)
        }
    }

    @Test("a job is not waited for without end")
    func busy() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[scene.keys[1].key.hash]?["max_budget"] = 99 }
            _ = try await bench.reconcile()
            let finding = try await bench.finding(.key, .differs)
            _ = try await bench.services.queue.enqueue(KeyUpdate(keyId: scene.keys[1].key.id))
            let job = try await bench.database.withTransaction { transaction in
                try await requests(bench).repair(finding.id, by: bench.actor, in: transaction).job
            }
            await #expect(throws: JobSnooze.self) { try await bench.attempt(job.id) }
            try await bench.database.query("update drift_findings set settling_since = now() - interval '11 minutes'")
            let output = try await bench.attempt(job.id) as? DriftSettle.Output
            #expect(output?.outcome == .failed)
            let open = try await bench.findings(.open)
            #expect(open == ["key differs maxBudget"])
        }
    }

    @Test("a job whose action does not fit its finding ends for good and changes nothing")
    func impossible() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            _ = try await bench.reconcile()
            bench.litellm.change { $0.calls = [] }
            let subject = DriftSubject(object: .key, id: DriftScene.hash(1), kind: .unknown)
            let job = try await bench.services.queue.enqueue(DriftSettle(subject: subject, action: .repair))
            let error = await #expect(throws: JobFailure.self) { try await bench.attempt(job.id) }
            #expect(error?.info.errorClass == .permanent && error?.info.code == "impossible_repair")
            #expect(bench.litellm.state.calls == [])
        }
    }

    // MARK: Deaths

    @Test("a walk whose process dies at any call finds the same")
    func walkDeaths() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            scene.spoil(bench.litellm)
            try await bench.everyDeath(atLeast: 6) {
                try await bench.database.query("delete from drift_findings")
                return ((), try await bench.services.queue.enqueue(ReconcileOrphans()).id)
            } check: { _, death in
                let findings = try await bench.findings(.open)
                #expect(findings == DriftScene.findings, "\(death)")
            }
        }
    }

    @Test("the refusal of an orphan whose process dies at any call is carried out once", arguments: [false, true])
    func orphanDeaths(isDeletion: Bool) async throws {
        try await KindBench.run { bench in
            try await bench.everyDeath(atLeast: 2) {
                bench.litellm.change { state in
                    state.deletedKeys = [:]
                    var key = DriftScene.key(1, marker: true)
                    if isDeletion { key["blocked"] = true }
                    state.keys[DriftScene.hash(1)] = key
                }
                let kind = OrphanRevoke(hash: DriftScene.hash(1), isDeletion: isDeletion)
                return ((), try await bench.services.queue.enqueue(kind).id)
            } check: { _, death in
                let key = bench.litellm.state.keys[DriftScene.hash(1)]
                #expect(isDeletion ? key == nil : key?["blocked"] == true, "\(death)")
            }
        }
    }

    @Test("a repair whose process dies at any call is carried out all the same")
    func settleDeaths() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            let hash = scene.keys[1].key.hash
            var died = true
            var call = 0
            while died {
                call += 1
                bench.litellm.change { $0.keys[hash]?["max_budget"] = 99 }
                try await bench.database.query("delete from drift_findings")
                _ = try await bench.reconcile()
                let finding = try await bench.finding(.key, .differs)
                let job = try await bench.database.withTransaction { transaction in
                    try await requests(bench).repair(finding.id, by: bench.actor, in: transaction).job
                }
                do {
                    died = try await bench.dies(job.id, atCall: call, afterEffect: false)
                } catch is JobWaitForChildren {
                    died = false
                }
                let output = try await bench.attemptFamily(job.id) as? DriftSettle.Output
                #expect(output?.outcome == .repaired, "death at call \(call)")
                #expect(bench.litellm.state.keys[hash]?["max_budget"] == nil)
                try await bench.database.query("delete from jobs")
            }
            #expect(call > 1)
        }
    }
}
