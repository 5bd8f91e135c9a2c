import Testing

extension Contract {
    /// POST /key/update and /key/{key}/reset_spend.
    @Suite struct ChangingKeys {
        @Test(arguments: Target.all)
        func `an update changes what it names, and may be repeated`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["max_budget": 1, "tpm_limit": 5])
                for _ in 1...2 {
                    let answer = try await world.wire.post(
                        "/key/update", ["key": .string(Wire.hash(secret)), "max_budget": 20, "models": ["a", "b"]])
                    #expect(answer.status == 200)
                    #expect(answer.json["key"]?.string == Wire.hash(secret))
                    #expect(answer.json["max_budget"] == 20)
                }
                let info = try await world.info(secret)
                #expect(info["max_budget"] == 20)
                #expect(info["models"] == ["a", "b"])
                #expect(info["tpm_limit"] == 5)
                #expect(info["key_alias"]?.string == world.name("key"))
                #expect(info["settings_updated_at"]?.string != nil)
            }
        }

        @Test(arguments: Target.all)
        func `null clears, and metadata is replaced as a whole`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey([
                    "max_budget": 1, "tpm_limit": 5, "budget_duration": "30d", "metadata": ["a": 1, "b": 2],
                ])
                let answer = try await world.wire.post(
                    "/key/update",
                    [
                        "key": .string(secret), "max_budget": .null, "tpm_limit": .null, "budget_duration": .null,
                        "metadata": ["c": 3],
                    ])
                #expect(answer.status == 200)
                let info = try await world.info(secret)
                #expect(info["max_budget"] == .null)
                #expect(info["tpm_limit"] == .null)
                #expect(info["budget_duration"] == .null)
                #expect(info["metadata"] == ["c": 3])
            }
        }

        @Test(arguments: Target.all)
        func `lists and objects cannot be null`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["models": ["a"], "metadata": ["a": 1]])
                for member in ["models", "metadata"] {
                    let answer = try await world.wire.post("/key/update", ["key": .string(secret), "\(member)": .null])
                    #expect(answer.status == 400, "\(member)")
                }
                let info = try await world.info(secret)
                #expect(info["models"] == ["a"])
                #expect(info["metadata"] == ["a": 1])
            }
        }

        @Test(arguments: Target.all)
        func `a duration sets when a key expires, and -1 takes it away`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                _ = try await world.wire.post("/key/update", ["key": .string(secret), "duration": "30d"])
                #expect(try await world.info(secret)["expires"]?.string != nil)
                _ = try await world.wire.post("/key/update", ["key": .string(secret), "duration": "-1"])
                #expect(try await world.info(secret)["expires"] == .null)
            }
        }

        @Test(arguments: Target.all)
        func `an alias must be free, but may be the key's own`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                _ = try await world.makeKey([:], "second")
                let taken = try await world.wire.post(
                    "/key/update", ["key": .string(secret), "key_alias": .string(world.name("second"))])
                #expect(taken.status == 400)
                #expect(taken.json["error"]?["param"] == "key_alias")
                let own = try await world.wire.post(
                    "/key/update", ["key": .string(secret), "key_alias": .string(world.name("key"))])
                #expect(own.status == 200)
            }
        }

        @Test(arguments: Target.all)
        func `an update that cannot be is refused with the reason`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = JSON.string(try await world.makeKey())
                let negative = try await world.wire.post("/key/update", ["key": secret, "max_budget": -1])
                #expect(negative.status == 400)
                #expect(negative.type == "auth_error")
                let team = try await world.wire.post("/key/update", ["key": secret, "team_id": "ct-no-such-team"])
                #expect(team.status == 404)
                #expect(team.message?.contains("Team=ct-no-such-team") == true)
                let alias = try await world.wire.post("/key/update", ["key_alias": "ct-no-such-alias"])
                #expect(alias.status == 404)
                #expect(alias.message == "Key not found. No key with key_alias='ct-no-such-alias'.")
                let nameless = try await world.wire.post("/key/update", ["max_budget": 1])
                #expect(nameless.status == 422)
            }
        }

        @Test(arguments: Target.all)
        func `spend is reset to what is asked`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey()
                let hash = Wire.hash(secret)
                _ = try await world.wire.post("/key/update", ["key": .string(secret), "spend": 5])
                let answer = try await world.wire.post("/key/\(hash)/reset_spend", ["reset_to": 1])
                #expect(answer.status == 200)
                #expect(answer.json["key_hash"]?.string == hash)
                #expect(answer.json["previous_spend"] == 5)
                #expect(answer.json["spend"] == 1)
                let more = try await world.wire.post("/key/\(hash)/reset_spend", ["reset_to": 10])
                #expect(more.status == 400)
                #expect(more.detail == "reset_to (10.0) must be <= current spend (1.0)")
                let unknown = try await world.wire.post(
                    "/key/\(Wire.hash(world.secret("none")))/reset_spend", ["reset_to": 0])
                #expect(unknown.status == 404)
            }
        }
    }

    /// GET /key/list.
    @Suite struct ListingKeys {
        @Test(arguments: Target.all)
        func `an alias finds its key and nothing else`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey([:], "one")
                _ = try await world.makeKey([:], "one-more")
                let found = try await world.wire.get("/key/list", ["key_alias": world.name("one")])
                #expect(found.json["keys"] == [.string(Wire.hash(secret))])
                #expect(found.json["total_count"] == 1)
                #expect(found.json["current_page"] == 1)
                #expect(found.json["total_pages"] == 1)
                let part = try await world.wire.get(
                    "/key/list", ["key_alias": world.name("one"), "substring_matching": "true"])
                #expect(part.json["total_count"] == 2)
                let hash = try await world.wire.get("/key/list", ["key_hash": Wire.hash(secret)])
                #expect(hash.json["total_count"] == 1)
                let none = try await world.wire.get("/key/list", ["key_alias": world.name("none")])
                #expect(none.status == 200)
                #expect(none.json["keys"] == [])
                #expect(none.json["total_pages"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `keys come in pages, the newest first`(_ target: Target) async throws {
            try await World.on(target) { world in
                let user = try await world.makeUser()
                var hashes: [JSON] = []
                for what in ["one", "two", "three"] {
                    hashes.append(.string(Wire.hash(try await world.makeKey(["user_id": .string(user)], what))))
                }
                var listed: [JSON] = []
                for page in 1...3 {
                    let answer = try await world.wire.get(
                        "/key/list", ["user_id": user, "size": "1", "page": "\(page)"])
                    #expect(answer.json["total_count"] == 3)
                    #expect(answer.json["total_pages"] == 3)
                    #expect(answer.json["current_page"]?.number == Double(page))
                    listed += answer.json["keys"]?.elements ?? []
                }
                #expect(listed == hashes.reversed())
                let beyond = try await world.wire.get("/key/list", ["user_id": user, "size": "1", "page": "9"])
                #expect(beyond.status == 200)
                #expect(beyond.json["keys"] == [])
            }
        }

        @Test(arguments: Target.all)
        func `full rows carry the token`(_ target: Target) async throws {
            try await World.on(target) { world in
                let secret = try await world.makeKey(["metadata": ["a": 1]])
                let answer = try await world.wire.get(
                    "/key/list", ["key_alias": world.name("key"), "return_full_object": "true"])
                let row = answer.json["keys"]?[0]
                #expect(row?["token"]?.string == Wire.hash(secret))
                #expect(row?["key_alias"]?.string == world.name("key"))
                #expect(row?["metadata"] == ["a": 1])
                #expect(row?["created_at"]?.string?.hasSuffix("Z") == true)
                #expect(row?.members.keys.contains("org_id") == true)
            }
        }

        @Test(arguments: Target.all)
        func `deleted and blocked keys have lists of their own`(_ target: Target) async throws {
            try await World.on(target) { world in
                _ = try await world.makeKey(["blocked": true], "blocked")
                let gone = try await world.makeKey([:], "gone")
                _ = try await world.wire.post("/key/delete", ["keys": [.string(gone)]])
                func count(_ what: String, _ status: String) async throws -> JSON? {
                    try await world.wire.get("/key/list", ["key_alias": world.name(what), "status": status])
                        .json["total_count"]
                }
                #expect(try await count("blocked", "revoked") == 1)
                #expect(try await count("blocked", "active") == 0)
                #expect(try await count("gone", "deleted") == 1)
                #expect(
                    try await world.wire.get("/key/list", ["key_alias": world.name("gone")]).json["total_count"] == 0)
                #expect(try await world.wire.get("/key/list", ["status": "nonsense"]).status == 400)
            }
        }

        @Test(arguments: Target.all)
        func `a page size beyond the limit is a 422`(_ target: Target) async throws {
            try await World.on(target) { world in
                let large = try await world.wire.get("/key/list", ["size": "1000"])
                #expect(large.status == 422)
                #expect(large.violation?["type"] == "less_than_equal")
                #expect(large.violation?["loc"] == ["query", "size"])
                #expect(try await world.wire.get("/key/list", ["page": "0"]).status == 422)
            }
        }
    }
}
