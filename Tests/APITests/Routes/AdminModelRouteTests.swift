import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Models, for administrators", .needsDatabase, .hangGuard)
struct AdminModelRouteTests {
    private static let secret = "sk-provider-secret"

    private static func body(_ name: String = "org/gpt", _ more: [String: JSONValue] = [:]) -> JSONValue {
        let body: [String: JSONValue] = [
            "model_name": .string(name), "backend_model_name": "backend", "description": "Ours",
            "api_base": "https://models.example.com/v1", "api_key": .string(secret), "input_cost_per_token": 0.0000025,
            "output_cost_per_token": 0.00001, "tpm": 1000, "rpm": 10, "max_tokens": 8192, "supports_vision": true,
            "supports_function_calling": true, "supports_parallel_function_calling": false,
            "supports_tool_choice": false, "restrictedAccess": true,
        ]
        return .object(body.merging(more) { $1 })
    }

    private func audit(_ api: APIHarness) async throws -> String {
        let rows = try await api.database.client.query(
            "select coalesce(string_agg(a::text, ' '), '') from audit_logs a")
        return try rows.one(String.self)
    }

    @Test("a model is made, shown, changed and deleted, and its key is nowhere")
    func life() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let wait: HTTPFields = [.prefer: "wait=20"]
            let made = try await api.send(.post, "/api/v1/admin/models", Self.body(), as: admin, headers: wait)
            #expect(made.status == 201, "\(made.text)")
            #expect(made["success"] == true && made["model", "model_name"] == "org/gpt")
            #expect(made["syncStatus"] == "synced" && made["job", "kind"] == "model.apply")
            let shown = try await api.send(.get, "/api/v1/models/org%2Fgpt", as: admin)
            #expect(shown["isActive"] == true && shown["restrictedAccess"] == true && shown["description"] == "Ours")
            #expect(shown["metadata", "isManaged"] == true && shown["metadata", "hasProviderKey"] == true)
            let anonymous = try await api.send(.get, "/api/v1/models/org%2Fgpt")
            #expect(anonymous["metadata", "isManaged"] == nil && anonymous["apiBase"] == nil)
            let again = try await api.send(.post, "/api/v1/admin/models", Self.body(), as: admin)
            #expect(again.status == 409 && again.errorCode == "ALREADY_EXISTS")
            #expect(again["error", "details", "field"] == "model_name")
            let changed = try await api.send(
                .put, "/api/v1/admin/models/org%2Fgpt", ["tpm": 5, "restrictedAccess": false], as: admin, headers: wait)
            #expect(changed.status == 200, "\(changed.text)")
            #expect(changed["model", "restrictedAccess"] == false)
            #expect(api.litellm.state.deployments.first?["litellm_params"]?["tpm"] == 5)
            let words = try await api.send(
                .put, "/api/v1/admin/models/org%2Fgpt", ["description": "New"], as: admin)
            #expect(words.status == 200 && words["job"] == nil && words["model", "description"] == "New")
            let deleted = try await api.send(.delete, "/api/v1/admin/models/org%2Fgpt", as: admin, headers: wait)
            #expect(deleted.status == 200 && deleted["success"] == true, "\(deleted.text)")
            #expect(api.litellm.state.deployments.isEmpty)
            #expect(try await api.send(.get, "/api/v1/models/org%2Fgpt").status == 404)
            #expect(try await api.send(.delete, "/api/v1/admin/models/org%2Fgpt", as: admin).status == 404)
            let audit = try await audit(api)
            for action in ["MODEL_CREATE", "MODEL_UPDATE", "MODEL_DELETE", "MODEL_REMOVED"] {
                #expect(audit.contains(action))
            }
            #expect(!audit.contains(Self.secret))
            #expect(![made, shown, changed, deleted].contains { $0.text.contains(Self.secret) })
        }
    }

    @Test("without a worker the wish stands: 202, pending, and nobody can ask for the model yet")
    func pending() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let made = try await api.send(.post, "/api/v1/admin/models", Self.body(), as: admin)
            #expect(made.status == 202 && made["syncStatus"] == "pending" && made["model", "isActive"] == false)
            #expect(made.headers[.location] == "/api/v1/jobs/\(made["job", "id"]?.stringValue ?? "")")
            #expect(try await api.send(.get, "/api/v1/models")["pagination", "total"] == 0)
            let leaving = try await api.send(.delete, "/api/v1/admin/models/org%2Fgpt", as: admin)
            #expect(leaving.status == 202)
            let changed = try await api.send(.put, "/api/v1/admin/models/org%2Fgpt", ["tpm": 1], as: admin)
            #expect(changed.status == 409, "\(changed.text)")
        }
    }

    @Test("bad fields are named")
    func refused() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let empty = try await api.send(.post, "/api/v1/admin/models", [:], as: admin)
            #expect(empty.status == 400 && empty.refusedFields.count == 12)
            let bad = try await api.send(
                .post, "/api/v1/admin/models",
                Self.body(
                    "all-team-models",
                    [
                        "api_base": "ftp://x", "api_key": "two words", "tpm": 0, "input_cost_per_token": -1,
                        "supports_vision": "yes",
                    ]), as: admin)
            #expect(
                Set(bad.refusedFields) == [
                    "model_name", "api_base", "api_key", "tpm", "input_cost_per_token", "supports_vision",
                ])
            for name in ["*", "openai/*", " gpt"] {
                let wild = try await api.send(.post, "/api/v1/admin/models", Self.body(name), as: admin)
                #expect(wild.refusedFields == ["model_name"], "\(name)")
            }
            try await api.addModels("gpt")
            let renamed = try await api.send(.put, "/api/v1/admin/models/gpt", ["model_name": "x"], as: admin)
            #expect(renamed.refusedFields == ["model_name"])
            #expect(try await api.send(.put, "/api/v1/admin/models/gpt", [:], as: admin).status == 400)
            // LiteLLM's own, and not in its database as far as is known.
            let foreign = try await api.send(.put, "/api/v1/admin/models/gpt", ["tpm": 1], as: admin)
            #expect(foreign.status == 409 && foreign.errorCode == "CONFLICT")
            let taken = try await api.send(.post, "/api/v1/admin/models", Self.body("gpt"), as: admin)
            #expect(taken.status == 409 && taken.errorCode == "ALREADY_EXISTS")
        }
    }

    @Test("a retirement is shown before it happens, and undone")
    func retirement() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await api.addModels("gpt")
            let path = "/api/v1/admin/models/gpt/retirement"
            let none = try await api.send(.get, path, as: admin)
            #expect(none.status == 200 && none["isPlanned"] == false && none["keys", "total"] == 0)
            #expect(try await api.send(.post, "\(path)/undo", as: admin).status == 404)
            let job = try await api.database.client.withTransaction { transaction in
                try await ModelRetirement(queue: api.queue).plan(
                    "gpt", after: .seconds(600), requester: JobRequester(id: nil), in: transaction)
            }
            let shown = try await api.send(.get, "\(path)?limit=5", as: admin)
            #expect(shown["isPlanned"] == true && shown["jobId"]?.stringValue == String(job.id))
            #expect(shown["jobState"] == "scheduled" && shown["dueAt"] != nil && shown["limit"] == 5)
            let undone = try await api.send(.post, "\(path)/undo", as: admin)
            #expect(undone.status == 200 && undone["modelId"] == "gpt", "\(undone.text)")
            try await api.wait(for: String(job.id), "cancelled")
            #expect(try await audit(api).contains("MODEL_RETIREMENT_UNDONE"))
            #expect(try await api.send(.get, "/api/v1/admin/models/none/retirement", as: admin).status == 404)
        }
    }
}

@Suite("Tests of models' endpoints", .needsDatabase, .hangGuard)
struct ModelEndpointTests {
    private func run(
        _ answer: Result<HTTPClientResponse, HTTPTransportError>,
        _ body: @escaping @Sendable (APIHarness, ScriptedTransport) async throws -> Void
    ) async throws {
        let transport = ScriptedTransport { _ in try answer.get() }
        try await APIHarness.run({ $0.endpoints = transport }) { try await body($0, transport) }
    }

    private func list(_ names: [String]) -> HTTPClientResponse {
        let data = names.map { JSONValue.object(["id": .string($0)]) }
        return HTTPClientResponse(
            status: 200, body: Array(JSONValue.object(["data": .array(data)]).encodedString().utf8))
    }

    private static let ask: JSONValue = [
        "api_base": "https://models.example.com/v1/", "backend_model_name": "m3", "api_key": "sk-given",
    ]

    @Test("each answer of an endpoint has its result")
    func results() async throws {
        func failure(_ code: HTTPTransportError.Code) -> Result<HTTPClientResponse, HTTPTransportError> {
            .failure(HTTPTransportError(code, requestMayHaveReachedServer: false, message: "as the test wants it"))
        }
        let cases: [(Result<HTTPClientResponse, HTTPTransportError>, String, Bool)] = [
            (.success(list(["m1", "m3"])), "model_found", true), (.success(list(["m1"])), "model_not_found", false),
            (.success(HTTPClientResponse(status: 200, body: Array("hello".utf8))), "endpoint_reachable", true),
            (.success(HTTPClientResponse(status: 401)), "auth_error", false),
            (.success(HTTPClientResponse(status: 302)), "connection_error", false),
            (.success(HTTPClientResponse(status: 500)), "connection_error", false),
            (failure(.timeout), "timeout", false),
            (failure(.addressRefused), "connection_error", false), (failure(.tooLarge), "connection_error", false),
        ]
        for (answer, result, success) in cases {
            try await run(answer) { api, transport in
                let admin = try await api.addAdmin()
                let report = try await api.send(.post, "/api/v1/admin/models/test", Self.ask, as: admin)
                #expect(report.status == 200 && report["result"]?.stringValue == result, "\(report.text)")
                #expect(report["success"]?.boolValue == success)
                let request = try #require(transport.requests.first)
                #expect(request.url == "https://models.example.com/v1/models" && request.addresses == AddressPolicy())
                #expect(request.header("authorization") == "Bearer sk-given")
                #expect(request.limits.totalTimeout == .seconds(10) && request.limits.maxResponseBytes == 1 << 20)
            }
        }
    }

    @Test("no more than ten names are passed on, and nothing else of the answer")
    func bounded() async throws {
        try await run(.success(list((1...30).map { "m\($0)" }))) { api, _ in
            let admin = try await api.addAdmin()
            let report = try await api.send(.post, "/api/v1/admin/models/test", Self.ask, as: admin)
            #expect(report["availableModels"]?.arrayValue?.count == 10)
        }
        try await run(.success(HTTPClientResponse(status: 500, body: Array("inner secret".utf8)))) { api, _ in
            let admin = try await api.addAdmin()
            let report = try await api.send(.post, "/api/v1/admin/models/test", Self.ask, as: admin)
            #expect(!report.text.contains("inner secret"))
        }
    }

    @Test("the stored key goes to the model's own endpoint only")
    func storedKey() async throws {
        try await run(.success(list(["m3"]))) { api, transport in
            let admin = try await api.addAdmin()
            func ask(_ base: String, _ id: String) async throws -> Answer {
                try await api.send(
                    .post, "/api/v1/admin/models/test",
                    ["api_base": .string(base), "backend_model_name": "m3", "model_id": .string(id)], as: admin)
            }
            #expect(try await ask("https://own.example.com", "gpt")["result"] == "missing_stored_key")
            let new = NewModel(
                modelId: "gpt", backendModelName: "m3", parameters: ModelParameters(), apiKey: Secret("sk-stored"))
            try await api.database.client.withTransaction { transaction in
                var model = new
                model.parameters.apiBase = "https://own.example.com"
                _ = try await api.dependencies.adminModels.administration.create(
                    model, by: AuditActor.system, in: transaction)
            }
            let foreign = try await ask("https://evil.example.com", "gpt")
            #expect(foreign.status == 400 && foreign.refusedFields == ["api_base"])
            #expect(transport.requests.isEmpty)
            #expect(try await ask("https://own.example.com/", "gpt")["result"] == "model_found")
            #expect(transport.requests.first?.header("authorization") == "Bearer sk-stored")
        }
    }

    @Test("what is no plain http URL is refused")
    func urls() async throws {
        try await run(.success(list([]))) { api, transport in
            let admin = try await api.addAdmin()
            for base in ["file:///etc/passwd", "gopher://x", "https://", "https://u:p@h/v1", "https://h/?a=b", "x"] {
                let answer = try await api.send(
                    .post, "/api/v1/admin/models/test",
                    ["api_base": .string(base), "backend_model_name": "m"], as: admin)
                #expect(answer.refusedFields == ["api_base"], "\(base)")
            }
            #expect(transport.requests.isEmpty)
        }
    }
}

@Suite("The catalogue as a whole", .needsDatabase, .hangGuard)
struct ModelStatusRouteTests {
    @Test("samples are shown until something was taken over, marked, and nobody can ask for them")
    func samples() async throws {
        try await APIHarness.run { api in
            let list = try await api.send(.get, "/api/v1/models?capability=embeddings")
            #expect(list["pagination", "total"] == 1 && list["data", "0", "isSample"] == true)
            #expect(list["data", "0", "isActive"] == false)
            #expect(try await api.send(.get, "/api/v1/models/gpt-sample")["isSample"] == true)
            #expect(try await api.send(.get, "/api/v1/models/providers")["providers"]?.arrayValue?.count == 3)
            let key = try await api.send(
                .post, "/api/v1/api-keys", ["modelIds": ["gpt-sample"]], as: try await api.addUser())
            #expect(key.status == 400)
            try await api.addModels("alpha")
            #expect(try await api.send(.get, "/api/v1/models")["data", "0", "isSample"] == nil)
            #expect(try await api.send(.get, "/api/v1/models/gpt-sample").status == 404)
            #expect(try await api.send(.get, "/api/v1/models?search=none")["pagination", "total"] == 0)
        }
    }

    @Test("providers, capabilities, numbers, findings and health come from our tables")
    func status() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let before = try await api.send(.get, "/api/v1/models/health")
            #expect(before.status == 200 && before["status"] == "error" && before["litellmConnected"] == true)
            try await api.addModels("alpha", "org/beta", "gone")
            try await api.database.client.query("update models set availability = 'unavailable' where id = 'gone'")
            try await api.database.client.withTransaction { transaction in
                _ = try await PostgresModelStore().record(
                    ModelSyncRecord(
                        jobId: 1, success: true, total: 2, added: 2, updated: 0, unavailable: 0, problems: []),
                    in: transaction)
            }
            let providers = try await api.send(.get, "/api/v1/models/providers")
            #expect(
                providers["providers"] == [
                    ["name": "openai", "displayName": "OpenAI", "modelCount": 2, "capabilities": ["chat"]]
                ])
            let capabilities = try await api.send(.get, "/api/v1/models/capabilities")
            #expect(capabilities["capabilities", "0", "name"] == "chat")
            #expect(capabilities["capabilities", "0", "modelCount"] == 2)
            let stats = try await api.send(.get, "/api/v1/models/sync/stats", as: user)
            #expect(stats["totalModels"] == 3 && stats["availableModels"] == 2 && stats["unavailableModels"] == 1)
            #expect(stats["lastSyncAt"] != nil)
            let findings = try await api.send(.get, "/api/v1/models/validate", as: user)
            #expect(findings["validModels"] == 2 && findings["invalidModels"] == ["gone"])
            #expect(findings["orphanedSubscriptions"] == 0)
            let healthy = try await api.send(.get, "/api/v1/models/health")
            #expect(healthy["status"] == "healthy" && healthy["issues"] == [] && healthy["modelsCount"] == 2)
            let refreshed = try await api.send(.post, "/api/v1/models/refresh", as: try await api.addAdmin())
            #expect(refreshed.status == 202 && refreshed["job", "kind"] == "model.sync")
            #expect(refreshed["modelsCount"] == 2 && refreshed["refreshedAt"] != nil)
        }
    }
}
