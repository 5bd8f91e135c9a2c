import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Teams", .needsDatabase, .hangGuard)
struct TeamRouteTests {
    private func make(
        _ name: String, _ api: APIHarness, as user: User, _ more: [String: JSONValue] = [:]
    ) async throws -> Answer {
        var body = more
        body["name"] = .string(name)
        return try await api.send(.post, "/api/v1/teams", .object(body), as: user)
    }

    @Test("a team is made, shown, changed and deleted, each with a job and a row in the audit log")
    func wholeLife() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            try await api.addModels("gpt")
            let shape = try DocumentedShape()
            let made = try await api.send(
                .post, "/api/v1/teams",
                [
                    "name": "Research", "description": "Finds out.", "maxBudget": 12.5, "budgetDuration": "monthly",
                    "tpmLimit": 100, "allowedModels": ["gpt"], "adminIds": [.string(admin.id.text)],
                ], as: admin, headers: [.prefer: "wait=20"])
            #expect(made.status == 201 && made["syncStatus"] == "synced", "\(made.text)")
            #expect(shape.problems(of: made.json, as: "Team") == [])
            let id = try #require(made["id"]?.stringValue)
            #expect(made["liteLLMTeamId"]?.stringValue == id && made["members", "0", "role"] == "admin")
            #expect(api.litellm.state.teams[id]?["models"] == ["gpt"])

            api.litellm.change { $0.teams[id]?["spend"] = 3.25 }
            let synced = try await api.send(
                .post, "/api/v1/teams/\(id)/sync", ["forceSync": true], as: admin, headers: [.prefer: "wait=20"])
            #expect(synced.status == 200 && synced["currentSpend"] == 3.25, "\(synced.text)")
            #expect(synced["changes"] == ["budget": false, "members": false, "usage": true])
            #expect(shape.problems(of: synced.json, as: "TeamSync") == [])
            let shown = try await api.send(.get, "/api/v1/teams/\(id)", as: admin)
            #expect(shown["currentSpend"] == 3.25 && shown["spendTakenAt"]?.stringValue != nil)

            let changed = try await api.send(
                .patch, "/api/v1/teams/\(id)", ["maxBudget": nil, "rpmLimit": 5, "description": nil], as: admin,
                headers: [.prefer: "wait=20"])
            #expect(changed["maxBudget"] == nil && changed["rpmLimit"] == 5 && changed["description"] == nil)
            #expect(api.litellm.state.teams[id]?["max_budget"] == nil && api.litellm.state.teams[id]?["rpm_limit"] == 5)

            let deleted = try await api.send(
                .delete, "/api/v1/teams/\(id)", as: admin, headers: [.prefer: "wait=20"])
            #expect(deleted.status == 200 && deleted["isActive"] == false, "\(deleted.text)")
            #expect(api.litellm.state.teams[id] == nil)
            #expect(try await api.send(.patch, "/api/v1/teams/\(id)", ["name": "x"], as: admin).status == 404)
            let actions = try await api.database.client.query(
                "select action from audit_logs where resource_type = 'team' and resource_id = \(id) order by id"
            ).map { try $0.decode(String.self) }
            #expect(
                actions == [
                    "TEAM_CREATE", "TEAM_PROVISIONED", "TEAM_SYNC", "TEAM_UPDATE", "TEAM_PROVISIONED", "TEAM_DELETE",
                    "TEAM_REMOVED",
                ])
        }
    }

    @Test("of fifty who ask for one name at once exactly one gets it")
    func names() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...50 {
                    group.addTask { try await make(number % 2 == 0 ? "One" : "ONE", api, as: admin).status }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 202 } == 1)
            #expect(statuses.count { $0 == 409 } == 49)
            #expect(try await api.count("select count(*) from teams where lower(name) = 'one'") == 1)
            let taken = try await make("one", api, as: admin)
            #expect(taken["error", "details", "field"] == "name" && taken.errorCode == "ALREADY_EXISTS")
        }
    }

    @Test("bad fields are named, unknown models and people too")
    func refused() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let bad = try await make(
                " ", api, as: admin, ["maxBudget": -1, "tpmLimit": 1.5, "adminIds": ["x"], "allowedModels": [1]])
            #expect(
                Set(bad.refusedFields) == ["name", "maxBudget", "tpmLimit", "adminIds[0]", "allowedModels[0]"])
            for (more, field) in [
                (["allowedModels": ["nope"]] as [String: JSONValue], "allowedModels"),
                (["adminIds": [.string(UUID().text)]], "adminIds"), (["budgetDuration": "rarely"], "budgetDuration"),
            ] {
                #expect(try await make("a", api, as: admin, more).refusedFields == [field])
            }
            #expect(try await api.count("select count(*) from teams") == 1)
            let empty = try await api.send(.patch, "/api/v1/teams/\(Team.defaultId.text)", [:], as: admin)
            #expect(empty.refusedFields == ["body"])
        }
    }

    @Test("people see their teams, the default team without the others in it, admins all")
    func visibility() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let (alice, bob) = (try await api.addUser("alice"), try await api.addUser("bob"))
            let made = try await make("Alice's", api, as: admin, ["adminIds": [.string(alice.id.text)]])
            let id = try #require(made["id"]?.stringValue)
            func names(_ user: User, _ query: String = "") async throws -> [String] {
                let page = try await api.send(.get, "/api/v1/teams\(query)", as: user)
                #expect(try DocumentedShape().problems(of: page.json, as: "TeamPage") == [])
                return page["data"]?.arrayValue?.compactMap { $0["name"]?.stringValue } ?? []
            }
            #expect(try await names(alice) == ["Alice's", "Default Team"])
            #expect(try await names(bob) == ["Default Team"])
            #expect(try await names(bob, "?userId=all") == ["Default Team"])
            #expect(try await names(bob, "?userId=\(alice.id.text)") == ["Default Team"])
            #expect(try await names(admin) == ["Default Team"])
            #expect(try await names(admin, "?userId=all") == ["Alice's", "Default Team"])
            #expect(try await names(admin, "?userId=\(alice.id.text)") == ["Alice's", "Default Team"])
            #expect(try await api.send(.get, "/api/v1/teams/\(id)", as: bob).status == 404)
            let everybodys = "/api/v1/teams/\(Team.defaultId.text)"
            let seen = try await api.send(.get, everybodys, as: bob)
            #expect(seen["members"]?.arrayValue?.map { $0["userId"]?.stringValue } == [bob.id.text])
            #expect(seen["memberCount"] == nil)
            let page = try await api.send(.get, "\(everybodys)/members", as: bob)
            #expect(page["pagination", "total"] == 1)
            #expect(try await api.send(.get, "\(everybodys)/members", as: admin)["pagination", "total"] == 3)
        }
    }

    @Test("a team's admins take members in and out; others cannot")
    func members() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let (alice, bob) = (try await api.addUser("alice"), try await api.addUser("bob"))
            let carol = try await api.addUser("carol")
            let made = try await make("Alice's", api, as: admin, ["adminIds": [.string(alice.id.text)]])
            let path = "/api/v1/teams/\(try #require(made["id"]?.stringValue))/members"
            func add(_ id: UUID, as caller: User, role: JSONValue = "member") async throws -> Answer {
                try await api.send(.post, path, ["userId": .string(id.text), "role": role], as: caller)
            }
            #expect(try await add(bob.id, as: bob).status == 404)
            let added = try await add(bob.id, as: alice)
            #expect(added.status == 202 && added["memberCount"] == 2 && added["job", "kind"] == "team.ensure")
            #expect(try await add(carol.id, as: bob).status == 403)
            #expect(try await add(bob.id, as: alice, role: "king").refusedFields == ["role"])
            #expect(try await add(UUID(), as: alice).refusedFields == ["userId"])
            let viewer = try await api.send(.patch, "\(path)/\(bob.id.text)", ["role": "viewer"], as: alice)
            #expect(viewer.status == 200 && viewer["job"] == nil)
            #expect(
                try await api.send(.patch, "\(path)/\(carol.id.text)", ["role": "viewer"], as: alice).status == 404)
            let removed = try await api.send(.delete, "\(path)/\(bob.id.text)", as: alice)
            #expect(removed.status == 202 && removed["memberCount"] == 1)
            #expect(try await api.send(.delete, "\(path)/\(bob.id.text)", as: alice).status == 404)
            let everybodys = "/api/v1/teams/\(Team.defaultId.text)/members/\(bob.id.text)"
            #expect(try await api.send(.delete, everybodys, as: admin).status == 409)
        }
    }

    @Test("keys hold their team and their owner in it; the default team stays")
    func keysHold() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let alice = try await api.addUser("alice")
            try await api.addModels("gpt")
            let made = try await make("Alice's", api, as: admin, ["adminIds": [.string(alice.id.text)]])
            let path = "/api/v1/teams/\(try #require(made["id"]?.stringValue))"
            let key = try await api.createKey("The key", as: alice)
            let keyId = try #require(key["id"]?.stringValue)
            let teamId = try #require(made["id"]?.stringValue)
            try await api.database.client.query(
                "update api_keys set team_id = \(teamId)::text::uuid where id = \(keyId)::text::uuid")
            let leaving = try await api.send(.delete, "\(path)/members/\(alice.id.text)", as: admin)
            #expect(leaving.status == 409 && leaving["error", "message"]?.stringValue?.contains("The key") == true)
            let deleting = try await api.send(.delete, path, as: admin)
            #expect(deleting.status == 409 && deleting["error", "message"]?.stringValue?.contains("The key") == true)
            #expect(try await api.send(.delete, "/api/v1/api-keys/\(keyId)", as: alice).status == 202)
            #expect(try await api.send(.delete, path, as: admin).status == 202)
            let everybodys = try await api.send(.delete, "/api/v1/teams/\(Team.defaultId.text)", as: admin)
            #expect(everybodys.status == 409)
            let limits = try await api.send(
                .patch, "/api/v1/teams/\(Team.defaultId.text)", ["maxBudget": 1], as: admin)
            #expect(limits.status == 202 && limits["maxBudget"] == 1)
        }
    }
}
