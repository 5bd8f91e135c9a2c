import Testing

extension Contract {
    /// The /team endpoints.
    @Suite struct TeamsOfLiteLLM {
        @Test(arguments: Target.all)
        func `a team is made once, and its creator is its admin`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.team()
                let body: JSON = [
                    "team_id": .string(id), "team_alias": "One", "models": ["a", "b"], "max_budget": 100,
                    "budget_duration": "30d", "tpm_limit": 10, "rpm_limit": 5, "metadata": ["a": 1],
                ]
                let first = try await world.wire.post("/team/new", body)
                #expect(first.status == 200)
                #expect(first.json["members_with_roles"]?[0]?["role"] == "admin")
                let again = try await world.wire.post("/team/new", body)
                #expect(again.status == 400)
                #expect(
                    again.message
                        == "{'error': 'Team id = \(id) already exists. Please use a different team id.'}")
                let row = try await world.wire.get("/team/info", ["team_id": id]).json["team_info"]
                #expect(row?["team_alias"] == "One")
                #expect(row?["models"] == ["a", "b"])
                #expect(row?["max_budget"] == 100)
                #expect(row?["tpm_limit"] == 10)
                #expect(row?["rpm_limit"] == 5)
                #expect(row?["metadata"] == ["a": 1])
                #expect(row?["blocked"] == false)
                #expect(row?["spend"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `an alias may be given twice`(_ target: Target) async throws {
            try await World.on(target) { world in
                let alias = world.name("alias")
                _ = try await world.makeTeam(["team_alias": .string(alias)], "one")
                _ = try await world.makeTeam(["team_alias": .string(alias)], "two")
                let list = try await world.wire.get("/v2/team/list", ["team_alias": alias.uppercased()])
                #expect(list.json["total"] == 2)
            }
        }

        @Test(arguments: Target.all)
        func `two kinds of read agree on a team that is not there`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = world.team("none")
                let info = try await world.wire.get("/team/info", ["team_id": id])
                #expect(info.status == 404)
                #expect(info.message == "{'message': 'Team not found, passed team id: \(id).'}")
                #expect(info.type == "auth_error")
                let list = try await world.wire.get("/v2/team/list", ["team_id": id])
                #expect(list.status == 200)
                #expect(list.json["teams"] == [])
                #expect(list.json["total"] == 0)
                let nameless = try await world.wire.get("/team/info")
                #expect(nameless.status == 422)
            }
        }

        @Test(arguments: Target.all)
        func `the list finds a team by its exact id`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeTeam(["metadata": ["a": 1]], "one")
                _ = try await world.makeTeam([:], "one-more")
                let list = try await world.wire.get("/v2/team/list", ["team_id": id])
                #expect(list.json["total"] == 1)
                let row = list.json["teams"]?[0]
                #expect(row?["team_id"]?.string == id)
                #expect(row?["metadata"] == ["a": 1])
                #expect(row?["members_count"] == 1)
                #expect(row?["keys_count"] == 0)
            }
        }

        @Test(arguments: Target.all)
        func `an update changes what it names, null clears, and it may be repeated`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeTeam(["max_budget": 1, "metadata": ["a": 1], "team_alias": "One"])
                for _ in 1...2 {
                    let answer = try await world.wire.post(
                        "/team/update",
                        [
                            "team_id": .string(id), "max_budget": .null, "tpm_limit": 7, "metadata": ["b": 2],
                            "models": [],
                        ])
                    #expect(answer.status == 200)
                    #expect(answer.json["team_id"]?.string == id)
                    let row = answer.json["data"]
                    #expect(row?["max_budget"] == .null)
                    #expect(row?["tpm_limit"] == 7)
                    #expect(row?["metadata"] == ["b": 2])
                    #expect(row?["models"] == [])
                    #expect(row?["team_alias"] == "One")
                }
                let none = world.team("none")
                let unknown = try await world.wire.post("/team/update", ["team_id": .string(none)])
                #expect(unknown.status == 404)
                #expect(unknown.message == "{'error': 'Team not found, passed team_id=\(none)'}")
                #expect(try await world.wire.post("/team/update", ["team_alias": "x"]).status == 422)
            }
        }

        @Test(arguments: Target.all)
        func `blocking is repeatable and seen at once in the row`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeTeam()
                for (path, blocked) in [("/team/block", true), ("/team/block", true), ("/team/unblock", false)] {
                    let answer = try await world.wire.post(path, ["team_id": .string(id)])
                    #expect(answer.status == 200)
                    #expect(answer.json["blocked"] == .bool(blocked))
                }
                let none = world.team("none")
                let unknown = try await world.wire.post("/team/block", ["team_id": .string(none)])
                #expect(unknown.status == 404)
                #expect(unknown.detail == "Team not found, passed team_id=\(none)")
            }
        }

        @Test(arguments: Target.all)
        func `models are added without doubles and taken away`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeTeam(["models": ["a"]])
                for _ in 1...2 {
                    let added = try await world.wire.post("/team/model/add", ["team_id": .string(id), "models": ["b"]])
                    #expect(Set(added.json["models"]?.elements.compactMap(\.string) ?? []) == ["a", "b"])
                    #expect(added.json["models"]?.elements.count == 2)
                }
                let taken = try await world.wire.post(
                    "/team/model/delete", ["team_id": .string(id), "models": ["b"]])
                #expect(taken.json["models"] == ["a"])
            }
        }

        @Test(arguments: Target.all)
        func `deleting twice is a 404, and an unknown one keeps the others`(_ target: Target) async throws {
            try await World.on(target) { world in
                let id = try await world.makeTeam()
                let none = world.team("none")
                let mixed = try await world.wire.post("/team/delete", ["team_ids": [.string(id), .string(none)]])
                #expect(mixed.status == 404)
                #expect(mixed.detail == "Team not found, passed team_id=\(none)")
                #expect(try await world.wire.get("/team/info", ["team_id": id]).status == 200)
                let secret = try await world.makeKey(["team_id": .string(id)])
                let first = try await world.wire.post("/team/delete", ["team_ids": [.string(id)]])
                #expect(first.status == 200)
                #expect(first.json == ["deleted_teams": [.string(id)]])
                #expect(try await world.info(secret)["status"] == "deleted")
                let again = try await world.wire.post("/team/delete", ["team_ids": [.string(id)]])
                #expect(again.status == 404)
                let deleted = try await world.wire.get("/v2/team/list", ["team_id": id, "status": "deleted"])
                #expect(deleted.json["total"] == 1)
            }
        }
    }

    /// Who belongs to a team.
    @Suite struct MembersOfTeams {
        private func add(_ world: World, _ team: String, _ member: JSON, budget: JSON = .null) async throws
            -> WireAnswer
        {
            try await world.wire.post(
                "/team/member_add", ["team_id": .string(team), "member": member, "max_budget_in_team": budget])
        }

        @Test(arguments: Target.all)
        func `a member is added once, and twice is a typed 400`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let user = try await world.makeUser()
                let member: JSON = ["role": "user", "user_id": .string(user)]
                let first = try await add(world, team, member, budget: 10)
                #expect(first.status == 200)
                #expect(first.json["updated_users"]?[0]?["user_id"]?.string == user)
                #expect(first.json["updated_team_memberships"]?[0]?["litellm_budget_table"]?["max_budget"] == 10)
                let again = try await add(world, team, member, budget: 10)
                #expect(again.status == 400)
                #expect(again.type == "team_member_already_in_team")
                #expect(again.json["error"]?["param"] == "member")
                #expect(again.message?.hasPrefix("User already in team. Member: user_id=\(user)") == true)
                let info = try await world.wire.get("/team/info", ["team_id": team])
                let members = info.json["team_info"]?["members_with_roles"]?.elements ?? []
                #expect(members.filter { $0["user_id"]?.string == user }.count == 1)
                let row = try await world.wire.get("/user/info", ["user_id": user])
                #expect(row.json["user_info"]?["teams"] == [.string(team)])
                #expect(row.json["teams"]?[0]?["team_id"]?.string == team)
            }
        }

        @Test(arguments: Target.all)
        func `of a list only the new ones are added`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let one = JSON.object(["role": "user", "user_id": .string(try await world.makeUser([:], "one"))])
                let two = JSON.object(["role": "user", "user_id": .string(try await world.makeUser([:], "two"))])
                #expect(try await add(world, team, [one]).status == 200)
                #expect(try await add(world, team, [one, two]).status == 200)
                let again = try await add(world, team, [one, two])
                #expect(again.status == 400)
                #expect(again.type == "team_member_already_in_team")
                #expect(again.message?.hasPrefix("All users are already in team.") == true)
                let list = try await world.wire.get("/v2/team/list", ["team_id": team])
                #expect(list.json["teams"]?[0]?["members_count"] == 3)
            }
        }

        @Test(arguments: Target.all)
        func `an unknown user is made`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let user = world.user()
                #expect(try await add(world, team, ["role": "user", "user_id": .string(user)]).status == 200)
                let info = try await world.wire.get("/user/info", ["user_id": user])
                #expect(info.status == 200)
                #expect(info.json["user_info"]?["user_role"] == "internal_user")
            }
        }

        @Test(arguments: Target.all)
        func `what cannot be a member is refused with the reason`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let none = world.team("none")
                let unknown = try await add(world, none, ["role": "user", "user_id": "u"])
                #expect(unknown.status == 404)
                #expect(
                    unknown.detail == "Team doesn't exist in db. Team=\(none). Create team via `/team/new` call.")
                #expect(try await add(world, team, ["role": "boss", "user_id": "u"]).status == 422)
                #expect(try await add(world, team, ["role": "user"]).status == 422)
                let admin = try await add(world, team, ["role": "admin", "user_id": "u"])
                #expect(admin.status == 400)
                #expect(admin.detail?.hasPrefix("Assigning team admins is a premium feature.") == true)
            }
        }

        @Test(arguments: Target.all)
        func `a member's budget is set as often as one likes`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let user = try await world.makeUser()
                _ = try await add(world, team, ["role": "user", "user_id": .string(user)])
                for _ in 1...2 {
                    let answer = try await world.wire.post(
                        "/team/member_update",
                        [
                            "team_id": .string(team), "user_id": .string(user), "max_budget_in_team": 20,
                            "role": "user",
                        ])
                    #expect(answer.status == 200)
                    #expect(answer.json["max_budget_in_team"] == 20)
                }
                let info = try await world.wire.get("/team/info", ["team_id": team])
                let memberships = info.json["team_memberships"]?.elements ?? []
                let own = memberships.filter { $0["user_id"]?.string == user }
                #expect(own.count == 1)
                #expect(own.first?["litellm_budget_table"]?["max_budget"] == 20)
                #expect(own.first?["budget_source"] == "custom")
            }
        }

        @Test(arguments: Target.all)
        func `a member is taken out once`(_ target: Target) async throws {
            try await World.on(target) { world in
                let team = try await world.makeTeam()
                let user = try await world.makeUser()
                _ = try await add(world, team, ["role": "user", "user_id": .string(user)])
                let body: JSON = ["team_id": .string(team), "user_id": .string(user)]
                #expect(try await world.wire.post("/team/member_delete", body).status == 200)
                let again = try await world.wire.post("/team/member_delete", body)
                #expect(again.status == 400)
                #expect(again.detail == "User not found in team")
                let row = try await world.wire.get("/user/info", ["user_id": user])
                #expect(row.json["user_info"]?["teams"] == [])
                let none = world.team("none")
                let unknown = try await world.wire.post(
                    "/team/member_delete", ["team_id": .string(none), "user_id": .string(user)])
                #expect(unknown.status == 400)
                #expect(unknown.detail == "Team id=\(none) does not exist in db")
            }
        }
    }
}
