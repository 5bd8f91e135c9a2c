import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct TeamMembershipTests {
    @Test func aTeamIsMadeChangedAndItsSpendTakenOver() async throws {
        try await TeamBench.run { test, _ in
            let bench = test.bench
            try await bench.runAll()
            let made = try #require(bench.litellm.state.teams[test.team.id.text])
            #expect(made["team_alias"] == "research" && made["max_budget"] == 50 && made["budget_duration"] == "30d")
            #expect(try await test.stored().sync.isSynced)
            bench.litellm.change { $0.teams[test.team.id.text]?["spend"] = 12.5 }
            var change = TeamChange()
            change.limits.maxBudget = .clear
            change.limits.rpmLimit = .set(7)
            change.alias = .clear
            let wanted = change
            let changed = try await test.change {
                try await $0.change(test.team.id, wanted, by: bench.actor, in: $1)
            }
            #expect(changed.team.sync.status == .pending && changed.job != nil)
            try await bench.runAll()
            let after = try #require(bench.litellm.state.teams[test.team.id.text])
            #expect(after["max_budget"] == nil && after["rpm_limit"] == 7 && after["team_alias"] == "Research")
            #expect(after["budget_duration"] == "30d")
            #expect(try await test.stored().spend?.amount == Decimal(string: "12.5"))
            // Of a description LiteLLM does not hear.
            var description = TeamChange()
            description.description = .set("For research.")
            let told = description
            #expect(
                try await test.change { try await $0.change(test.team.id, told, by: bench.actor, in: $1) }.job == nil)
        }
    }

    @Test func membersComeAndGo() async throws {
        try await TeamBench.run(users: ["bob", "carol"]) { test, users in
            for user in users { _ = try await test.add(user) }
            try await test.bench.runAll()
            #expect(Set(test.members) == Set(users.map(\.id.text)))
            _ = try await test.remove(users[0])
            #expect(try await test.departures() == [users[0].id])
            try await test.bench.runAll()
            #expect(test.members == [users[1].id.text])
            #expect(try await test.departures().isEmpty)
            #expect(try await test.stored().sync.isSynced)
            // Gone already: done.
            _ = try await test.remove(users[1])
            test.bench.litellm.change { $0.teams[test.team.id.text]?["members_with_roles"] = [] }
            try await test.bench.runAll()
            #expect(try await test.departures().isEmpty)
        }
    }

    @Test func strangersInTheTeamStay() async throws {
        try await TeamBench.run(users: ["bob"]) { test, users in
            try await test.bench.runAll()
            test.bench.litellm.change { state in
                state.teams[test.team.id.text]?["members_with_roles"] = [["user_id": "stranger", "role": "user"]]
            }
            _ = try await test.add(users[0])
            try await test.bench.runAll()
            #expect(test.members == ["stranger", users[0].id.text])
        }
    }

    @Test func survivesDeathBetweenAnyTwoSteps() async throws {
        try await TeamBench.run(users: ["bob", "carol"]) { test, users in
            let bench = test.bench
            try await bench.runAll()
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    // One comes, the other one goes.
                    let (comes, goes) = call % 2 == 0 ? (users[0], users[1]) : (users[1], users[0])
                    _ = try await test.add(goes)
                    try await bench.runAll()
                    if test.members.contains(comes.id.text) {
                        _ = try await test.remove(comes)
                        try await bench.runAll()
                    }
                    _ = try await test.add(comes)
                    _ = try await test.remove(goes)
                    let jobId = try await test.teamJob()
                    died = try await bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { try await bench.attempt(jobId) }
                    try await bench.finish(jobId)
                    #expect(test.members == [comes.id.text])
                    #expect(try await test.departures().isEmpty)
                    #expect(try await test.stored().sync.isSynced)
                }
                #expect(call > 5)
            }
        }
    }

    @Test func whoLeavesAndComesBackMeanwhileIsLookedAtAgain() async throws {
        try await TeamBench.run(users: ["bob"]) { test, users in
            let bench = test.bench
            _ = try await test.add(users[0])
            try await bench.runAll()
            _ = try await test.remove(users[0])
            let first = try await test.teamJob()
            // The answer that the first job works on is older than what happens now.
            bench.litellm.fail("/team/member_delete", .connectionLost(afterEffect: true))
            await #expect(throws: LiteLLMError.self) { try await bench.attempt(first) }
            _ = try await test.add(users[0])
            _ = try await test.remove(users[0])
            #expect(try await test.departures() == [users[0].id])
            try await bench.runAll()
            #expect(test.members.isEmpty)
            #expect(try await test.departures().isEmpty)
        }
    }

    @Test func nobodyIsMadeUpForAMembership() async throws {
        try await TeamBench.run(users: ["bob"]) { test, users in
            let bench = test.bench
            let waiting = try await bench.addUser("carol")
            for user in [users[0], waiting] { _ = try await test.add(user) }
            // Bob's user was deleted in LiteLLM by somebody else, Carol's was never there.
            bench.litellm.change { $0.users = [:] }
            try await bench.attempt(try await test.teamJob())
            #expect(test.members.isEmpty)
            #expect(bench.litellm.state.users.isEmpty)
            #expect(try await bench.users.find(users[0].id, in: bench.database)?.sync.status == .drifted)
            try await bench.runAll()
            #expect(Set(test.members) == [users[0].id.text, waiting.id.text])
        }
    }

    @Test func whoeverLeavesWhileTheirOwnJobPutsThemInIsTakenOutAgain() async throws {
        try await TeamBench.run(users: ["first"]) { test, _ in
            let bench = test.bench
            try await bench.runAll()
            let user = try await bench.addUser("bob")
            _ = try await test.add(user)
            let teamJob = try await test.teamJob()
            try await bench.attempt(teamJob)
            try await bench.finish(teamJob)
            let userJob = try #require(try await bench.jobs(UserProvision.self).first)
            let context = try await bench.claim(userJob).calling(on: bench.litellm) { request in
                guard request.url.hasSuffix("/team/member_add"),
                    String(decoding: request.body, as: UTF8.self).contains(test.team.id.text)
                else { return }
                // Also the job of that runs before the call arrives.
                _ = try await test.remove(user)
                try await bench.attempt(try await test.teamJob())
                try await bench.finish(try await test.teamJob())
            }
            let output = try await UserProvision(userId: user.id).run(in: context)
            #expect(output.joinedTeams.contains(test.team.id.text))
            #expect(test.members == [user.id.text])
            try await bench.finish(userJob)
            try await bench.runAll()
            #expect(test.members.isEmpty)
        }
    }
}
