import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct UserProvisionTests {
    /// A bench with a user and a synchronised default team.
    private func withUser(_ body: @Sendable (KindBench, User, _ jobId: Int64) async throws -> Void) async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser()
            let teamJob = try #require(try await bench.jobs(TeamEnsure.self).first)
            try await bench.attempt(teamJob)
            try await bench.finish(teamJob)
            try await body(bench, user, try #require(try await bench.jobs(UserProvision.self).first))
        }
    }

    private func members(_ bench: KindBench) -> [String] {
        let members = bench.litellm.state.teams[Team.defaultId.text]?["members_with_roles"]?.arrayValue ?? []
        return members.compactMap { $0["user_id"]?.stringValue }
    }

    @Test func createsTheUserAndPutsThemIntoTheTeam() async throws {
        try await withUser { bench, user, jobId in
            let output = try #require(try await bench.attempt(jobId) as? UserProvision.Output)
            #expect(output.created)
            #expect(output.joinedTeams == [Team.defaultId.text])
            let stored = try #require(bench.litellm.state.users[user.id.text])
            #expect(stored["user_email"] == "alice@example.com")
            #expect(stored["user_alias"] == "Alice")
            #expect(stored["user_role"] == "internal_user")
            #expect(stored["auto_create_key"] == false)
            #expect(stored["max_budget"] == 100)
            #expect(stored["budget_duration"] == "30d")
            #expect(stored["metadata"]?["db_user_id"]?.stringValue == user.id.text)
            #expect(members(bench) == ["default_user_id", user.id.text])
            let row = try #require(try await bench.users.find(user.id, in: bench.database))
            #expect(row.sync.isSynced)
        }
    }

    @Test func survivesDeathBetweenAnyTwoSteps() async throws {
        try await KindBench.run { bench in
            _ = try await bench.addUser("first", isSynced: true)
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let user = try await bench.addUser("u\(call)-\(afterEffect)")
                    let jobId = try #require(try await bench.jobs(UserProvision.self).first)
                    died = try await bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { try await bench.attempt(jobId) }
                    try await bench.finish(jobId)
                    #expect(bench.litellm.state.users[user.id.text] != nil)
                    #expect(members(bench).count { $0 == user.id.text } == 1)
                    #expect(try await bench.users.find(user.id, in: bench.database)?.sync.isSynced == true)
                }
                #expect(call > 5)
            }
            let rows = try await bench.database.query("select count(*) from users where id <> \(User.systemId)")
            #expect(bench.litellm.state.users.count == (try rows.one(Int.self)))
        }
    }

    @Test func takesOverAUserOfTheSameId() async throws {
        try await withUser { bench, user, jobId in
            bench.litellm.change { state in
                state.users[user.id.text] = [
                    "user_id": .string(user.id.text), "user_email": "ALICE@example.com", "user_alias": "Alice",
                    "user_role": "internal_user", "max_budget": 7, "tpm_limit": 5,
                ]
            }
            let output = try #require(try await bench.attempt(jobId) as? UserProvision.Output)
            #expect(!output.created)
            #expect(output.changed == ["maxBudget", "budgetDuration", "tpmLimit", "marker"])
            let stored = try #require(bench.litellm.state.users[user.id.text])
            #expect(stored["max_budget"] == 100)
            // Null clears.
            #expect(stored["tpm_limit"] == nil)
        }
    }

    @Test func leavesAnAddressThatAnotherUserHasToAPerson() async throws {
        try await withUser { bench, user, jobId in
            bench.litellm.change { state in
                state.users["other-id"] = ["user_id": "other-id", "user_email": "Alice@Example.com"]
            }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.errorClass == .conflict)
            #expect(failure?.info.code == "user_email_taken")
            #expect(failure?.info.message.contains("other-id") == true)
            #expect(failure?.info.message.contains(user.id.text) == true)
            #expect(bench.litellm.state.users.count == 1)
            try await bench.end(jobId, as: .failed, code: "user_email_taken")
            let row = try #require(try await bench.users.find(user.id, in: bench.database))
            #expect(row.sync.status == .failed)
            #expect(row.sync.error?.code == "user_email_taken")
        }
    }

    @Test func doesNotShareAnAddressByAnUpdate() async throws {
        try await withUser { bench, user, jobId in
            bench.litellm.change { state in
                state.users["other-id"] = ["user_id": "other-id", "user_email": "alice@example.com"]
                state.users[user.id.text] = [
                    "user_id": .string(user.id.text), "user_email": "old@example.com", "user_role": "internal_user",
                ]
            }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.code == "user_email_taken")
            #expect(bench.litellm.state.users[user.id.text]?["user_email"] == "old@example.com")
        }
    }

    @Test func hasAMissingTeamMadeAndComesBack() async throws {
        try await withUser { bench, user, jobId in
            bench.litellm.change { $0.teams = [:] }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.code == "team_missing")
            #expect(failure?.info.errorClass == .retryable)
            let teamJob = try #require(try await bench.jobs(TeamEnsure.self).first)
            let team = try #require(try await PostgresTeamStore().find(Team.defaultId, in: bench.database))
            #expect(team.sync.status == .drifted)
            #expect(team.sync.lastJobId == teamJob)
            try await bench.attempt(teamJob)
            #expect(try await PostgresTeamStore().find(Team.defaultId, in: bench.database)?.sync.isSynced == true)
            try await bench.attempt(jobId)
            #expect(members(bench) == ["default_user_id", user.id.text])
        }
    }

    @Test func aFailedUserFailsTheirKeysAndIsTriedAgainByTheNext() async throws {
        try await withUser { bench, user, jobId in
            try await bench.addModel("gpt")
            let first = try await bench.addKey(user)
            try await bench.end(jobId, as: .failed, code: "user_email_taken")
            let failed = try await bench.row(first)
            #expect(failed.neverCreated)
            #expect(failed.sync.error?.code == "user_email_taken")

            let second = try await bench.addKey(user)
            let row = try #require(try await bench.users.find(user.id, in: bench.database))
            #expect(row.sync.status == .pending)
            #expect(row.sync.error == nil)
            try await bench.runAll()
            #expect(Array(bench.litellm.state.keys.keys) == [second.key.hash])
        }
    }

    @Test func namesThatAreTakenAreRefused() async throws {
        try await KindBench.run { bench in
            _ = try await bench.addUser("bob")
            let cases: [(ProvisioningError.Code, @Sendable (inout NewUser) -> Void)] = [
                (.usernameTaken, { $0.username = "BOB" }), (.emailTaken, { $0.email = "Bob@example.com" }),
                (.identityTaken, { $0.oauthId = "bob" }), (.invalidLimit, { $0.limits.tpmLimit = -1 }),
            ]
            for (code, change) in cases {
                var new = NewUser(
                    id: UUID(), username: "carol", email: "carol@example.com", oauthProvider: "test", oauthId: "carol")
                change(&new)
                let asked = new
                let error = await #expect(throws: ProvisioningError.self) {
                    try await bench.database.withTransaction { transaction in
                        _ = try await UserProvisioning(queue: bench.services.queue).create(
                            asked, by: bench.actor, in: transaction)
                    }
                }
                #expect(error?.code == code)
            }
        }
    }

    @Test func adminsBecomeProxyAdmins() async throws {
        try await withUser { bench, user, jobId in
            try await bench.database.query("update users set roles = '{user,admin}' where id = \(user.id)")
            try await bench.attempt(jobId)
            #expect(bench.litellm.state.users[user.id.text]?["user_role"] == "proxy_admin")
        }
    }
}

@Suite(.needsDatabase) struct TeamEnsureTests {
    private func withTeam(_ body: @Sendable (KindBench, _ jobId: Int64) async throws -> Void) async throws {
        try await KindBench.run { bench in
            let job = try await bench.database.withTransaction { transaction in
                try await TeamProvisioning(queue: bench.services.queue).ensure(
                    Team.defaultId, requester: JobRequester(id: "x"), in: transaction)
            }
            try await body(bench, try #require(job).id)
        }
    }

    @Test func createsTheTeamWithItsLimits() async throws {
        try await withTeam { bench, jobId in
            let output = try #require(try await bench.attempt(jobId) as? TeamEnsure.Output)
            #expect(output.created)
            let team = try #require(bench.litellm.state.teams[Team.defaultId.text])
            #expect(team["team_alias"] == "Default Team")
            #expect(team["max_budget"] == 10000)
            #expect(team["tpm_limit"] == 50000)
            #expect(team["rpm_limit"] == 1000)
            #expect(team["budget_duration"] == "30d")
            #expect(team["models"] == [])
            #expect(team["metadata"]?["db_team_id"]?.stringValue == Team.defaultId.text)
            let row = try #require(try await PostgresTeamStore().find(Team.defaultId, in: bench.database))
            #expect(row.sync.isSynced)
            let again = try await bench.database.withTransaction { transaction in
                try await TeamProvisioning(queue: bench.services.queue).ensure(
                    Team.defaultId, requester: JobRequester(id: "x"), in: transaction)
            }
            #expect(again == nil)
        }
    }

    @Test func survivesDeathBetweenAnyTwoSteps() async throws {
        try await withTeam { bench, jobId in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    bench.litellm.change { $0.teams = [:] }
                    try await bench.database.query("update teams set sync_status = 'pending', version_applied = 0")
                    died = try await bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { try await bench.attempt(jobId) }
                    #expect(Array(bench.litellm.state.teams.keys) == [Team.defaultId.text])
                    let row = try await PostgresTeamStore().find(Team.defaultId, in: bench.database)
                    #expect(row?.sync.isSynced == true)
                }
                #expect(call > 3)
            }
        }
    }

    @Test func changesWhatDiffers() async throws {
        try await withTeam { bench, jobId in
            try await bench.attempt(jobId)
            bench.litellm.change { state in
                state.teams[Team.defaultId.text]?["max_budget"] = 5
                state.teams[Team.defaultId.text]?["models"] = ["one"]
            }
            try await bench.database.query("update teams set rpm_limit = null, version_wanted = 2")
            let output = try #require(try await bench.attempt(jobId) as? TeamEnsure.Output)
            #expect(output.changed == ["allowedModels", "maxBudget", "rpmLimit", "marker"])
            let team = try #require(bench.litellm.state.teams[Team.defaultId.text])
            #expect(team["max_budget"] == 10000)
            #expect(team["models"] == [])
            #expect(team["rpm_limit"] == nil)
            #expect(team["metadata"]?["version"] == 2)
            let row = try #require(try await PostgresTeamStore().find(Team.defaultId, in: bench.database))
            #expect(row.sync.versionApplied == 2)
        }
    }

    @Test func anOutageIsNoAbsence() async throws {
        try await withTeam { bench, jobId in
            try await bench.attempt(jobId)
            // The body of an unknown team, while LiteLLM's database is away.
            let absent: JSONValue = [
                "error": ["message": "{'message': 'Team not found, passed team id: x.'}", "type": "auth_error"]
            ]
            bench.litellm.fail("/team/info", .answer(404, absent))
            let error = await #expect(throws: LiteLLMError.self) { try await bench.attempt(jobId) }
            #expect(error?.kind == .retryable)
            #expect(!bench.litellm.state.calls.dropFirst(3).contains("POST /team/new"))
        }
    }
}
