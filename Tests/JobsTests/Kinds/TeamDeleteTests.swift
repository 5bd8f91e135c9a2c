import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct TeamDeleteTests {
    private func delete(_ test: TeamBench) async throws -> Int64 {
        let changed = try await test.change { try await $0.delete(test.team.id, by: test.bench.actor, in: $1) }
        #expect(!changed.team.isActive)
        return try #require(changed.job).id
    }

    @Test func goesFromLiteLLMAndStaysHere() async throws {
        try await TeamBench.run(users: ["bob"]) { test, users in
            _ = try await test.add(users[0])
            try await test.bench.runAll()
            let jobId = try await delete(test)
            let output = try #require(try await test.bench.attempt(jobId) as? TeamDelete.Output)
            #expect(output.wasThere)
            #expect(test.bench.litellm.state.teams[test.team.id.text] == nil)
            let row = try await test.stored()
            #expect(!row.isActive && row.sync.isSynced && row.name == "Research")
            // Its name is free again, and its members are not put back.
            _ = try await test.change {
                try await $0.create(NewTeam(name: "RESEARCH"), by: test.bench.actor, in: $1)
            }
            #expect(try await test.teams.teams(ofUser: users[0].id, in: test.bench.database).count == 1)
        }
    }

    @Test func survivesDeathBetweenAnyTwoSteps() async throws {
        try await TeamBench.run { test, _ in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let name = "t\(call)-\(afterEffect)"
                    let changed = try await test.change {
                        try await $0.create(NewTeam(name: name), by: test.bench.actor, in: $1)
                    }
                    try await test.bench.runAll()
                    let job = try await test.change {
                        try await $0.delete(changed.team.id, by: test.bench.actor, in: $1)
                    }.job
                    let jobId = try #require(job).id
                    died = try await test.bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { try await test.bench.attempt(jobId) }
                    try await test.bench.finish(jobId)
                    #expect(test.bench.litellm.state.teams[changed.team.id.text] == nil)
                    #expect(try await test.teams.find(changed.team.id, in: test.bench.database)?.sync.isSynced == true)
                }
                #expect(call > 3)
            }
        }
    }

    @Test func aTeamThatIsBeingDeletedIsNotMadeAgain() async throws {
        try await TeamBench.run { test, _ in
            // The job that makes it has not run yet.
            _ = try await delete(test)
            try await test.bench.runAll()
            #expect(test.bench.litellm.state.teams[test.team.id.text] == nil)
            #expect(!test.bench.litellm.state.calls.contains("POST /team/new"))
        }
    }

    @Test func keysOfOthersAreLeftToAPerson() async throws {
        try await TeamBench.run { test, _ in
            try await test.bench.runAll()
            let jobId = try await delete(test)
            test.bench.litellm.change { state in
                state.keys["f"] = ["token": "f", "key_alias": "hand-made", "team_id": .string(test.team.id.text)]
            }
            let failure = await #expect(throws: JobFailure.self) { try await test.bench.attempt(jobId) }
            #expect(failure?.info.errorClass == .conflict && failure?.info.code == "team_has_foreign_keys")
            test.bench.litellm.change { state in
                state.keys = [:]
                state.teams[test.team.id.text]?["metadata"] = ["created_by": "somebody"]
            }
            let other = await #expect(throws: JobFailure.self) { try await test.bench.attempt(jobId) }
            #expect(other?.info.code == "team_not_ours")
            #expect(test.bench.litellm.state.teams[test.team.id.text] != nil)
            try await test.bench.end(jobId, as: .failed, code: "team_not_ours")
            #expect(try await test.stored().sync.error?.code == "team_not_ours")
        }
    }

    @Test func aKeyAskedForMeanwhileKeepsTheTeam() async throws {
        try await TeamBench.run(users: ["bob"]) { test, users in
            let bench = test.bench
            _ = try await test.add(users[0])
            try await bench.addModel("gpt")
            let key = try await bench.addKey(users[0]) { $0.teamId = test.team.id }
            let refusal = await #expect(throws: ProvisioningError.self) { _ = try await delete(test) }
            #expect(refusal?.code == .teamHasKeys && refusal?.values == ["My key"])
            let leaving = await #expect(throws: ProvisioningError.self) { _ = try await test.remove(users[0]) }
            #expect(leaving?.code == .memberHasKeys)
            try await bench.runAll()
            // As if the key had been asked for in the moment of the deletion.
            try await bench.database.query("update teams set is_active = false where id = \(test.team.id)")
            let jobId = try await bench.database.withTransaction { transaction in
                try await bench.services.queue.enqueue(TeamDelete(teamId: test.team.id), in: transaction).id
            }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.code == "team_has_keys")
            #expect(bench.litellm.state.keys[key.key.hash] != nil)
        }
    }
}
