import Testing

extension Contract {
    /// POST /key/generate and GET /key/info.
    @Suite struct MakingKeys {
        @Test(arguments: Target.all)
        func `the token of a chosen key is the hash of its secret`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = world.secret()
                let answer = try await world.wire.post("/key/generate", ["key": .string(secret)])
                #expect(answer.status == 200)
                #expect(answer.json["key"]?.string == secret)
                #expect(answer.json["token"]?.string == Wire.hash(secret))
                #expect(answer.json["token_id"]?.string == Wire.hash(secret))
            }
        }

        @Test(arguments: Target.all)
        func `the same key and alias again is refused and changes nothing`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = world.secret()
                let alias = world.name("alias")
                let first = try await world.wire.post(
                    "/key/generate",
                    ["key": .string(secret), "key_alias": .string(alias), "metadata": ["try": 1]])
                #expect(first.status == 200)
                let second = try await world.wire.post(
                    "/key/generate",
                    ["key": .string(secret), "key_alias": .string(alias), "metadata": ["try": 2]])
                #expect(second.status == 400)
                #expect(
                    second.message
                        == "Key with alias '\(alias)' already exists. Unique key aliases across all keys are required.")
                #expect(second.type == "bad_request_error")
                #expect(second.json["error"]?["param"] == "key_alias")
                #expect(second.json["error"]?["code"] == "400")
                #expect(try await world.info(secret)["metadata"] == ["try": 1])
            }
        }

        @Test(arguments: Target.all)
        func `a known key without an alias is echoed with 200 and stays as it was`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["max_budget": 1, "metadata": ["try": 1]])
                let again = try await world.wire.post(
                    "/key/generate", ["key": .string(secret), "max_budget": 2, "metadata": ["try": 2]])
                #expect(again.status == 200)
                #expect(again.json["max_budget"] == 2)
                #expect(again.json["metadata"] == ["try": 2])
                #expect(again.json["token"]?.string == Wire.hash(secret))
                let stored = try await world.info(secret)
                #expect(stored["max_budget"] == 1)
                #expect(stored["metadata"] == ["try": 1])
            }
        }

        @Test(arguments: Target.all)
        func `a known key with another alias is echoed with 200 and the alias is not taken`(
            _ target: Target
        ) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                let other = world.name("other")
                let again = try await world.wire.post(
                    "/key/generate", ["key": .string(secret), "key_alias": .string(other)])
                #expect(again.status == 200)
                #expect(again.json["key_alias"]?.string == other)
                #expect(try await world.info(secret)["key_alias"]?.string == world.name("key"))
                let list = try await world.wire.get("/key/list", ["key_alias": other])
                #expect(list.json["total_count"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `a key is read back by secret and by hash`(_ target: Target) async throws {
            try await World.on(target) { world in
                let user = try await world.makeUser()
                let team = try await world.makeTeam()
                let secret = try await world.makeKey([
                    "user_id": .string(user), "team_id": .string(team), "models": ["some-model"], "max_budget": 10,
                    "budget_duration": "30d", "duration": "90d", "tpm_limit": 1000, "rpm_limit": 60,
                    "metadata": ["created_by": "litemaas", "client": ["a": 1]],
                ])
                for name in [secret, Wire.hash(secret)] {
                    let answer = try await world.wire.get("/key/info", ["key": name])
                    #expect(answer.status == 200)
                    #expect(answer.json["key"]?.string == name)
                    let info = try #require(answer.json["info"])
                    #expect(info["status"] == "active")
                    #expect(info["key_alias"]?.string == world.name("key"))
                    #expect(info["user_id"]?.string == user)
                    #expect(info["team_id"]?.string == team)
                    #expect(info["models"] == ["some-model"])
                    #expect(info["max_budget"] == 10)
                    #expect(info["budget_duration"] == "30d")
                    #expect(info["budget_reset_at"]?.string?.contains("-01T00:00:00") == true)
                    #expect(info["tpm_limit"] == 1000)
                    #expect(info["rpm_limit"] == 60)
                    #expect(info["expires"]?.string?.hasSuffix("+00:00") == true)
                    #expect(info["metadata"] == ["created_by": "litemaas", "client": ["a": 1]])
                    #expect(info["spend"] == 0)
                    #expect(info["blocked"] == .null)
                    #expect(info["token"] == nil)
                }
            }
        }

        @Test(arguments: Target.all)
        func `a key nobody made is not found`(_ target: Target) async throws {
            try await World.on(target) { world in
                for name in [world.secret("none"), Wire.hash(world.secret("none"))] {
                    let answer = try await world.wire.get("/key/info", ["key": name])
                    #expect(answer.status == 404)
                    #expect(answer.message == "Key not found in database")
                    #expect(answer.type == "not_found_error")
                }
            }
        }

        @Test(arguments: Target.all)
        func `a key can be made blocked`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["blocked": true])
                #expect(try await world.info(secret)["status"] == "revoked")
                let own = try await world.wire.send("GET", "/key/info", key: secret)
                #expect(own.status == 401)
            }
        }

        @Test(arguments: Target.all)
        func `an unknown user gets a key but no row`(_ target: Target) async throws {
            try await World.on(target) { world in
                let user = world.user("ghost")
                _ = try await world.makeKey(["user_id": .string(user)])
                let info = try await world.wire.get("/user/info", ["user_id": user])
                #expect(info.status == 404)
            }
        }

        @Test(arguments: Target.all)
        func `an unknown team gets a key that cannot be used`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = world.team("ghost")
                let secret = try await world.makeKey(["team_id": .string(team)])
                let chat = try await world.chat(secret, "any-model")
                #expect(chat.status == 404)
                #expect(chat.message?.contains("Team doesn't exist in db. Team=\(team).") == true)
            }
        }

        @Test(arguments: Target.all)
        func `a key that cannot be is refused with the reason`(_ target: Target) async throws {
            try await World.on(target) { world in
                let refused: [(JSON, Int, String)] = [
                    (["key": "sk-short"], 400, "must be at least 16 characters long"),
                    (["key": "abc-0123456789-0123456789"], 400, "must start with 'sk-'"),
                    (["max_budget": -1], 400, "max_budget must be a non-negative finite number. Received: -1.0"),
                    (["budget_duration": "nonsense"], 400, "Invalid budget_duration 'nonsense'."),
                    (["duration": "nonsense"], 500, "Invalid duration format"),
                    (["tags": ["a"]], 403, "only available for LiteLLM Enterprise users: tags"),
                ]
                for (body, status, reason) in refused {
                    let answer = try await world.wire.post("/key/generate", body)
                    #expect(answer.status == status, "\(body)")
                    #expect(answer.message?.contains(reason) == true, "\(answer)")
                }
            }
        }

        @Test(arguments: Target.all)
        func `a body of the wrong shape is a 422 that names the member`(_ target: Target) async throws {
            try await World.on(target) { world in
                let number = try await world.wire.post("/key/generate", ["max_budget": "abc"])
                #expect(number.status == 422)
                #expect(number.violation?["type"] == "float_parsing")
                #expect(number.violation?["loc"] == ["body", "max_budget"])
                let list = try await world.wire.post("/key/generate", ["models": "m"])
                #expect(list.violation?["type"] == "list_type")
                let none = try await world.wire.send("POST", "/key/generate", key: world.wire.masterKey)
                #expect(none.status == 422)
                #expect(none.violation?["type"] == "missing")
                let broken = try await world.wire.send(
                    "POST", "/key/generate", key: world.wire.masterKey, raw: "{oops}")
                #expect(broken.status == 422)
                #expect(broken.violation?["type"] == "json_invalid")
                let array = try await world.wire.send("POST", "/key/generate", key: world.wire.masterKey, raw: "[]")
                #expect(array.status == 500)
                #expect(array.message == "Internal server error")
            }
        }
    }

    /// POST /key/block, /key/unblock and /key/delete, and what a late /key/generate does to their work.
    @Suite struct EndingKeys {
        @Test(arguments: Target.all)
        func `a blocked key is refused everywhere at once`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                #expect(try await world.wire.send("GET", "/key/info", key: secret).status == 200)
                for _ in 1...2 {
                    let block = try await world.wire.post("/key/block", ["key": .string(Wire.hash(secret))])
                    #expect(block.status == 200)
                    #expect(block.json["blocked"] == true)
                    #expect(block.json["token"]?.string == Wire.hash(secret))
                }
                let info = try await world.info(secret)
                #expect(info["blocked"] == true)
                #expect(info["status"] == "revoked")
                for path in ["/key/info", "/models"] {
                    let answer = try await world.wire.send("GET", path, key: secret)
                    #expect(answer.status == 401)
                    #expect(answer.message?.contains("Key is blocked.") == true)
                    #expect(answer.type == "auth_error")
                }
            }
        }

        @Test(arguments: Target.all)
        func `unblocking gives a key back, and may be repeated`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["blocked": true])
                for _ in 1...2 {
                    let answer = try await world.wire.post("/key/unblock", ["key": .string(secret)])
                    #expect(answer.status == 200)
                    #expect(answer.json["blocked"] == false)
                }
                #expect(try await world.info(secret)["status"] == "active")
                #expect(try await world.wire.send("GET", "/key/info", key: secret).status == 200)
            }
        }

        @Test(arguments: Target.all)
        func `a late generate does not revive a blocked key`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                _ = try await world.wire.post("/key/block", ["key": .string(secret)])
                let late = try await world.wire.post("/key/generate", ["key": .string(secret)])
                #expect(late.status == 200)
                #expect(try await world.info(secret)["blocked"] == true)
                #expect(try await world.wire.send("GET", "/key/info", key: secret).status == 401)
            }
        }

        @Test(arguments: Target.all)
        func `a deleted key is shown as deleted, and deleting it again is a 404`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                let hash = Wire.hash(secret)
                let first = try await world.wire.send(
                    "POST", "/key/delete", ["keys": [.string(hash)]], key: world.wire.masterKey,
                    headers: ["litellm-changed-by": "job-8"])
                #expect(first.status == 200)
                #expect(first.json == ["deleted_keys": [.string(hash)]])
                let again = try await world.wire.post("/key/delete", ["keys": [.string(hash)]])
                #expect(again.status == 404)
                #expect(again.message == "{'error': 'No keys found'}")
                let info = try await world.info(secret)
                #expect(info["status"] == "deleted")
                #expect(info["key_alias"]?.string == world.name("key"))
                #expect(info["deleted_at"]?.string != nil)
                #expect(info["litellm_changed_by"] == "job-8")
                let own = try await world.wire.send("GET", "/key/info", key: secret)
                #expect(own.status == 401)
                #expect(own.type == "token_not_found_in_db")
            }
        }

        @Test(arguments: Target.all)
        func `a late generate revives a deleted key`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["metadata": ["try": 1]])
                _ = try await world.wire.post("/key/delete", ["keys": [.string(secret)]])
                _ = try await world.makeKey(["metadata": ["try": 2]])
                let info = try await world.info(secret)
                #expect(info["status"] == "active")
                #expect(info["metadata"] == ["try": 2])
                #expect(try await world.wire.send("GET", "/key/info", key: secret).status == 200)
            }
        }

        @Test(arguments: Target.all)
        func `one known key among the deleted makes the answer echo all`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                let both: JSON = [.string(secret), .string(world.secret("none"))]
                let answer = try await world.wire.post("/key/delete", ["keys": both])
                #expect(answer.status == 200)
                #expect(answer.json["deleted_keys"] == both)
                #expect(try await world.info(secret)["status"] == "deleted")
            }
        }

        @Test(arguments: Target.all)
        func `a key is deleted by its alias`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                let answer = try await world.wire.post("/key/delete", ["key_aliases": [.string(world.name("key"))]])
                #expect(answer.status == 200)
                #expect(try await world.info(secret)["status"] == "deleted")
                let nothing = try await world.wire.post("/key/delete", [:])
                #expect(nothing.status == 422)
                #expect(nothing.violation?["type"] == "value_error")
            }
        }

        @Test(arguments: Target.all)
        func `what is not there cannot be blocked, unblocked or updated`(_ target: Target) async throws {
            try await World.on(target) { world in
                for path in ["/key/block", "/key/unblock", "/key/update"] {
                    let answer = try await world.wire.post(path, ["key": .string(world.secret("none"))])
                    #expect(answer.status == 404, "\(path)")
                    #expect(answer.message == "Key not found.")
                    #expect(answer.type == "not_found_error")
                }
                let neither = try await world.wire.post("/key/block", ["key": "neither-secret-nor-hash"])
                #expect(neither.status == 400)
                #expect(neither.message == "Invalid key format.")
                let nameless = try await world.wire.post("/key/block", [:])
                #expect(nameless.status == 422)
                #expect(nameless.violation?["loc"] == ["body", "key"])
            }
        }
    }
}
