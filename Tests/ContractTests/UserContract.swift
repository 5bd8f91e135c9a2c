import Testing

extension Contract {
    /// The /user endpoints.
    @Suite struct UsersOfLiteLLM {
        @Test(arguments: Target.all)
        func `a user made without a key has none`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.user()
                let answer = try await world.wire.post(
                    "/user/new",
                    [
                        "user_id": .string(id), "user_email": .string("\(id)@example.com"), "user_alias": "One",
                        "user_role": "internal_user", "max_budget": 100, "models": ["m"], "tpm_limit": 10,
                        "auto_create_key": false, "metadata": ["a": 1],
                    ])
                #expect(answer.status == 200)
                #expect(answer.json["key"] == "")
                #expect(answer.json["user_id"]?.string == id)
                let info = try await world.wire.get("/user/info", ["user_id": id])
                #expect(info.status == 200)
                #expect(info.json["keys"] == [])
                let row = info.json["user_info"]
                #expect(row?["user_email"]?.string == "\(id)@example.com")
                #expect(row?["user_alias"] == "One")
                #expect(row?["user_role"] == "internal_user")
                #expect(row?["max_budget"] == 100)
                #expect(row?["models"] == ["m"])
                #expect(row?["tpm_limit"] == 10)
                #expect(row?["metadata"] == ["a": 1])
                #expect(row?["spend"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `without a word about keys a user gets one`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.user()
                let answer = try await world.wire.post("/user/new", ["user_id": .string(id)])
                let secret = try #require(answer.json["key"]?.string)
                #expect(secret.hasPrefix("sk-"))
                let own = try await world.wire.send("GET", "/key/info", key: secret)
                #expect(own.json["info"]?["user_id"]?.string == id)
            }
        }

        @Test(arguments: Target.all)
        func `a user id or e-mail that exists is a 409`(_ target: Target) async throws {
            try await World.on(target) { world in
                let email = "\(world.name("mail"))@example.com"
                let id = try await world.makeUser(["user_email": .string(email)])
                let sameID = try await world.wire.post(
                    "/user/new", ["user_id": .string(id), "auto_create_key": false])
                #expect(sameID.status == 409)
                #expect(sameID.message == "{'error': 'User with id \(id) already exists'}")
                let sameMail = try await world.wire.post(
                    "/user/new",
                    [
                        "user_id": .string(world.user("other")), "user_email": .string(email.uppercased()),
                        "auto_create_key": false,
                    ])
                #expect(sameMail.status == 409)
                #expect(sameMail.message == "{'error': 'User with email \(email) already exists'}")
            }
        }

        @Test(arguments: Target.all)
        func `a user nobody made is not found`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.user("none")
                let info = try await world.wire.get("/user/info", ["user_id": id])
                #expect(info.status == 404)
                #expect(info.message == "User \(id) not found")
                let list = try await world.wire.get("/user/list", ["user_ids": id])
                #expect(list.json["total"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `a role must be one of LiteLLM's`(_ target: Target) async throws {
            try await World.on(target) { world in
                let answer = try await world.wire.post(
                    "/user/new", ["user_id": .string(world.user()), "user_role": "king"])
                #expect(answer.status == 422)
                #expect(answer.violation?["type"] == "literal_error")
            }
        }

        @Test(arguments: Target.all)
        func `an update changes what it names, null clears, and it may be repeated`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeUser(["max_budget": 1, "metadata": ["a": 1], "user_alias": "One"])
                for _ in 1...2 {
                    let answer = try await world.wire.post(
                        "/user/update",
                        ["user_id": .string(id), "max_budget": .null, "tpm_limit": 7, "metadata": ["b": 2]])
                    #expect(answer.status == 200)
                    #expect(answer.json["user_id"]?.string == id)
                    let row = answer.json["data"]
                    #expect(row?["max_budget"] == .null)
                    #expect(row?["tpm_limit"] == 7)
                    #expect(row?["metadata"] == ["b": 2])
                    #expect(row?["user_alias"] == "One")
                }
            }
        }

        @Test(arguments: Target.all)
        func `an update leaves alone what it would empty`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeUser(["models": ["m"], "metadata": ["a": 1]])
                let empty = try await world.wire.post(
                    "/user/update", ["user_id": .string(id), "models": [], "metadata": [:]])
                #expect(empty.status == 200)
                #expect(empty.json["data"]?["models"] == ["m"])
                #expect(empty.json["data"]?["metadata"] == ["a": 1])
            }
        }

        @Test(arguments: Target.all)
        func `an update of an unknown user makes it`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.user()
                let answer = try await world.wire.post("/user/update", ["user_id": .string(id), "max_budget": 50])
                #expect(answer.status == 200)
                #expect(try await world.wire.get("/user/info", ["user_id": id]).status == 200)
                let nameless = try await world.wire.post("/user/update", ["max_budget": 1])
                #expect(nameless.status == 422)
            }
        }

        @Test(arguments: Target.all)
        func `deleting twice is a 404, and an unknown one keeps the others`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeUser()
                let none = world.user("none")
                let mixed = try await world.wire.post(
                    "/user/delete", ["user_ids": [.string(id), .string(none)]])
                #expect(mixed.status == 404)
                #expect(mixed.detail == "User not found, passed user_id=\(none)")
                #expect(try await world.wire.get("/user/info", ["user_id": id]).status == 200)
                let first = try await world.wire.post("/user/delete", ["user_ids": [.string(id)]])
                #expect(first.status == 200)
                #expect(first.json == 1)
                let again = try await world.wire.post("/user/delete", ["user_ids": [.string(id)]])
                #expect(again.status == 404)
                #expect(again.detail == "User not found, passed user_id=\(id)")
            }
        }

        @Test(arguments: Target.all)
        func `the keys of a deleted user are gone without a trace`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeUser()
                let secret = try await world.makeKey(["user_id": .string(id)])
                _ = try await world.wire.post("/user/delete", ["user_ids": [.string(id)]])
                #expect(try await world.wire.send("GET", "/key/info", key: secret).status == 401)
                #expect(try await world.wire.get("/key/info", ["key": secret]).status == 404)
            }
        }

        @Test(arguments: Target.all)
        func `a list finds one id in part and several exactly`(_ target: Target) async throws {
            try await World.on(target) { world in
                let one = try await world.makeUser([:], "u-one")
                let two = try await world.makeUser([:], "u-two")
                let part = try await world.wire.get("/user/list", ["user_ids": world.name("u-")])
                #expect(part.json["total"] == 2)
                #expect(part.json["users"]?[0]?["user_id"]?.string == two)
                let both = try await world.wire.get("/user/list", ["user_ids": "\(one),\(two)", "page_size": "1"])
                #expect(both.json["total"] == 2)
                #expect(both.json["total_pages"] == 2)
                let mixed = try await world.wire.get("/user/list", ["user_ids": "\(one),\(world.name("u-"))"])
                #expect(mixed.json["total"] == 1)
                #expect(mixed.json["users"]?[0]?["key_count"] == 0)
            }
        }
    }
}
