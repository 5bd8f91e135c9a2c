import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

extension KindBench {
    var specs: PostgresModelSpecStore { PostgresModelSpecStore() }
    var models: PostgresModelStore { PostgresModelStore() }

    var administration: ModelAdministration {
        ModelAdministration(queue: services.queue, sealer: services.sealer)
    }

    static let providerKey = "sk-provider-1234567890"

    /// A deployment as LiteLLM lists it.
    static func deployment(
        _ name: String, id: String? = nil, model: String? = nil, isStored: Bool = false, info: FakeLiteLLM.Row = [:],
        params: FakeLiteLLM.Row = [:]
    ) -> JSONValue {
        let known: FakeLiteLLM.Row = ["id": .string(id ?? "\(name)-id"), "db_model": .bool(isStored)]
        let given: FakeLiteLLM.Row = ["model": .string(model ?? "openai/\(name)")]
        return [
            "model_name": .string(name), "litellm_params": .object(given.merging(params) { $1 }),
            "model_info": .object(known.merging(info) { $1 }),
        ]
    }

    static func newModel(_ name: String = "gpt", apiKey: String? = providerKey) -> NewModel {
        var parameters = ModelParameters()
        parameters.apiBase = "https://models.example.com/v1"
        parameters.inputCostPerToken = Decimal(string: "0.0000025")
        parameters.outputCostPerToken = Decimal(string: "0.00001")
        parameters.tpm = 1000
        parameters.rpm = 10
        parameters.maxTokens = 8192
        parameters.capabilities = [
            "vision": true, "function_calling": true, "parallel_function_calling": false, "tool_choice": false,
            "embeddings": false, "tokenize": false, "convert": false,
        ]
        return NewModel(
            modelId: name, backendModelName: "backend/\(name)", parameters: parameters, description: "Ours",
            restrictedAccess: true, apiKey: apiKey.map { Secret($0) })
    }

    /// Asks for a model; gives the job.
    func addManaged(_ model: NewModel = newModel()) async throws -> Int64 {
        let changed = try await database.withTransaction {
            try await administration.create(model, by: actor, in: $0)
        }
        return try #require(changed.job).id
    }

    /// Asks for a change; gives the job.
    func changeManaged(
        _ id: String = "gpt", _ change: @Sendable (inout ModelChange) -> Void
    ) async throws -> Int64? {
        var wanted = ModelChange()
        change(&wanted)
        let asked = wanted
        return try await database.withTransaction {
            try await administration.change(id, asked, by: actor, in: $0)
        }.job?.id
    }

    func deleteManaged(_ id: String = "gpt") async throws -> Int64 {
        let changed = try await database.withTransaction { try await administration.delete(id, by: actor, in: $0) }
        return try #require(changed.job).id
    }

    /// A model that LiteLLM has.
    @discardableResult
    func addSynced(_ model: NewModel = newModel()) async throws -> ManagedModel {
        let job = try await addManaged(model)
        try await attempt(job)
        try await finish(job)
        return try #require(try await specs.find(model.modelId, in: database))
    }

    func model(_ id: String = "gpt") async throws -> Model? { try await models.find(id, in: database) }

    func managed(_ id: String = "gpt") async throws -> ManagedModel? { try await specs.find(id, in: database) }

    /// The entries of LiteLLM's list that have this name.
    func listed(_ name: String = "gpt") -> [JSONValue] {
        litellm.state.deployments.filter { $0["model_name"]?.stringValue == name }
    }

    @discardableResult
    func sync(_ kind: ModelSync = ModelSync()) async throws -> ModelSync.Output {
        let job = try await services.queue.enqueue(kind)
        let output = try #require(try await attempt(job.id) as? ModelSync.Output)
        try await finish(job.id)
        return output
    }

    func audited(_ id: String = "gpt") async throws -> [String] {
        try await PostgresAuditStore().entries(resourceType: "model", resourceId: id, limit: 50, in: database)
            .map(\.action)
    }
}
