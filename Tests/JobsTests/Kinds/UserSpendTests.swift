import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Spend of users", .needsDatabase, .hangGuard)
struct UserSpendTests {
    @Test("a snapshot takes over what LiteLLM says of our users on all pages, and of nobody else")
    func snapshot() async throws {
        try await KindBench.run { bench in
            let users = [
                try await bench.addUser("alice", isSynced: true), try await bench.addUser("bob", isSynced: true),
            ]
            let ids = users.map(\.id.text)
            bench.litellm.change { state in
                state.users[ids[0]]?["spend"] = .double(0.47999999999999093)
                state.users[ids[0]]?["budget_reset_at"] = "2026-12-01T00:00:00Z"
                for number in 0..<150 {
                    let id = "foreign-\(number)"
                    state.users[id] = ["user_id": .string(id), "spend": 8]
                }
                // An id that looks like ours, without our mark.
                let unmarked = UUID().text
                state.users[unmarked] = ["user_id": .string(unmarked), "spend": 9]
            }
            let job = try await bench.services.queue.enqueue(UsersSnapshot())
            let output = try #require(try await bench.attempt(job.id) as? UsersSnapshot.Output)
            #expect(output == UsersSnapshot.Output(listed: 153, updated: 2))
            let alice = try #require(try await bench.users.spend(of: users[0].id, in: bench.database))
            #expect(alice.amount == Decimal(string: "0.48"))
            #expect(alice.budgetResetAt == ISO8601.date(from: "2026-12-01T00:00:00Z") && alice.takenAt != nil)
            let bob = try #require(try await bench.users.spend(of: users[1].id, in: bench.database))
            #expect(bob.amount == 0 && bob.budgetResetAt == nil && bob.takenAt != nil)
        }
    }

    @Test("what was told later is not overwritten by a page read before")
    func order() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            let before = try await bench.users.now(in: bench.database)
            try await bench.database.withTransaction {
                try await bench.users.noteSpend(user.id, 0, budgetResetAt: nil, in: $0)
            }
            let updated = try await bench.database.withTransaction { transaction in
                let old = UserSpend(userId: user.id, spend: 7, budgetResetAt: nil)
                return try await bench.users.noteSpends([old], at: before, in: transaction)
            }
            #expect(updated == 0)
            #expect(try await bench.users.spend(of: user.id, in: bench.database)?.amount == 0)
        }
    }

    @Test("a reset survives death between any two steps, and one that LiteLLM carried back is done again")
    func reset() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            let id = user.id.text
            try await bench.everyDeath(atLeast: 3) {
                bench.litellm.change { $0.users[id]?["spend"] = 6 }
                return ((), try await bench.resetSpend(user))
            } check: { (_: Void, death: String) in
                #expect(bench.litellm.state.users[id]?["spend"] == 0, "\(death)")
                let stored = try await bench.users.spend(of: user.id, in: bench.database)
                #expect(stored?.amount == 0, "\(death)")
            }
            let limits = try #require(bench.litellm.state.users[id])
            #expect(limits["max_budget"] == 100 && limits["budget_duration"] == "30d")

            bench.litellm.change { $0.users[id]?["spend"] = 6 }
            let first = try await bench.resetSpend(user)
            try await bench.attempt(first)
            try await bench.finish(first)
            // The old sum came back.
            bench.litellm.change { $0.users[id]?["spend"] = .double(6.0000000001) }
            let look = try await bench.database.query(
                "select id from jobs where state = 2 and args->>'spentBefore' is not null"
            ).one(Int64.self)
            let output = try #require(try await bench.attempt(look) as? UserResetSpend.Output)
            #expect(output.outcome == "reset" && output.currentSpend == "0" && output.note == nil)
            #expect(bench.litellm.state.users[id]?["spend"] == 0)
            let actions = try await PostgresAuditStore().entries(
                resourceType: "user", resourceId: id, limit: 100, in: bench.database
            ).map(\.action)
            #expect(actions.contains("USER_SPEND_RESET_REQUESTED") && actions.contains("USER_SPEND_RESET"))
        }
    }

    @Test("an attempt after a death behind the reset leaves alone what was spent since")
    func spentBetweenAttempts() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            let id = user.id.text
            bench.litellm.change { $0.users[id]?["spend"] = 6 }
            let job = try await bench.resetSpend(user)
            // It reads, sets, and dies before it reads back.
            let died = try await bench.dies(job, atCall: 2, afterEffect: true)
            #expect(died && bench.litellm.state.users[id]?["spend"] == 0)
            bench.litellm.change { $0.users[id]?["spend"] = 1.5 }
            let output = try #require(try await bench.attempt(job) as? UserResetSpend.Output)
            #expect(output.outcome == "reset" && output.currentSpend == "1.5")
            #expect(bench.litellm.state.users[id]?["spend"] == 1.5)
        }
    }

    @Test("a second look leaves alone what was spent since; a user whom LiteLLM does not have is not made")
    func nothingLeft() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            let id = user.id.text
            // Less, more, and the same so late that it may be spent anew.
            for (spend, age) in [(2.0, 60.0), (7.5, 60), (6, 301)] {
                bench.litellm.change { $0.users[id]?["spend"] = .double(spend) }
                let look = try await bench.services.queue.enqueue(
                    UserResetSpend(userId: user.id, spentBefore: "6", resetAt: Date() - age))
                let output = try #require(try await bench.attempt(look.id) as? UserResetSpend.Output)
                #expect(output.outcome == "kept" && output.note != nil, "\(spend)")
                #expect(bench.litellm.state.users[id]?["spend"] == .double(spend))
                try await bench.finish(look.id)
            }

            bench.litellm.change { $0.users[id] = nil }
            let job = try await bench.resetSpend(user)
            do {
                try await bench.attempt(job)
                Issue.record("a user whom LiteLLM does not have was reset")
            } catch let failure as JobFailure {
                #expect(failure.info.code == "user_lost")
            }
            #expect(bench.litellm.state.users[id] == nil)
        }
    }
}

extension KindBench {
    /// Asks for a reset; gives the job.
    func resetSpend(_ user: User) async throws -> Int64 {
        try await database.withTransaction { transaction in
            try await UserAdministration(queue: services.queue).resetSpend(user.id, by: actor, in: transaction).id
        }
    }
}
