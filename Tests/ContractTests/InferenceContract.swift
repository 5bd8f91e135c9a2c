import Testing

extension Contract {
    /// What a key may do with a model.
    @Suite struct Inference {
        @Test(arguments: Target.all)
        func `a chat answers in OpenAI's shape`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey(["models": [.string(model)]])
                let answer = try await world.chat(secret, model)
                #expect(answer.status == 200, "\(answer)")
                #expect(answer.json["object"] == "chat.completion")
                #expect(answer.json["model"]?.string == model)
                let choice = answer.json["choices"]?[0]
                #expect(choice?["message"]?["role"] == "assistant")
                #expect(choice?["message"]?["content"] == "Hello.")
                #expect(choice?["finish_reason"] == "stop")
                let usage = answer.json["usage"]
                let prompt = try #require(usage?["prompt_tokens"]?.number)
                let completion = try #require(usage?["completion_tokens"]?.number)
                #expect(prompt > 0)
                #expect(completion > 0)
                #expect(usage?["total_tokens"]?.number == prompt + completion)
                #expect(answer.headers["x-litellm-model-id"] == world.name("model"))
                #expect(answer.headers["x-litellm-call-id"] != nil)
                let cost = try #require(answer.headers["x-litellm-response-cost"].flatMap(Double.init))
                #expect(abs(cost - (prompt * 0.001 + completion * 0.002)) < 1e-9)
            }
        }

        @Test(arguments: Target.all)
        func `a stream ends with DONE`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey()
                let answer = try await world.chat(secret, model, ["stream": true])
                #expect(answer.status == 200)
                #expect(answer.headers["content-type"]?.hasPrefix("text/event-stream") == true)
                #expect(answer.text.hasPrefix("data: {"))
                #expect(answer.text.contains("\"chat.completion.chunk\""))
                #expect(answer.text.hasSuffix("data: [DONE]\n\n"))
            }
        }

        @Test(arguments: Target.all)
        func `a key sees and uses its own models only`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let other = try await world.makeModel("other")
                let secret = try await world.makeKey(["models": [.string(other)]])
                let denied = try await world.chat(secret, model)
                #expect(denied.status == 403)
                #expect(denied.type == "key_model_access_denied")
                #expect(denied.json["error"]?["param"] == "model")
                #expect(try await world.chat(secret, other).status == 200)
                let list = try await world.wire.send("GET", "/models", key: secret)
                #expect(list.json["data"]?.elements.compactMap { $0["id"]?.string } == [other])
            }
        }

        @Test(arguments: Target.all)
        func `a team's models bind its keys`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let team = try await world.makeTeam(["models": ["some-other-model"]])
                let secret = try await world.makeKey(["team_id": .string(team)])
                let denied = try await world.chat(secret, model)
                #expect(denied.status == 403)
                #expect(denied.type == "team_model_access_denied")
            }
        }

        @Test(arguments: Target.all)
        func `a request that makes no sense is a 400 in OpenAI's words`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey()
                let unknown = try await world.chat(secret, "ct-no-such-model")
                #expect(unknown.status == 400)
                #expect(unknown.type == "invalid_request_error")
                #expect(unknown.message?.contains("Invalid model name passed in model=ct-no-such-model.") == true)
                let empty = try await world.wire.send(
                    "POST", "/v1/chat/completions", ["model": .string(model)], key: secret)
                #expect(empty.status == 400)
                #expect(empty.json["error"]?["param"] == "messages")
                let broken = try await world.wire.send("POST", "/chat/completions", key: secret, raw: "{oops}")
                #expect(broken.status == 400)
                #expect(broken.type == "invalid_request_error")
            }
        }

        @Test(arguments: Target.all)
        func `a blocked, a deleted and an unknown key are a 401`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey()
                #expect(try await world.chat(secret, model).status == 200)
                _ = try await world.wire.post("/key/block", ["key": .string(secret)])
                #expect(try await world.chat(secret, model).status == 401)
                _ = try await world.wire.post("/key/unblock", ["key": .string(secret)])
                #expect(try await world.chat(secret, model).status == 200)
                _ = try await world.wire.post("/key/delete", ["keys": [.string(secret)]])
                let deleted = try await world.chat(secret, model)
                #expect(deleted.status == 401)
                #expect(deleted.type == "token_not_found_in_db")
                #expect(try await world.chat(world.secret("none"), model).status == 401)
            }
        }

        @Test(arguments: Target.all)
        func `an expired key is a 401 of its own type`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["duration": "1s"])
                let answer = try await eventually { () -> WireAnswer? in
                    let answer = try await world.wire.send("GET", "/key/info", key: secret)
                    return answer.status == 401 ? answer : nil
                }
                #expect(answer.type == "expired_key")
                #expect(answer.message?.hasPrefix("Authentication Error - Expired Key.") == true)
                #expect(try await world.info(secret)["status"] == "expired")
            }
        }

        @Test(arguments: Target.all)
        func `a budget of nothing refuses the first call with 422`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey(["max_budget": 0])
                let answer = try await world.chat(secret, model)
                #expect(answer.status == 422)
                #expect(answer.type == "budget_exceeded")
                #expect(answer.message?.hasPrefix("Budget has been exceeded! Key=\(world.name("key"))") == true)
            }
        }

        @Test(arguments: Target.all)
        func `one call may go beyond a budget, the next is refused`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel(input: 1, output: 1)
                let secret = try await world.makeKey(["max_budget": 0.5])
                #expect(try await world.chat(secret, model).status == 200)
                #expect(try await world.chat(secret, model).status == 422)
                _ = try await world.wire.post("/key/update", ["key": .string(secret), "max_budget": 1000])
                #expect(try await world.chat(secret, model).status == 200)
            }
        }

        @Test(arguments: Target.all)
        func `a limit of one request a minute refuses the second with Retry-After`(_ target: Target) async throws {
            try await World.on(target) { world in
                let model = try await world.makeModel()
                let secret = try await world.makeKey(["rpm_limit": 1])
                #expect(try await world.chat(secret, model).status == 200)
                let answer = try await world.chat(secret, model)
                #expect(answer.status == 429)
                #expect(answer.type == "throttling_error")
                #expect(answer.headers["retry-after"] != nil)
                #expect(
                    answer.message?.contains("Rate limit exceeded for api_key: \(Wire.hash(secret)).") == true)
            }
        }
    }
}

/// Asks until there is an answer.
///
/// - Throws: after a minute without one, or what `body` throws.
func eventually<Result>(_ body: () async throws -> Result?) async throws -> Result {
    let deadline = ContinuousClock.now + .seconds(60)
    while ContinuousClock.now < deadline {
        if let result = try await body() { return result }
        try await Task.sleep(for: .milliseconds(200))
    }
    return try #require(try await body(), "nothing happened within a minute")
}
