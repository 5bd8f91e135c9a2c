import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct ModelSyncTests {
    private static func deployment(
        _ name: String, id: String? = nil, model: String? = nil, info: FakeLiteLLM.Row = [:],
        params: FakeLiteLLM.Row = [:]
    ) -> JSONValue {
        let known: FakeLiteLLM.Row = ["id": .string(id ?? "\(name)-id"), "db_model": false]
        let given: FakeLiteLLM.Row = ["model": .string(model ?? "openai/\(name)")]
        return [
            "model_name": .string(name), "litellm_params": .object(given.merging(params) { $1 }),
            "model_info": .object(known.merging(info) { $1 }),
        ]
    }

    private func list(_ bench: KindBench, _ names: String...) {
        bench.litellm.change { $0.deployments = names.map { Self.deployment($0) } }
    }

    @discardableResult
    private func sync(_ bench: KindBench, _ kind: ModelSync = ModelSync()) async throws -> ModelSync.Output {
        let job = try await bench.services.queue.enqueue(kind)
        let output = try #require(try await bench.attempt(job.id) as? ModelSync.Output)
        try await bench.finish(job.id)
        return output
    }

    private func available(_ bench: KindBench) async throws -> [String] {
        let models = try await PostgresModelStore().all(in: bench.database)
        return models.filter { $0.availability == .available }.map(\.id)
    }

    private func counts(_ output: ModelSync.Output) -> [Int] {
        [output.totalModels, output.newModels, output.updatedModels, output.unavailableModels]
    }

    @Test func takesOverWhatLiteLLMSays() async throws {
        try await KindBench.run { bench in
            bench.litellm.change { state in
                state.deployments = [
                    Self.deployment(
                        "big", id: "b2", model: "vertex_ai/gemini/big",
                        info: [
                            "max_tokens": 128000, "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05,
                            "supports_vision": true, "supports_function_calling": true, "mode": "chat",
                            "db_model": true,
                        ], params: ["tpm": 7, "rpm": 3, "api_base": "https://example.com"]),
                    Self.deployment("big", id: "b3", model: "openai/other"),
                    Self.deployment("vec", info: ["mode": "embedding"], params: ["input_cost_per_token": 1e-16]),
                ]
            }
            let output = try await sync(bench)
            #expect(output.success)
            #expect(counts(output) == [2, 2, 0, 0])
            let big = try #require(try await PostgresModelStore().find("big", in: bench.database))
            #expect(
                big.model
                    == ModelDescription(
                        id: "big", provider: "vertex_ai", backendModelName: "gemini/big",
                        apiBase: "https://example.com", contextLength: 128000, maxTokens: 128000,
                        inputCostPerToken: Decimal(string: "0.0000025"),
                        outputCostPerToken: Decimal(string: "0.00001"), tpm: 7, rpm: 3, supportsVision: true,
                        supportsFunctionCalling: true, features: ["chat", "function_calling", "vision"]))
            let deployments = try await PostgresModelStore().deployments(of: "big", in: bench.database)
            #expect(deployments.map(\.id) == ["b2", "b3"])
            #expect(deployments.map(\.isInDatabase) == [true, false])
            let vec = try #require(try await PostgresModelStore().find("vec", in: bench.database))
            #expect(vec.model.features == ["embeddings"])
            #expect(vec.model.inputCostPerToken == 0)

            // Unchanged: nothing is written.
            let again = try await sync(bench)
            #expect(counts(again) == [2, 0, 0, 0])
            #expect(try await PostgresModelStore().find("big", in: bench.database)?.updatedAt == big.updatedAt)
            let last = try #require(try await PostgresModelStore().lastSync(in: bench.database))
            #expect(last.record.success)
            #expect(last.record.total == 2)
        }
    }

    @Test func keepsWhatIsOnlyOurs() async throws {
        try await KindBench.run { bench in
            list(bench, "a", "b")
            try await sync(bench)
            try await bench.database.query(
                "update models set description = 'Ours', restricted_access = true where id = 'a'")
            bench.litellm.change { $0.deployments[0] = Self.deployment("a", info: ["max_tokens": 9]) }
            let output = try await sync(bench)
            #expect(output.updatedModels == 1)
            let model = try #require(try await PostgresModelStore().find("a", in: bench.database))
            #expect(model.description == "Ours")
            #expect(model.restrictedAccess)
            #expect(model.model.maxTokens == 9)
            #expect(try await sync(bench, ModelSync(forceUpdate: true)).updatedModels == 2)
        }
    }

    @Test func letsAModelGoOnlyAfterTwoCompleteListings() async throws {
        try await KindBench.run { bench in
            list(bench, "a", "b", "c")
            try await sync(bench)
            list(bench, "a", "b")
            #expect(try await sync(bench).unavailableModels == 0)
            #expect(try await available(bench) == ["a", "b", "c"])
            list(bench, "a", "b", "c")
            try await sync(bench)
            list(bench, "a", "b")
            #expect(try await sync(bench).unavailableModels == 0)
            #expect(try await sync(bench).unavailableModels == 1)
            #expect(try await available(bench) == ["a", "b"])
            #expect(try await PostgresModelStore().deployments(of: "c", in: bench.database).isEmpty)
            let audit = try await PostgresAuditStore().entries(
                resourceType: "model", resourceId: "c", limit: 5, in: bench.database)
            #expect(audit.map(\.action) == ["MODEL_MARKED_UNAVAILABLE"])
            list(bench, "a", "b", "c")
            let back = try await sync(bench)
            #expect(back.updatedModels == 1)
            #expect(try await available(bench) == ["a", "b", "c"])
        }
    }

    @Test func doubtsAListingThatShrankTooMuch() async throws {
        try await KindBench.run { bench in
            list(bench, "a", "b", "c", "d", "e")
            try await sync(bench)
            list(bench, "a", "new")
            for _ in 1...3 {
                let output = try await sync(bench)
                #expect(!output.success)
                #expect(output.errors.count == 1)
                #expect(output.unavailableModels == 0)
            }
            #expect(try await available(bench) == ["a", "b", "c", "d", "e", "new"])
            #expect(try await PostgresModelStore().deployments(of: "b", in: bench.database).count == 1)
        }
    }

    @Test func believesNoEmptyListing() async throws {
        try await KindBench.run { bench in
            #expect(try await sync(bench).totalModels == 0)
            list(bench, "a")
            try await sync(bench)
            list(bench)
            for _ in 1...3 {
                let failure = await #expect(throws: JobFailure.self) { try await sync(bench) }
                #expect(failure?.info.code == "model_list_empty")
                #expect(failure?.info.errorClass == .retryable)
                try await bench.database.query("delete from jobs")
            }
            bench.litellm.fail(
                "/v2/model/info",
                .answer(500, ["error": ["message": "LLM Model List not loaded in. Make sure you passed models"]]))
            let error = await #expect(throws: LiteLLMError.self) { try await sync(bench) }
            #expect(error?.kind == .retryable)
            #expect(try await available(bench) == ["a"])
        }
    }

    @Test func oneBadModelDoesNotStopTheOthers() async throws {
        try await KindBench.run { bench in
            list(bench, "a", "b")
            try await sync(bench)
            bench.litellm.change { state in
                state.deployments = [
                    Self.deployment("a", info: ["input_cost_per_token": 5e12]), Self.deployment("b"),
                    Self.deployment("c"),
                ]
            }
            for _ in 1...2 {
                let output = try await sync(bench)
                #expect(!output.success)
                #expect(output.errors == ["Model a: its price is out of range."])
            }
            #expect(try await available(bench) == ["a", "b", "c"])
        }
    }

    @Test func canBeToldToLetNothingGo() async throws {
        try await KindBench.run { bench in
            list(bench, "a", "b", "c")
            try await sync(bench)
            list(bench, "a", "b")
            for _ in 1...3 { try await sync(bench, ModelSync(markUnavailable: false)) }
            #expect(try await available(bench) == ["a", "b", "c"])
        }
    }

    @Test func readsAllPages() async throws {
        try await KindBench.run { bench in
            bench.litellm.change { state in
                state.deployments = (1...450).map { Self.deployment("m\($0)") }
            }
            let output = try await sync(bench)
            #expect(output.newModels == 450)
            #expect(try await available(bench).count == 450)
        }
    }

    @Test func requestsShareAJobUntilItStarts() async throws {
        try await KindBench.run { bench in
            let catalogue = ModelCatalogue(queue: bench.services.queue)
            let jobs = try await bench.database.withTransaction { transaction in
                [
                    try await catalogue.requestSync(by: bench.actor, in: transaction),
                    try await catalogue.requestSync(by: bench.actor, in: transaction),
                ]
            }
            #expect(jobs[0].id == jobs[1].id)
            #expect(jobs.map(\.coalesced) == [false, true])
            try await bench.end(jobs[0].id, as: .failed)
            let last = try #require(try await PostgresModelStore().lastSync(in: bench.database))
            #expect(!last.record.success)
            #expect(last.record.problems == ["No more."])
        }
    }
}
