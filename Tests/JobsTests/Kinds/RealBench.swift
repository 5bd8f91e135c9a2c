import Foundation
import Logging
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Where the LiteLLM of the tests on a real one is.
enum RealLiteLLM {
    static let settings: LiteLLMSettings? = {
        let environment = ProcessInfo.processInfo.environment
        guard let url = environment["LITELLM_API_URL"], let key = environment["LITELLM_API_KEY"] else { return nil }
        return LiteLLMSettings(baseURL: url, apiKey: Secret(key))
    }()
}

/// A bench whose LiteLLM is the one at `LITELLM_API_URL`, with its models in the catalogue.
struct RealBench: Sendable {
    let bench: KindBench
    /// What the jobs' calls go through.
    let transport: StoppingTransport
    /// LiteLLM as the test itself asks it: never stopped.
    let litellm: LiteLLMClient
    /// A chat model that costs something.
    let model: String

    static func run(_ body: @Sendable (RealBench) async throws -> Void) async throws {
        let litellm = try #require(RealLiteLLM.settings)
        let curl = CurlTransport(logger: Logger(label: "test"))
        let transport = StoppingTransport(curl)
        var settings = ProvisioningSettings()
        settings.maxActiveKeysPerUser = 1000
        settings.keepsRequestLog = true
        do {
            let client = LiteLLMClient(transport: transport, settings: litellm)
            try await KindBench.run(settings: settings, client: client) { bench in
                let sync = try await bench.services.queue.enqueue(ModelSync())
                let output = try #require(try await bench.attempt(sync.id) as? ModelSync.Output)
                #expect(output.success)
                try await bench.finish(sync.id)
                let models = try await PostgresModelStore().all(in: bench.database)
                let chat = models.filter { $0.model.features.contains("chat") && $0.model.inputCostPerToken != nil }
                let model = try #require(chat.first { $0.id == "mock-gpt-4o" } ?? chat.first)
                try await body(
                    RealBench(
                        bench: bench, transport: transport,
                        litellm: LiteLLMClient(transport: curl, settings: litellm), model: model.id))
            }
        } catch {
            await curl.shutdown()
            throw error
        }
        await curl.shutdown()
    }

    /// A user in LiteLLM whose name nobody had before.
    func addUser() async throws -> User {
        let user = try await bench.addUser("u\(UUID().text)", isSynced: true)
        #expect(user.sync.isSynced)
        return user
    }

    /// A key of that user that LiteLLM does not have yet.
    func addKey(_ user: User) async throws -> CreatedKey {
        try await bench.addKey(user) { $0.modelIds = [model] }
    }

    /// A key that works.
    func addLiveKey(_ user: User) async throws -> CreatedKey {
        let created = try await addKey(user)
        try await bench.attempt(created.job.id)
        try await bench.finish(created.job.id)
        return created
    }
}
