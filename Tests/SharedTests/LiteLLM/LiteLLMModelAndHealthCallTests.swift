import Foundation
import Shared
import Testing

@Suite("LiteLLM: models")
struct LiteLLMModelCallTests {
    private func entry(_ id: String, _ more: String = "") -> String {
        #"{"model_name":"n-\#(id)","litellm_params":{"model":"openai/b"},"model_info":{"id":"\#(id)"\#(more)}}"#
    }

    private func page(_ entries: [String], _ page: Int, of pages: Int, total: Int) -> FakeLiteLLM.Outcome {
        .answer(
            body: """
                {"data":[\(entries.joined(separator: ","))],"total_count":\(total),"current_page":\(page),
                "total_pages":\(pages),"size":2}
                """)
    }

    @Test("a deployment is read")
    func deployment() async throws {
        let body = """
            {"data":[{"model_name":"gpt","litellm_params":{"model":"hosted/meta/llama","custom_llm_provider":"vllm",
            "api_base":"http://x/v1","input_cost_per_token":1e-06,"tpm":"10"},"model_info":{"id":"m-1","db_model":true,
            "mode":"chat","max_tokens":128000.0,"output_cost_per_token":1.5e-05,"supports_vision":true,
            "supports_audio_input":false,"supports_tool_choice":null,"litemaas":{"created_by":"litemaas",
            "db_model_id":"gpt","intent_id":"1","version":1}}}]}
            """
        let model = try #require(
            try await FakeLiteLLM(["GET /v1/model/info": .answer(body: body)]).client().model(id: "m-1"))
        #expect(model.name == "gpt")
        #expect(model.provider == "vllm")
        #expect(model.backendModel == "meta/llama")
        #expect(model.isInDatabase)
        #expect(model.maxTokens == 128_000)
        #expect(model.inputCostPerToken == Decimal(string: "0.000001"))
        #expect(model.outputCostPerToken == Decimal(string: "0.000015"))
        #expect(model.tpm == 10)
        #expect(model.capabilities == ["vision"])
        #expect(model.marker?.id == "gpt")
    }

    @Test("the provider is the explicit one, else the prefix, else LiteLLM's finding")
    func provider() async throws {
        let bodies = [
            (#"{"model":"openai/gpt-4","custom_llm_provider":"azure"}"#, "azure", "gpt-4"),
            (#"{"model":"openai/gpt-4"}"#, "openai", "gpt-4"), (#"{"model":"gpt-4"}"#, "found", "gpt-4"),
        ]
        for (params, provider, backend) in bodies {
            let info = #"{"id":"m","litellm_provider":"found"}"#
            let body = #"{"data":[{"model_name":"n","litellm_params":\#(params),"model_info":\#(info)}]}"#
            let model = try await FakeLiteLLM(["GET /v1/model/info": .answer(body: body)]).client().model(id: "m")
            #expect(model?.provider == provider)
            #expect(model?.backendModel == backend)
        }
    }

    @Test("the list is read to its last page")
    func pages() async throws {
        let litellm = FakeLiteLLM([
            "GET /v2/model/info": [
                page([entry("1"), entry("2")], 1, of: 2, total: 3), page([entry("3")], 2, of: 2, total: 3),
            ]
        ])
        let models = try await litellm.client { $0.modelPageSize = 2 }.models()
        #expect(models.map(\.id) == ["1", "2", "3"])
        #expect(litellm.transport.requests.map { $0.query["page"] } == ["1", "2"])
        #expect(litellm.transport.requests.first?.query["size"] == "2")
    }

    @Test("releases without pages give the whole list at once")
    func withoutPages() async throws {
        let litellm = FakeLiteLLM(["GET /v1/model/info": .answer(body: #"{"data":[\#(entry("1"))]}"#)])
        #expect(try await litellm.client().models().map(\.id) == ["1"])
    }

    @Test("a list that does not add up, an unreadable entry and no list at all are no list")
    func doubtful() async throws {
        let cases: [([FakeLiteLLM.Outcome], String)] = [
            ([page([entry("1")], 1, of: 1, total: 2)], "litellm_list_incomplete"),
            (
                [page([entry("1")], 1, of: 2, total: 2), page([entry("1")], 2, of: 2, total: 2)],
                "litellm_list_incomplete"
            ),
            ([page([#"{"model_name":"x"}"#], 1, of: 1, total: 1)], "litellm_bad_response"),
            ([.refusal(500, "LLM Model List not loaded in.")], "litellm_models_not_loaded"),
            ([page([entry("1")], 1, of: 2, total: 2), noDatabaseAnswer], "litellm_db_down"),
        ]
        for (answers, code) in cases {
            let litellm = FakeLiteLLM(["GET /v2/model/info": answers])
            let error = try await liteLLMError { try await litellm.client().models() }
            #expect(error.code == code)
            #expect(error.kind == .retryable)
        }
        let endless = FakeLiteLLM(["GET /v2/model/info": page([entry("1")], 1, of: 999, total: 999)])
        let error = try await liteLLMError { try await endless.client { $0.maxPages = 5 }.models() }
        #expect(error.code == "litellm_list_incomplete")
        #expect(endless.calls.count == 5)
    }

    @Test("an empty list is a list")
    func empty() async throws {
        #expect(try await FakeLiteLLM(["GET /v2/model/info": page([], 1, of: 0, total: 0)]).client().models().isEmpty)
    }

    @Test("a deployment is made, changed with its id, and deleted")
    func write() async throws {
        let litellm = FakeLiteLLM([
            "POST /model/new": [.answer(body: #"{"model_id":"m/1"}"#)],
            "PATCH /model/m%2F1/update": [.answer(body: "{}")],
            "POST /model/delete": [
                .answer(body: #"{"message":"deleted"}"#),
                .refusal(400, "{'error': 'Model with id=m/1 not found in db'}"),
            ],
            "GET /key/list": [.answer(body: emptyKeyList)],
        ])
        var spec = LiteLLMDeploymentSpec(
            id: "m/1", name: "n", model: "openai/x", marker: LiteLLMMarker(.model, id: "n", intentId: "1", version: 1))
        spec.apiKey = Secret("sk-provider")
        spec.maxTokens = 10
        spec.capabilities = ["vision": true, "tool_choice": false]
        let client = litellm.client()
        try await client.createModel(spec)
        try await client.updateModel(spec)
        #expect(try await client.deleteModel(id: "m/1"))
        #expect(try await !client.deleteModel(id: "m/1"))
        let body: JSONValue = [
            "model_name": "n", "litellm_params": ["model": "openai/x", "api_key": "sk-provider"],
            "model_info": [
                "id": "m/1", "db_model": true, "max_tokens": 10, "supports_vision": true,
                "supports_tool_choice": false,
                "litemaas": ["created_by": "litemaas", "db_model_id": "n", "intent_id": "1", "version": 1],
            ],
        ]
        #expect(try litellm.bodies("POST /model/new") == [body])
        #expect(try litellm.bodies("PATCH /model/m%2F1/update") == [body])
    }

    @Test("why a deployment was not added is found out by reading")
    func notAdded() async throws {
        let spec = LiteLLMDeploymentSpec(
            id: "1", name: "n", model: "openai/x", marker: LiteLLMMarker(.model, id: "n", intentId: "1", version: 1))
        let refused = FakeLiteLLM.Outcome.refusal(500, "{'error': 'Failed to add model to db. Check the logs.'}")
        let absent = FakeLiteLLM.Outcome.answer(400, #"{"detail":{"error":"Model id = 1 not found on litellm proxy"}}"#)
        let cases: [([String: FakeLiteLLM.Outcome], LiteLLMError.Kind, String)] = [
            (["GET /v1/model/info": .answer(body: #"{"data":[\#(entry("1"))]}"#)], .conflict, "model_exists"),
            (
                ["GET /v1/model/info": absent, "GET /key/list": .answer(body: emptyKeyList)], .retryable,
                "litellm_model_not_added"
            ),
            (["GET /v1/model/info": noDatabaseAnswer], .retryable, "litellm_db_down"),
            (["GET /v1/model/info": absent, "GET /key/list": noDatabaseAnswer], .retryable, "litellm_db_down"),
        ]
        for (routes, kind, code) in cases {
            let litellm = FakeLiteLLM(routes.merging(["POST /model/new": refused]) { first, _ in first })
            let error = try await liteLLMError { try await litellm.client().createModel(spec) }
            #expect(error.kind == kind)
            #expect(error.code == code)
        }
    }
}

@Suite("LiteLLM: health")
struct LiteLLMHealthCallTests {
    @Test(
        "readiness says whether the database is there",
        arguments: [
            (FakeLiteLLM.Outcome.answer(200, #"{"status":"healthy","db":"connected"}"#), true),
            (.answer(200, #"{"status":"connected","db":"Not connected","litellm_version":"1.74.0"}"#), false),
            (.answer(503, #"{"status":"healthy","db":"disconnected"}"#), false), (noDatabaseAnswer, false),
        ] as [(FakeLiteLLM.Outcome, Bool)])
    func readiness(answer: FakeLiteLLM.Outcome, isConnected: Bool) async throws {
        let litellm = FakeLiteLLM(["GET /health/readiness": answer])
        #expect(try await litellm.client().readiness().databaseConnected == isConnected)
    }

    @Test("something else in its place is not ready")
    func notReady() async throws {
        for answer in [.answer(200, "<html>"), .answer(503, "no upstream"), .answer(200, "[]")] as [FakeLiteLLM.Outcome]
        {
            let litellm = FakeLiteLLM(["GET /health/readiness": answer])
            #expect(try await liteLLMError { try await litellm.client().readiness() }.kind == .retryable)
        }
    }

    @Test("liveness is any success, as JSON or as text")
    func liveness() async throws {
        for body in [#""I'm alive!""#, "I'm alive!", #"{"status":"ok"}"#, ""] {
            try await FakeLiteLLM(["GET /health/liveness": .answer(body: body)]).client().liveness()
        }
        let dead = FakeLiteLLM(["GET /health/liveness": .lost(.connect(refused: true), reached: false)])
        #expect(try await liteLLMError { try await dead.client().liveness() }.code == "litellm_unreachable")
    }

    @Test("the probe needs a page of keys")
    func probe() async throws {
        let litellm = FakeLiteLLM([
            "GET /key/list": [.answer(body: emptyKeyList), .answer(body: "{}"), noDatabaseAnswer]
        ])
        try await litellm.client().probe()
        #expect(litellm.transport.requests.first?.query == ["page": "1", "size": "1"])
        #expect(try await liteLLMError { try await litellm.client().probe() }.code == "litellm_bad_response")
        #expect(try await liteLLMError { try await litellm.client().probe() }.code == "litellm_db_down")
    }
}
