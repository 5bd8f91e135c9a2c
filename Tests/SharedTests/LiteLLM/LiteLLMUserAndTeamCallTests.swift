import Foundation
import Shared
import Testing

@Suite("LiteLLM: users")
struct LiteLLMUserCallTests {
    @Test("a user is read")
    func user() async throws {
        let body = """
            {"user_id":"u-1","user_info":{"user_id":"u-1","user_email":"u@example.com","user_alias":"U","user_role":
            "internal_user","teams":["t-1"],"models":[],"spend":1.5,"max_budget":100.0,"tpm_limit":10,"rpm_limit":null,
            "metadata":{"created_by":"litemaas","db_user_id":"5","version":1},
            "created_at":"2026-11-23T00:31:56.577000Z"},
            "keys":[],"teams":[]}
            """
        let litellm = FakeLiteLLM(["GET /user/info": .answer(body: body)])
        let user = try #require(try await litellm.client().user(id: "u-1"))
        #expect(user.email == "u@example.com")
        #expect(user.teams == ["t-1"])
        #expect(user.maxBudget == 100)
        #expect(user.spend == Decimal(string: "1.5"))
        #expect(user.marker?.resource == .user)
    }

    @Test(
        "a user is absent by status or by an empty shell",
        arguments: [
            .refusal(404, "User u-1 not found"),
            .answer(body: #"{"user_id":"u-1","user_info":{"spend":0.0},"keys":[],"teams":[]}"#),
            .answer(body: #"{"user_id":"u-1","user_info":{},"keys":[],"teams":[]}"#),
            .answer(body: #"{"user_id":"u-1","user_info":null,"keys":[{"token":"x"}],"teams":[]}"#),
        ] as [FakeLiteLLM.Outcome])
    func absent(answer: FakeLiteLLM.Outcome) async throws {
        #expect(try await FakeLiteLLM(["GET /user/info": answer]).client().user(id: "u-1") == nil)
    }

    @Test("a shell that lists teams is a user")
    func shellWithTeams() async throws {
        let body = #"{"user_id":"u-1","user_info":{"spend":2},"keys":[],"teams":[{"team_id":"t-1"}]}"#
        let user = try await FakeLiteLLM(["GET /user/info": .answer(body: body)]).client().user(id: "u-1")
        #expect(user?.teams == ["t-1"])
        #expect(user?.spend == 2)
    }

    @Test(
        "neither a failure nor another user is an absence",
        arguments: [
            .refusal(500, "Server has closed the connection."), .answer(body: #"{"detail":"?"}"#),
            .answer(body: "<html>"), .answer(body: "[]"), .answer(body: #"{"user_info":{"user_id":"u-2"}}"#),
            .answer(404, "<html>no such host</html>"),
        ] as [FakeLiteLLM.Outcome])
    func unclear(answer: FakeLiteLLM.Outcome) async throws {
        let litellm = FakeLiteLLM(["GET /user/info": answer])
        #expect(try await liteLLMError { try await litellm.client().user(id: "u-1") }.kind == .retryable)
    }

    @Test("a user is made with its id and without a key, changed, found by e-mail and deleted")
    func write() async throws {
        let litellm = FakeLiteLLM([
            "POST /user/new": [.answer(body: "{}"), .refusal(409, "{'error': 'User with id u-1 already exists'}")],
            "POST /user/update": [.answer(body: #"{"user_id":"u-1","data":{}}"#)],
            "POST /user/delete": [.answer(body: "1"), .answer(404, #"{"detail":{"error":"User not found, passed"}}"#)],
            "GET /user/list": [
                .answer(
                    body:
                        #"{"users":[{"user_id":"a","user_email":"X@y.z"},{"user_id":"b","user_email":"xx@y.z"}],"total":2,"total_pages":1}"#
                )
            ],
        ])
        let client = litellm.client()
        var spec = LiteLLMUserSpec(
            id: "u-1", marker: LiteLLMMarker(.user, id: "5", intentId: "6", version: 1), email: "x@y.z")
        spec.maxBudget = 100
        spec.teams = ["t-1"]
        try await client.createUser(spec)
        #expect(try await liteLLMError { try await client.createUser(spec) }.code == "user_exists")
        var change = LiteLLMUserChange()
        change.maxBudget = .clear
        change.spend = 0
        try await client.updateUser(id: "u-1", change)
        #expect(try await client.deleteUser(id: "u-1"))
        #expect(try await !client.deleteUser(id: "u-1"))
        #expect(try await client.userIds(email: "x@Y.z") == ["a"])
        let created: JSONValue = [
            "user_id": "u-1", "auto_create_key": false, "user_role": "internal_user", "user_email": "x@y.z",
            "max_budget": 100, "teams": ["t-1"],
            "metadata": ["created_by": "litemaas", "db_user_id": "5", "intent_id": "6", "version": 1],
        ]
        #expect(try litellm.bodies("POST /user/new").first == created)
        #expect(try litellm.bodies("POST /user/update") == [["user_id": "u-1", "max_budget": nil, "spend": 0]])
    }
}

@Suite("LiteLLM: teams")
struct LiteLLMTeamCallTests {
    private let row = """
        {"team_id":"t-1","team_alias":"One","models":[],"members_with_roles":[{"user_id":"u-1","role":"user"}],
        "max_budget":100.0,"blocked":false,"metadata":{"created_by":"litemaas","db_team_id":"1","version":2}}
        """
    private let notFound = FakeLiteLLM.Outcome.refusal(
        404, "{'message': 'Team not found, passed team id: t-1.'}", type: "auth_error")

    @Test("a team is read, nested or flat")
    func team() async throws {
        for body in [#"{"team_id":"t-1","team_info":\#(row),"keys":[]}"#, row] {
            let team = try await FakeLiteLLM(["GET /team/info": .answer(body: body)]).client().team(id: "t-1")
            #expect(team?.alias == "One")
            #expect(team?.members == ["u-1"])
            #expect(team?.maxBudget == 100)
            #expect(team?.marker?.version == 2)
        }
    }

    @Test("a team is absent when the listing agrees, in whatever release")
    func absent() async throws {
        let paged = FakeLiteLLM(["GET /team/info": notFound, "GET /v2/team/list": .answer(body: #"{"teams":[]}"#)])
        #expect(try await paged.client().team(id: "t-1") == nil)
        #expect(paged.calls == ["GET /team/info", "GET /v2/team/list"])
        #expect(paged.transport.requests.last?.query["team_id"] == "t-1")
        let other = #"[{"team_id":"t-2","keys":[]}]"#
        let bare = FakeLiteLLM(["GET /team/info": notFound, "GET /team/list": .answer(body: other)])
        #expect(try await bare.client().team(id: "t-1") == nil)
        #expect(bare.calls == ["GET /team/info", "GET /v2/team/list", "GET /team/list"])
    }

    @Test("a 404 is not believed while the listing shows the team or fails")
    func unconfirmed() async throws {
        let listed = #"{"teams":[\#(row)],"total":1}"#
        let cases: [(FakeLiteLLM.Outcome, String)] = [
            (.answer(body: listed), "litellm_unconfirmed"), (noDatabaseAnswer, "litellm_db_down"),
            (.refusal(500, "Server has closed the connection."), "litellm_db_down"),
            (.lost(.timeout, reached: true), "litellm_timeout"), (.answer(body: "[1]"), "litellm_bad_response"),
            (.refusal(401, "Invalid proxy server token passed"), "litellm_unconfirmed"),
        ]
        for (second, code) in cases {
            let litellm = FakeLiteLLM([
                "GET /team/info": notFound, "GET /v2/team/list": second,
                "POST /team/member_add": .answer(404, #"{"detail":{"error":"Team doesn't exist in db. Team=t-1."}}"#),
                "POST /team/delete": .answer(404, #"{"detail":{"error":"Team not found, passed team_id=t-1"}}"#),
            ])
            let client = litellm.client()
            let read = try await liteLLMError { try await client.team(id: "t-1") }
            #expect(read.kind == .retryable)
            #expect(read.code == code)
            #expect(!read.outcomeUnknown)
            let add = try await liteLLMError { try await client.addTeamMember(teamId: "t-1", userId: "u") }
            #expect(add.code == code)
            #expect(add.outcomeUnknown)
            let delete = try await liteLLMError { try await client.deleteTeam(id: "t-1") }
            #expect(delete.code == code)
            #expect(delete.outcomeUnknown)
        }
    }

    @Test("a team is made, changed, joined, left and deleted")
    func write() async throws {
        let litellm = FakeLiteLLM([
            "POST /team/new": [.answer(body: row), .refusal(400, "{'error': 'Team id = t-1 already exists.'}")],
            "POST /team/update": [.answer(body: #"{"team_id":"t-1","data":{}}"#)],
            "POST /team/member_add": [
                .answer(body: row), .refusal(400, "User already in team.", type: "team_member_already_in_team"),
            ],
            "POST /team/member_delete": [
                .answer(body: row), .answer(400, #"{"detail":{"error":"User not found in team"}}"#),
            ],
            "POST /team/delete": [
                .answer(body: #"{"deleted_teams":["t-1"]}"#),
                .answer(404, #"{"detail":{"error":"Team not found, passed team_id=t-1"}}"#),
            ],
            "GET /v2/team/list": [.answer(body: #"{"teams":[]}"#)], "GET /key/list": [.answer(body: emptyKeyList)],
        ])
        let client = litellm.client()
        var spec = LiteLLMTeamSpec(
            id: "t-1", alias: "One", marker: LiteLLMMarker(.team, id: "1", intentId: "2", version: 1))
        spec.maxBudget = 1000
        try await client.createTeam(spec)
        #expect(try await liteLLMError { try await client.createTeam(spec) }.code == "team_exists")
        var change = LiteLLMTeamChange()
        change.maxBudget = .clear
        change.alias = "Uno"
        try await client.updateTeam(id: "t-1", change)
        #expect(try await client.addTeamMember(teamId: "t-1", userId: "u", maxBudget: 3))
        #expect(try await !client.addTeamMember(teamId: "t-1", userId: "u"))
        #expect(try await client.removeTeamMember(teamId: "t-1", userId: "u"))
        #expect(try await !client.removeTeamMember(teamId: "t-1", userId: "u"))
        #expect(try await client.deleteTeam(id: "t-1"))
        #expect(try await !client.deleteTeam(id: "t-1"))
        #expect(
            try litellm.bodies("POST /team/update") == [["team_id": "t-1", "team_alias": "Uno", "max_budget": nil]])
        let joined: JSONValue = [
            "team_id": "t-1", "member": ["role": "user", "user_id": "u"], "max_budget_in_team": 3,
        ]
        #expect(try litellm.bodies("POST /team/member_add").first == joined)
        #expect(try litellm.bodies("POST /team/new").first?["models"] == [])
    }
}
