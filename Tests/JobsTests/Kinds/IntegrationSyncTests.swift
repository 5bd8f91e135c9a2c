import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Synchronising everything", .needsDatabase, .hangGuard)
struct IntegrationSyncTests {
    private func run(_ kind: IntegrationSync, _ bench: KindBench) async throws -> IntegrationSync.Output {
        let job = try await bench.services.queue.enqueue(kind)
        let output = try #require(try await bench.attemptFamily(job.id) as? IntegrationSync.Output)
        try await bench.succeed(job.id, output)
        return output
    }

    private func count(_ total: Int, synced: Int? = nil, errors: Int = 0) -> IntegrationSync.Count {
        var count = IntegrationSync.Count()
        count.total = total
        count.synced = synced ?? total - errors
        count.errors = errors
        return count
    }

    @Test("the figures tell what the jobs did")
    func counts() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { state in
                state.deployments = [
                    [
                        "model_name": "gpt", "litellm_params": ["model": "openai/gpt"],
                        "model_info": ["id": "d1", "mode": "chat"],
                    ]
                ]
                state.users[scene.other.id.text]?["user_alias"] = "Mallory"
            }
            let quiet = try await run(IntegrationSync(), bench)
            #expect(quiet.success && quiet.results["users"] == count(0) && quiet.results["teams"] == count(0))
            #expect(quiet.results["models"] == count(1) && quiet.reconciliationJobId != nil)
            // The comparison at the end only looks.
            #expect(bench.litellm.state.users[scene.other.id.text]?["user_alias"] == "Mallory")

            let forced = try await run(IntegrationSync(forceSync: true, syncModels: false), bench)
            #expect(forced.results["users"] == count(2) && forced.results["subscriptions"] == count(4))
            #expect(forced.results["models"] == nil)
            #expect(bench.litellm.state.users[scene.other.id.text]?["user_alias"] == "Bob")
        }
    }

    @Test("one that fails is counted, and the others are done")
    func failures() async throws {
        try await KindBench.run { bench in
            let scene = try await DriftScene(bench)
            bench.litellm.change { $0.keys[scene.keys[0].key.hash] = nil }
            let output = try await run(
                IntegrationSync(forceSync: true, syncSubscriptions: false, userId: scene.user.id), bench)
            #expect(!output.success && output.results["apiKeys"] == count(4, errors: 1))
            #expect(output.results["users"] == count(1) && output.reconciliationJobId == nil)
        }
    }
}
