import Testing

extension Contract {
    /// The model endpoints.
    @Suite struct ModelsOfLiteLLM {
        @Test(arguments: Target.all)
        func `a deployment is told by its id, with prices and without its key`(_ target: Target) async throws {
            try await World.on(target) { world in
                let name = try await world.makeModel(input: 0.001, output: 0.002)
                let answer = try await world.wire.get("/v1/model/info", ["litellm_model_id": world.name("model")])
                #expect(answer.status == 200)
                #expect(answer.json["data"]?.elements.count == 1)
                let entry = try #require(answer.json["data"]?[0])
                #expect(entry["model_name"]?.string == name)
                #expect(entry["litellm_params"]?["model"]?.string == "openai/\(name)")
                #expect(entry["litellm_params"]?["api_key"] == nil)
                #expect(entry["model_info"]?["id"]?.string == world.name("model"))
                #expect(entry["model_info"]?["input_cost_per_token"] == 0.001)
                #expect(entry["model_info"]?["output_cost_per_token"] == 0.002)
                #expect(entry["model_info"]?["mode"] == "chat")
                #expect(entry["model_info"]?["db_model"] == true)
                #expect(entry["model_info"]?["litellm_provider"] == "openai")
            }
        }

        @Test(arguments: Target.all)
        func `every listing shows a model at once`(_ target: Target) async throws {
            try await World.on(target) { world in
                let name = try await world.makeModel()
                for path in ["/model/info", "/v1/model/info"] {
                    let answer = try await world.wire.get(path)
                    let entry = answer.json["data"]?.elements.first { $0["model_name"]?.string == name }
                    #expect(entry?["model_info"]?["id"]?.string == world.name("model"), "\(path)")
                    #expect(entry?["model_info"]?["direct_access"] == true)
                }
                let pages = try await world.wire.get("/v2/model/info", ["search": name, "size": "5"])
                #expect(pages.json["total_count"] == 1)
                #expect(pages.json["total_pages"] == 1)
                #expect(pages.json["current_page"] == 1)
                #expect(pages.json["size"] == 5)
                #expect(pages.json["data"]?[0]?["model_name"]?.string == name)
                let groups = try await world.wire.get("/model_group/info")
                let group = groups.json["data"]?.elements.first { $0["model_group"]?.string == name }
                #expect(group?["input_cost_per_token"] == 0.001)
                #expect(group?["providers"] == ["openai"])
                for path in ["/models", "/v1/models"] {
                    let answer = try await world.wire.get(path)
                    #expect(answer.json["object"] == "list")
                    #expect(answer.json["data"]?.elements.contains { $0["id"]?.string == name } == true)
                }
            }
        }

        @Test(arguments: Target.all)
        func `an id nobody made is a 400`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.model("none")
                let info = try await world.wire.get("/v1/model/info", ["litellm_model_id": id])
                #expect(info.status == 400)
                #expect(info.detail == "Model id = \(id) not found on litellm proxy")
                let delete = try await world.wire.post("/model/delete", ["id": .string(id)])
                #expect(delete.status == 400)
                #expect(delete.message == "{'error': 'Model with id=\(id) not found in db'}")
                let update = try await world.wire.post(
                    "/model/update",
                    ["model_name": "x", "litellm_params": ["model": "openai/x"], "model_info": ["id": .string(id)]])
                #expect(update.status == 400)
            }
        }

        @Test(arguments: Target.all)
        func `an id is made once`(_ target: Target) async throws {
            try await World.on(target) { world in
                let name = try await world.makeModel()
                let again = try await world.wire.post(
                    "/model/new",
                    [
                        "model_name": .string(name), "litellm_params": ["model": "openai/x", "mock_response": "Hi."],
                        "model_info": ["id": .string(world.name("model"))],
                    ])
                #expect(again.status == 500)
                #expect(again.message?.contains("Failed to add model to db.") == true)
            }
        }

        @Test(arguments: Target.all)
        func `an update merges, and may be repeated`(_ target: Target) async throws {
            try await World.on(target) { world in
                let name = try await world.makeModel()
                let id = world.name("model")
                for _ in 1...2 {
                    let answer = try await world.wire.post(
                        "/model/update",
                        [
                            "model_name": .string(name),
                            "litellm_params": ["model": .string("openai/\(name)"), "input_cost_per_token": 0.005],
                            "model_info": ["id": .string(id)],
                        ])
                    #expect(answer.status == 200)
                    #expect(answer.json["model_id"]?.string == id)
                    #expect(answer.json["litellm_params"]?["model"]?.string != "openai/\(name)")
                }
                let entry = try await world.wire.get("/v1/model/info", ["litellm_model_id": id]).json["data"]?[0]
                #expect(entry?["model_info"]?["input_cost_per_token"] == 0.005)
                #expect(entry?["model_info"]?["output_cost_per_token"] == 0.002)
            }
        }

        @Test(arguments: Target.all)
        func `a model is deleted once`(_ target: Target) async throws {
            try await World.on(target) { world in
                _ = try await world.makeModel()
                let body: JSON = ["id": .string(world.name("model"))]
                let first = try await world.wire.post("/model/delete", body)
                #expect(first.status == 200)
                #expect(first.json["message"]?.string == "Model: \(world.name("model")) deleted successfully")
                #expect(try await world.wire.post("/model/delete", body).status == 400)
                let info = try await world.wire.get("/v1/model/info", ["litellm_model_id": world.name("model")])
                #expect(info.status == 400)
            }
        }
    }
}
