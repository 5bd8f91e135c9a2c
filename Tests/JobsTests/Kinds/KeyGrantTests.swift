import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Keys follow subscriptions", .needsDatabase, .hangGuard)
struct KeyGrantTests {
    private func withKey(_ body: @Sendable (KindBench, User, CreatedKey) async throws -> Void) async throws {
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 1000
        try await KindBench.run(settings: settings) { bench in
            for model in ["claude", "gpt"] { try await bench.addModel(model) }
            let user = try await bench.addUser(isSynced: true)
            let created = try await bench.addKey(user) { $0.modelIds = ["claude", "gpt"] }
            try await bench.runAll()
            try await body(bench, user, created)
        }
    }

    private func models(_ created: CreatedKey, _ bench: KindBench) -> [String] {
        bench.litellm.state.keys[created.key.hash]?["models"]?.arrayValue?.compactMap(\.stringValue).sorted() ?? []
    }

    private func isBlocked(_ created: CreatedKey, _ bench: KindBench) -> Bool {
        bench.litellm.state.keys[created.key.hash]?["blocked"]?.boolValue ?? false
    }

    @Test("a lost model leaves the key, comes back with its subscription, and an empty list is never sent")
    func followsOneModel() async throws {
        try await withKey { bench, user, created in
            try await bench.setStatus("denied", of: user, model: "gpt")
            #expect(try await bench.row(created).sync.status == .pending)
            try await bench.runAll()
            #expect(models(created, bench) == ["claude"] && !isBlocked(created, bench))
            #expect(try await bench.row(created).sync.isSynced)

            try await bench.setStatus("suspended", of: user, model: "claude")
            try await bench.runAll()
            #expect(models(created, bench) == ["claude"] && isBlocked(created, bench))
            let row = try await bench.row(created)
            #expect(row.sync.isSynced && row.blockedAt != nil && !row.isUsable(at: Date()))
            #expect(row.modelIds == ["claude", "gpt"] && row.grantedModelIds == [])

            try await bench.setStatus("active", of: user, model: "gpt")
            try await bench.runAll()
            #expect(models(created, bench) == ["gpt"] && !isBlocked(created, bench))
            #expect(try await bench.row(created).isUsable(at: Date()))
        }
    }

    @Test("survives death between any two steps", arguments: ["narrowed", "emptied", "given back"])
    func deaths(change: String) async throws {
        try await withKey { bench, user, _ in
            try await bench.everyDeath(atLeast: 2) {
                try await bench.setStatus("active", of: user, model: "gpt")
                try await bench.setStatus("active", of: user, model: "claude")
                try await bench.database.query("delete from jobs")
                let created = try await bench.addKey(user) { $0.modelIds = ["claude", "gpt"] }
                try await bench.runAll()
                if change != "narrowed" {
                    try await bench.setStatus("denied", of: user, model: "gpt")
                    if change == "emptied" {
                        try await bench.runAll()
                    } else {
                        try await bench.setStatus("denied", of: user, model: "claude")
                        try await bench.runAll()
                    }
                }
                bench.litellm.change { $0.calls = [] }
                switch change {
                case "narrowed": try await bench.setStatus("denied", of: user, model: "gpt")
                case "emptied": try await bench.setStatus("denied", of: user, model: "claude")
                default: try await bench.setStatus("active", of: user, model: "gpt")
                }
                return (created, try await bench.accessJob(created))
            } check: { created, death in
                #expect(isBlocked(created, bench) == (change == "emptied"), "\(death)")
                let wanted = ["narrowed": ["claude"], "emptied": ["claude"], "given back": ["gpt"]][change]
                #expect(models(created, bench) == wanted, "\(death)")
                let row = try await bench.row(created)
                #expect(row.sync.isSynced, "\(death)")
            }
        }
    }

    @Test("an update that arrives late, behind a newer refusal, is looked for and taken back")
    func lateUpdate() async throws {
        try await withKey { bench, user, created in
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.runAll()
            try await bench.setStatus("active", of: user, model: "gpt")
            bench.litellm.fail("/key/update", .held)
            let job = try await bench.accessJob(created)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(job) }
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.runAll()
            #expect(models(created, bench) == ["claude"])
            bench.litellm.deliverHeld()
            #expect(models(created, bench) == ["claude", "gpt"])
            let look = try #require(try await bench.jobs(KeyAccess.self).first)
            #expect(try await bench.services.queue.job(id: look)?.state == .scheduled)
            _ = try await bench.attempt(look)
            #expect(models(created, bench) == ["claude"])
        }
    }

    @Test("a look that comes too early for a newer call is followed by another one")
    func lookTooEarly() async throws {
        try await withKey { bench, user, created in
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.runAll()
            let look = try #require(try await bench.jobs(KeyAccess.self).first)
            try await bench.attempt(look)
            try await bench.finish(look)
            #expect(try await bench.jobs(KeyAccess.self).count == 1)
            try await bench.database.query("update api_keys set late_calls_until = now() - interval '1 second'")
            let next = try #require(try await bench.jobs(KeyAccess.self).first)
            try await bench.attempt(next)
            try await bench.finish(next)
            #expect(try await bench.jobs(KeyAccess.self).isEmpty)
        }
    }

    @Test("a key that is created when its models are gone is refused from its beginning")
    func createdWithout() async throws {
        try await withKey { bench, user, _ in
            let created = try await bench.addKey(user) { $0.modelIds = ["gpt"] }
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.attempt(created.job.id)
            #expect(isBlocked(created, bench))
            #expect(try await bench.row(created).sync.isSynced == true)
            try await bench.finish(created.job.id)
            try await bench.setStatus("active", of: user, model: "gpt")
            try await bench.runAll()
            #expect(!isBlocked(created, bench) && models(created, bench) == ["gpt"])
        }
    }

    @Test("neither an expiry that has passed nor a marker that is gone keeps a key its models")
    func insists() async throws {
        try await withKey { bench, user, created in
            let hash = created.key.hash
            try await bench.setStatus("denied", of: user, model: "gpt")
            let job = try await bench.accessJob(created)
            bench.litellm.change { $0.keys[hash]?["metadata"] = [:] }
            try await bench.database.query("update api_keys set expires_at = now() - interval '1 second'")
            try await bench.attempt(job)
            #expect(models(created, bench) == ["claude"])
            try await bench.finish(job)
            try await bench.database.query("update api_keys set expires_at = null")
            try await bench.setStatus("denied", of: user, model: "claude")
            try await bench.attempt(try await bench.accessJob(created))
            #expect(isBlocked(created, bench))
        }
    }

    @Test("a key can call models and nothing else, also one that was made before that")
    func routes() async throws {
        try await withKey { bench, user, created in
            let hash = created.key.hash
            #expect(bench.litellm.state.keys[hash]?["allowed_routes"] == ["llm_api_routes"])
            bench.litellm.change { state in
                state.keys[hash]?["allowed_routes"] = []
                state.keys[hash]?["permissions"] = ["get_spend_routes": true]
            }
            try await bench.setStatus("active", of: user, model: "gpt")
            try await bench.runAll()
            #expect(bench.litellm.state.keys[hash]?["allowed_routes"] == ["llm_api_routes"])
            #expect(bench.litellm.state.keys[hash]?["permissions"] == [:])
        }
    }

    @Test("what LiteLLM has changed besides is set right by a job of its own")
    func leavesTheRest() async throws {
        try await withKey { bench, user, created in
            let hash = created.key.hash
            bench.litellm.change { $0.keys[hash]?["max_budget"] = 99 }
            try await bench.setStatus("denied", of: user, model: "gpt")
            try await bench.attempt(try await bench.accessJob(created))
            #expect(try await bench.row(created).sync.status == .pending)
            #expect(try await bench.jobs(KeyUpdate.self).count == 1)
            try await bench.runAll()
            #expect(bench.litellm.state.keys[hash]?["max_budget"] == nil)
            #expect(try await bench.row(created).sync.isSynced)
        }
    }
}

extension KindBench {
    /// Moves a subscription as if somebody did, with the jobs of the keys.
    func setStatus(_ status: String, of user: User, model: String) async throws {
        try await database.subscribe(user.id, to: [model], status: status)
        try await database.withTransaction { transaction in
            _ = try await KeyGrants(queue: services.queue).refresh(
                of: [user.id], modelId: model, requester: JobRequester(id: nil), in: transaction)
        }
    }

    /// The job that brings a key's grants to LiteLLM.
    func accessJob(_ created: CreatedKey) async throws -> Int64 {
        try await database.query(
            """
            select j.id from jobs j join job_kinds k on k.id = j.kind_id
            where k.name = 'key.access' and j.resource_id = \(created.key.id.text) and j.state <> 2
            """
        ).one(Int64.self)
    }
}
