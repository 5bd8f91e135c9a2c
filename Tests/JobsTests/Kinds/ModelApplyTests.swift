import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Models kept here", .needsDatabase, .hangGuard)
struct ModelApplyTests {
    private func output(_ bench: KindBench, _ job: Int64) async throws -> ModelApply.Output {
        let output = try #require(try await bench.attempt(job) as? ModelApply.Output)
        try await bench.finish(job)
        return output
    }

    /// The failure of the next attempt, and its end.
    private func failure(_ bench: KindBench, _ job: Int64) async throws -> JobErrorInfo {
        try await #require(throws: JobFailure.self) { try await bench.attempt(job) }.info
    }

    private func isKeyKept(_ bench: KindBench) async throws -> Bool {
        let sealed = try await PostgresSealedSecretStore().get(.modelProviderKey, rowId: "gpt", in: bench.database)
        return sealed != nil
    }

    @Test("a model is created with our id, key and marker, and is there once it was read back")
    func create() async throws {
        try await KindBench.run { bench in
            let job = try await bench.addManaged()
            #expect(try await bench.model()?.availability == .unavailable)
            let result = try await output(bench, job)
            #expect(result.created && result.changed.isEmpty && result.state == "present")
            let managed = try #require(try await bench.managed())
            #expect(managed.sync.isSynced && managed.keyApplied == 1)
            let row = try #require(bench.listed().first)
            #expect(bench.listed().count == 1)
            #expect(row["model_info"]?["id"]?.stringValue == managed.deploymentId)
            #expect(row["litellm_params"]?["model"] == "openai/backend/gpt")
            #expect(row["model_info"]?["supports_tool_choice"] == false)
            #expect(row["model_info"]?["litemaas"]?["db_model_id"] == "gpt")
            #expect(bench.litellm.state.providerKeys == [managed.deploymentId: KindBench.providerKey])
            let model = try #require(try await bench.model())
            #expect(model.availability == .available && model.restrictedAccess && model.description == "Ours")
            #expect(model.model.features == ["chat", "function_calling", "vision"])
            #expect(model.model.inputCostPerToken == Decimal(string: "0.0000025"))
            #expect(
                try await bench.models.deployments(of: "gpt", in: bench.database).map(\.id) == [managed.deploymentId])
            #expect(try await bench.audited() == ["MODEL_PROVISIONED", "MODEL_CREATE"])
        }
    }

    @Test("the provider's key is only sealed, and stays as long as the model")
    func secret() async throws {
        try await KindBench.run { bench in
            try await bench.addSynced()
            let purge = try await bench.services.queue.enqueue(SecretsPurge())
            try await bench.database.query("update sealed_secrets set created_at = now() - interval '2 days'")
            try await bench.attempt(purge.id)
            try await bench.finish(purge.id)
            #expect(try await isKeyKept(bench))
            let found = try await bench.database.query(
                """
                select count(*) from (
                    select t::text as row from model_specs t union all select t::text from models t
                    union all select t::text from jobs t union all select t::text from job_history t
                    union all select t::text from audit_logs t) as everything
                where row like '%sk-provider%'
                """)
            #expect(try found.one(Int.self) == 0)
            let job = try await bench.deleteManaged()
            _ = try await output(bench, job)
            #expect(try await !isKeyKept(bench))
        }
    }

    @Test("a change sends what differs, and a new key although LiteLLM never shows it")
    func update() async throws {
        try await KindBench.run { bench in
            let before = try await bench.addSynced()
            let job = try #require(
                try await bench.changeManaged {
                    $0.parameters.tpm = 2000
                    $0.backendModelName = "other"
                    $0.apiKey = Secret("sk-second")
                })
            let result = try await output(bench, job)
            #expect(result.changed == ["backend_model_name", "marker", "tpm", "api_key"])
            let row = try #require(bench.listed().first)
            #expect(row["litellm_params"]?["tpm"] == 2000 && row["litellm_params"]?["model"] == "openai/other")
            #expect(row["model_info"]?["id"]?.stringValue == before.deploymentId)
            #expect(bench.litellm.state.providerKeys[before.deploymentId] == "sk-second")
            #expect(try await bench.model()?.model.tpm == 2000)
            #expect(try await bench.managed()?.sync.versionApplied == 2)
            // Only ours: LiteLLM hears nothing.
            #expect(try await bench.changeManaged { $0.description = .set("New words") } == nil)
            #expect(try await bench.model()?.description == "New words")
            let restriction = try #require(try await bench.changeManaged { $0.restrictedAccess = false })
            #expect(try await bench.job(restriction) is ModelCascade)
        }
    }

    @Test("deleting removes every deployment of ours, the key and the row, and retires the model at once")
    func delete() async throws {
        try await KindBench.run { bench in
            let managed = try await bench.addSynced()
            bench.litellm.change { state in
                var twin = state.deployments[0].objectValue ?? [:]
                var info = twin["model_info"]?.objectValue ?? [:]
                info["id"] = "a-twin-of-ours"
                twin["model_info"] = .object(info)
                state.deployments.append(.object(twin))
            }
            let job = try await bench.deleteManaged()
            #expect(try await bench.model()?.availability == .unavailable)
            let result = try await output(bench, job)
            #expect(Set(result.deleted) == [managed.deploymentId, "a-twin-of-ours"] && result.stale.isEmpty)
            #expect(bench.listed().isEmpty)
            #expect(try await bench.managed() == nil)
            #expect(try await bench.model()?.deletedAt != nil)
            let cascade = try #require(try await bench.jobs(ModelCascade.self).first)
            #expect(try await bench.services.queue.job(id: cascade)?.state == .ready)
            #expect(try await bench.audited().first == "MODEL_REMOVED")
            await #expect(throws: ProvisioningError.self) { try await bench.deleteManaged() }
            // The name is free again, with another deployment.
            let again = try await bench.addSynced()
            #expect(again.deploymentId != managed.deploymentId)
            #expect(try await bench.model()?.deletedAt == nil)
        }
    }

    /// Lets the job of `start` die at each of its calls in turn, each time with a model of its own, and run again
    /// twice; then `check` looks at the model. Gives how many calls there were.
    private func diesEverywhere(
        _ bench: KindBench, afterEffect: Bool, start: (_ name: String) async throws -> Int64,
        check: (_ name: String) async throws -> Void
    ) async throws -> Int {
        var call = 0
        var died = true
        while died {
            call += 1
            let name = "gpt-\(call)"
            let job = try await start(name)
            died = try await bench.dies(job, atCall: call, afterEffect: afterEffect)
            for _ in 1...2 { try await bench.attempt(job) }
            try await bench.finish(job)
            try await check(name)
        }
        return call
    }

    @Test(
        "a death between any two calls of a create leaves one deployment, and the row says so",
        arguments: [false, true])
    func createSurvivesDeaths(afterEffect: Bool) async throws {
        try await KindBench.run { bench in
            let calls = try await diesEverywhere(bench, afterEffect: afterEffect) { name in
                try await bench.addManaged(KindBench.newModel(name))
            } check: { name in
                let managed = try #require(try await bench.managed(name))
                #expect(bench.listed(name).count == 1 && managed.sync.isSynced)
                #expect(bench.litellm.state.providerKeys[managed.deploymentId] == KindBench.providerKey)
                #expect(try await bench.model(name)?.availability == .available)
            }
            #expect(calls > 4)
        }
    }

    @Test("a death between any two calls of a change ends with the newest version", arguments: [false, true])
    func updateSurvivesDeaths(afterEffect: Bool) async throws {
        try await KindBench.run { bench in
            let calls = try await diesEverywhere(bench, afterEffect: afterEffect) { name in
                try await bench.addSynced(KindBench.newModel(name))
                return try #require(
                    try await bench.changeManaged(name) {
                        $0.parameters.rpm = 77
                        $0.apiKey = Secret("sk-second")
                    })
            } check: { name in
                let managed = try #require(try await bench.managed(name))
                #expect(bench.listed(name).count == 1 && managed.sync.isSynced)
                #expect(bench.listed(name).first?["litellm_params"]?["rpm"] == 77)
                #expect(bench.litellm.state.providerKeys[managed.deploymentId] == "sk-second")
            }
            #expect(calls > 4)
        }
    }

    @Test("a death between any two calls of a deletion leaves none", arguments: [false, true])
    func deleteSurvivesDeaths(afterEffect: Bool) async throws {
        try await KindBench.run { bench in
            let calls = try await diesEverywhere(bench, afterEffect: afterEffect) { name in
                try await bench.addSynced(KindBench.newModel(name))
                return try await bench.deleteManaged(name)
            } check: { name in
                #expect(bench.listed(name).isEmpty)
                let (managed, model) = (try await bench.managed(name), try await bench.model(name))
                #expect(managed == nil && model?.deletedAt != nil)
            }
            #expect(calls > 3)
            #expect(try await bench.jobs(ModelCascade.self).count == calls)
        }
    }

    @Test("a create that arrives after the deletion is found by the second look")
    func lateCreate() async throws {
        try await KindBench.run { bench in
            let job = try await bench.addManaged()
            bench.litellm.fail("/model/new", .held)
            await #expect(throws: (any Error).self) { try await bench.attempt(job) }
            try await bench.database.query("delete from jobs")
            let deletion = try await bench.deleteManaged()
            _ = try await output(bench, deletion)
            bench.litellm.deliverHeld()
            #expect(bench.listed().count == 1)
            // What the next listing says does not bring it back either.
            let synced = try await bench.sync()
            #expect(!synced.success && synced.newModels == 0)
            #expect(synced.errors.first?.contains("was deleted here") == true)
            #expect(try await bench.model()?.availability == .unavailable)
            let (late, jobs) = (bench.litellm.state, try await bench.jobs(ModelApply.self))
            #expect(try await bench.services.queue.job(id: jobs[0])?.state == .scheduled)
            // The sync's job finds it, and without a sync the second look does.
            for job in jobs.reversed() {
                bench.litellm.change { state in state = late }
                let found = try await output(bench, job)
                #expect(found.state == "unmanaged" && found.deleted.count == 1)
                #expect(bench.listed().isEmpty)
            }
            #expect(jobs.count == 2)
            #expect(bench.listed().isEmpty)
        }
    }

    @Test("an outcome that is unknown is read, never repeated blindly")
    func unknownOutcome() async throws {
        try await KindBench.run { bench in
            let job = try await bench.addManaged()
            bench.litellm.fail("/model/new", .connectionLost(afterEffect: true))
            await #expect(throws: LiteLLMError.self) { try await bench.attempt(job) }
            _ = try await output(bench, job)
            #expect(bench.listed().count == 1)
            #expect(bench.litellm.state.calls.filter { $0 == "POST /model/new" }.count == 1)
        }
    }

    @Test("somebody else's deployment of the name is a conflict that names both")
    func conflict() async throws {
        try await KindBench.run { bench in
            let job = try await bench.addManaged()
            bench.litellm.change { $0.deployments = [KindBench.deployment("gpt", id: "theirs", isStored: true)] }
            let info = try await failure(bench, job)
            let mine = try #require(try await bench.managed()?.deploymentId)
            #expect(info.errorClass == .conflict && info.code == "model_name_taken")
            #expect(info.message.contains("theirs") && info.message.contains(mine))
            #expect(bench.listed().count == 1)
            try await bench.end(job, as: .failed, code: "model_name_taken")
            #expect(try await bench.managed()?.sync.status == .failed)
            #expect(try await bench.audited().first == "MODEL_PROVISION_FAILED")
        }
    }

    @Test("a deployment made in LiteLLM is adopted by a change, if it is the only one")
    func adopt() async throws {
        try await KindBench.run { bench in
            bench.litellm.change {
                $0.deployments = [
                    KindBench.deployment(
                        "gpt", id: "theirs", model: "vertex_ai/gemini", isStored: true,
                        params: ["api_base": "https://a.example.com"]),
                    KindBench.deployment("two", id: "t1", isStored: true),
                    KindBench.deployment("two", id: "t2", isStored: true), KindBench.deployment("configured"),
                ]
            }
            try await bench.sync()
            let job = try #require(try await bench.changeManaged { $0.parameters.tpm = 5 })
            _ = try await output(bench, job)
            #expect(bench.listed()[0]["litellm_params"]?["tpm"] == 5)
            #expect(bench.listed()[0]["litellm_params"]?["model"] == "vertex_ai/gemini")
            #expect(bench.listed()[0]["model_info"]?["litemaas"]?["db_model_id"] == "gpt")
            for id in ["two", "configured"] {
                let refused = await #expect(throws: ProvisioningError.self) {
                    try await bench.changeManaged(id) { $0.parameters.tpm = 5 }
                }
                #expect(refused?.code == .modelConflict)
            }
            let configured = await #expect(throws: ProvisioningError.self) {
                try await bench.deleteManaged("configured")
            }
            #expect(configured?.message.contains("configuration file") == true)
            let deletion = try await bench.deleteManaged("two")
            #expect(try await output(bench, deletion).deleted == ["t1", "t2"])
        }
    }

    @Test("a replica that still lists what LiteLLM's database has lost does not hold the deletion up")
    func staleReplica() async throws {
        try await KindBench.run { bench in
            let managed = try await bench.addSynced()
            bench.litellm.change { $0.listsDeletedModels = true }
            let job = try await bench.deleteManaged()
            let result = try await output(bench, job)
            #expect(result.stale == [managed.deploymentId])
            for _ in 1...3 {
                let (synced, model) = (try await bench.sync(), try await bench.model())
                #expect(synced.errors.count == 1 && model?.availability == .unavailable)
            }
        }
    }
}
