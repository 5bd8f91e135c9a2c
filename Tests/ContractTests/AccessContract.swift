import Testing

extension Contract {
    /// Who is let in, and how a refusal looks.
    @Suite struct Access {
        @Test(arguments: Target.all)
        func `every way to be nobody is a 401`(_ target: Target) async throws {
            try await World.on(target) { world in
                let none = try await world.wire.send("GET", "/key/list", key: nil)
                #expect(none.status == 401)
                #expect(none.message == "Authentication Error, No api key passed in.")
                #expect(none.type == "auth_error")
                #expect(none.json["error"]?["param"] == "None")
                let foreign = try await world.wire.send("GET", "/key/list", key: "foo")
                #expect(foreign.status == 401)
                #expect(
                    foreign.message == "LiteLLM Virtual Key expected. Received=****, expected to start with 'sk-'.")
                let bare = try await world.wire.send(
                    "GET", "/key/list", key: nil, headers: ["Authorization": world.wire.masterKey])
                #expect(bare.status == 401)
                #expect(bare.message?.contains("Malformed API Key passed in.") == true)
                let secret = world.secret("none")
                for path in ["/key/list", "/models"] {
                    let unknown = try await world.wire.send("GET", path, key: secret)
                    #expect(unknown.status == 401)
                    #expect(unknown.type == "token_not_found_in_db")
                    #expect(unknown.json["error"]?["param"] == "key")
                    #expect(unknown.message?.contains("Key Hash (Token) =\(Wire.hash(secret)).") == true)
                }
            }
        }

        @Test(arguments: Target.all)
        func `LiteLLM's own header carries a key as well`(_ target: Target) async throws {
            try await World.on(target) { world in
                let answer = try await world.wire.send(
                    "GET", "/key/list?size=1", key: nil, headers: ["x-litellm-api-key": world.wire.masterKey])
                #expect(answer.status == 200)
            }
        }

        @Test(arguments: Target.all)
        func `a user's key is kept from the admin's routes`(_ target: Target) async throws {
            try await World.on(target) { world in
                let user = try await world.makeUser(["user_role": "internal_user"])
                let secret = try await world.makeKey(["user_id": .string(user)])
                for path in ["/user/new", "/team/new"] {
                    let answer = try await world.wire.send("POST", path, ["team_alias": "x"], key: secret)
                    #expect(answer.status == 401, "\(path)")
                    #expect(answer.type == "auth_error")
                    #expect(
                        answer.message?.contains("Only proxy admin can be used to generate, delete, update info")
                            == true)
                    #expect(answer.message?.contains("Route=\(path). Your role=internal_user.") == true)
                }
            }
        }

        @Test(arguments: Target.all)
        func `a key describes itself but not another user's`(_ target: Target) async throws {
            try await World.on(target) { world in
                let one = try await world.makeUser([:], "u-one")
                let two = try await world.makeUser([:], "u-two")
                let mine = try await world.makeKey(["user_id": .string(one)], "one")
                let theirs = try await world.makeKey(["user_id": .string(two)], "two")
                let own = try await world.wire.send("GET", "/key/info", key: mine)
                #expect(own.json["key"]?.string == Wire.hash(mine))
                #expect(own.json["info"]?["key_alias"]?.string == world.name("one"))
                let other = try await world.wire.send("GET", "/key/info?key=\(Wire.hash(theirs))", key: mine)
                #expect(other.status == 403)
                let list = try await world.wire.send("GET", "/key/list", key: mine)
                #expect(list.json["keys"] == [.string(Wire.hash(mine))])
            }
        }

        @Test(arguments: Target.all)
        func `a path that is none is a 404, a wrong method a 405`(_ target: Target) async throws {
            try await World.on(target) { world in
                let unknown = try await world.wire.get("/no/such/route")
                #expect(unknown.status == 404)
                #expect(unknown.json == ["detail": "Not Found"])
                let method = try await world.wire.get("/key/generate")
                #expect(method.status == 405)
                #expect(method.json == ["detail": "Method Not Allowed"])
                #expect(method.headers["allow"] == "POST")
            }
        }

        @Test(arguments: Target.all)
        func `health answers without a key`(_ target: Target) async throws {
            try await World.on(target) { world in
                for path in ["/health/liveliness", "/health/liveness"] {
                    let alive = try await world.wire.send("GET", path, key: nil)
                    #expect(alive.status == 200)
                    #expect(alive.json == "I'm alive!")
                }
                let ready = try await world.wire.send("GET", "/health/readiness", key: nil)
                #expect(ready.status == 200)
                #expect(ready.json["status"] == "healthy")
                #expect(ready.json["db"] == "connected")
                #expect(try await world.wire.send("GET", "/health", key: nil).status == 401)
            }
        }
    }
}
