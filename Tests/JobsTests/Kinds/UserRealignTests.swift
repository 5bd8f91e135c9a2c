import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite(.needsDatabase) struct UserRealignTests {
    /// LiteLLM's other user with Alice's address, and its keys.
    private static let foreign = "other-id"

    private func addForeign(_ bench: KindBench, keys count: Int = 2, email: String = "Alice@Example.com") {
        bench.litellm.change { state in
            state.users[Self.foreign] = [
                "user_id": .string(Self.foreign), "user_email": .string(email), "user_alias": "Old Alice", "spend": 7,
                "user_role": "internal_user", "max_budget": 10,
            ]
            state.keys = state.keys.filter { $0.value["user_id"]?.stringValue != Self.foreign }
            for number in 0..<count {
                let hash = sha256Hex("secret \(number)")
                state.keys[hash] = [
                    "token": .string(hash), "key_alias": .string("old-\(number)"), "user_id": .string(Self.foreign),
                    "metadata": ["team": "blue"],
                ]
            }
        }
    }

    /// A user who ended in a conflict.
    private func withConflict(
        _ name: String = "alice", keys: Int = 2, _ body: @Sendable (KindBench, User) async throws -> Void
    ) async throws {
        try await KindBench.run { bench in
            addForeign(bench, keys: keys)
            try await body(bench, try await conflicted(bench, name))
        }
    }

    private func conflicted(_ bench: KindBench, _ name: String) async throws -> User {
        let user = try await bench.addUser(name)
        for jobId in try await bench.jobs(TeamEnsure.self) {
            try await bench.attempt(jobId)
            try await bench.finish(jobId)
        }
        let jobId = try #require(try await bench.jobs(UserProvision.self).first)
        let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
        #expect(failure?.info.code == "user_email_taken")
        try await bench.end(jobId, as: .failed, code: "user_email_taken")
        return user
    }

    private func decide(_ action: RealignAction, _ bench: KindBench, _ user: User) async throws -> Int64 {
        try await bench.database.withTransaction { transaction in
            try await UserRealignment(queue: bench.services.queue).decide(
                action, for: user.id, reason: "It is her.", by: bench.actor, in: transaction
            ).job.id
        }
    }

    private func owners(_ bench: KindBench) -> [String: String] {
        bench.litellm.state.keys.values.reduce(into: [:]) { owners, row in
            owners[row["key_alias"]?.stringValue ?? ""] = row["user_id"]?.stringValue
        }
    }

    private func email(_ id: String, _ bench: KindBench) -> String? {
        bench.litellm.state.users[id]?["user_email"]?.stringValue
    }

    @Test func theConflictIsStoredForAPersonAndNothingIsTouched() async throws {
        try await withConflict { bench, user in
            let conflict = try #require(try await bench.users.conflict(of: user.id, in: bench.database))
            #expect(conflict.litellmUserId == Self.foreign && conflict.keyCount == 2)
            #expect(email(Self.foreign, bench) == "Alice@Example.com")
            #expect(bench.litellm.state.users.count == 1)
            var filter = UserFilter()
            filter.syncStatus = .failed
            #expect(try await bench.users.list(filter, in: bench.database).items.map(\.id) == [user.id])
        }
    }

    @Test func adoptingMovesKeysAndTakesTheAddress() async throws {
        try await withConflict { bench, user in
            let jobId = try await decide(.adopt, bench, user)
            #expect(try await bench.users.find(user.id, in: bench.database)?.sync.status == .pending)
            let output = try #require(try await bench.attempt(jobId) as? UserRealign.Output)
            #expect(output.movedKeys == 2 && output.keptKeys == 0)
            #expect(owners(bench) == ["old-0": user.id.text, "old-1": user.id.text])
            #expect(bench.litellm.state.keys.values.allSatisfy { $0["metadata"] == ["team": "blue"] })
            #expect(email(user.id.text, bench) == "alice@example.com")
            #expect(email(Self.foreign, bench) == output.foreignEmail)
            #expect(output.foreignEmail?.hasPrefix("alice+litellm-") == true)
            #expect(output.foreignEmail?.hasSuffix("@example.com") == true)
            // What it spent and what it may spend stay with the other user.
            #expect(bench.litellm.state.users[Self.foreign]?["spend"] == 7)
            #expect(bench.litellm.state.users[user.id.text]?["max_budget"] == 100)
            #expect(try await bench.users.find(user.id, in: bench.database)?.sync.isSynced == true)
            #expect(try await bench.users.conflict(of: user.id, in: bench.database) == nil)
            let again = await #expect(throws: ProvisioningError.self) { _ = try await decide(.adopt, bench, user) }
            #expect(again?.code == .noConflict)
        }
    }

    @Test func adoptingSurvivesDeathBetweenAnyTwoSteps() async throws {
        try await KindBench.run { bench in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let name = "u\(call)-\(afterEffect)"
                    addForeign(bench, email: "\(name)@example.com")
                    let user = try await conflicted(bench, name)
                    let jobId = try await decide(.adopt, bench, user)
                    died = try await bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    // At no moment a key belongs to somebody whom LiteLLM does not know.
                    #expect(owners(bench).values.allSatisfy { bench.litellm.state.users[$0] != nil })
                    for _ in 1...2 { try await bench.attempt(jobId) }
                    try await bench.finish(jobId)
                    #expect(Set(owners(bench).values) == [user.id.text])
                    #expect(email(user.id.text, bench) == "\(name)@example.com")
                    #expect(email(Self.foreign, bench)?.hasPrefix("\(name)+litellm-") == true)
                    #expect(try await bench.users.find(user.id, in: bench.database)?.sync.isSynced == true)
                    bench.litellm.change { $0.keys = [:] }
                }
                #expect(call > 12)
            }
        }
    }

    @Test func separatingLeavesTheOtherUserAloneForGood() async throws {
        try await withConflict { bench, user in
            let before = bench.litellm.state.users[Self.foreign]
            let jobId = try await decide(.separate, bench, user)
            try await bench.attempt(jobId)
            try await bench.finish(jobId)
            let own = "alice+litemaas-\(user.id.text.prefix(8))@example.com"
            #expect(email(user.id.text, bench) == own)
            #expect(bench.litellm.state.users[Self.foreign] == before)
            #expect(Set(owners(bench).values) == [Self.foreign])
            #expect(try await bench.users.conflict(of: user.id, in: bench.database) == nil)
            // Later changes keep to it.
            try await bench.database.withTransaction { transaction in
                var change = UserChange()
                change.limits.maxBudget = .set(5)
                _ = try await UserAdministration(queue: bench.services.queue).change(
                    user.id, change, action: "USER_BUDGET_UPDATE", giving: [], by: bench.actor, in: transaction)
            }
            try await bench.runAll()
            #expect(email(user.id.text, bench) == own)
            #expect(bench.litellm.state.users[user.id.text]?["max_budget"] == 5)
        }
    }

    @Test func separatingSurvivesDeathBetweenAnyTwoSteps() async throws {
        try await KindBench.run { bench in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let name = "s\(call)-\(afterEffect)"
                    addForeign(bench, email: "\(name)@example.com")
                    let user = try await conflicted(bench, name)
                    let jobId = try await decide(.separate, bench, user)
                    died = try await bench.dies(jobId, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 { try await bench.attempt(jobId) }
                    try await bench.finish(jobId)
                    #expect(email(user.id.text, bench)?.hasPrefix("\(name)+litemaas-") == true)
                    #expect(email(Self.foreign, bench) == "\(name)@example.com")
                    #expect(Set(owners(bench).values) == [Self.foreign])
                }
                #expect(call > 5)
            }
        }
    }

    @Test func keysMadeHereForSomebodyElseStay() async throws {
        try await withConflict { bench, user in
            let bob = try await bench.addUser("bob", isSynced: true)
            try await bench.addModel("gpt")
            let key = try await bench.addKey(bob)
            try await bench.runAll()
            // Somebody has given Bob's key to the other user by hand.
            bench.litellm.change { $0.keys[key.key.hash]?["user_id"] = .string(Self.foreign) }
            let preview = try await bench.database.withTransaction { transaction in
                try await UserRealignment(queue: bench.services.queue).preview(
                    .adopt, for: user.id, by: bench.actor, in: transaction
                ).id
            }
            let state = bench.litellm.state
            let seen = try #require(try await bench.attempt(preview) as? UserRealignPreview.Output)
            try await bench.finish(preview)
            #expect(seen.movedKeys == 2 && seen.keptKeys == [key.key.alias])
            #expect(seen.ours == nil && seen.foreign?.spend == 7 && seen.foreign?.alias == "Old Alice")
            #expect(seen.changes.map(\.object) == ["user", "user", "key", "key"])
            #expect(seen.changes.map(\.field) == ["email", "email", "userId", "userId"])
            #expect(bench.litellm.state.users == state.users && bench.litellm.state.keys == state.keys)
            let jobId = try await decide(.adopt, bench, user)
            let output = try #require(try await bench.attempt(jobId) as? UserRealign.Output)
            #expect(output.movedKeys == 2 && output.keptKeys == 1)
            #expect(bench.litellm.state.keys[key.key.hash]?["user_id"]?.stringValue == Self.foreign)
            #expect(email(Self.foreign, bench) == seen.changes.first?.to)
        }
    }

    @Test func anotherPersonsUserIsNotAdopted() async throws {
        try await withConflict { bench, user in
            let bob = try await bench.addUser("bob", isSynced: true)
            bench.litellm.change { state in
                state.users[Self.foreign]?["metadata"] = [
                    "created_by": "litemaas", "db_user_id": .string(bob.id.text),
                ]
            }
            let before = bench.litellm.state.users[Self.foreign]
            let jobId = try await decide(.adopt, bench, user)
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.errorClass == .conflict && failure?.info.code == "user_is_ours")
            #expect(bench.litellm.state.users[Self.foreign] == before)
            try await bench.end(jobId, as: .failed, code: "user_is_ours")
            let row = try #require(try await bench.users.find(user.id, in: bench.database))
            #expect(row.sync.status == .failed && row.sync.error?.code == "user_is_ours")
            // The conflict is still there to be decided in the other way.
            let separate = try await decide(.separate, bench, user)
            #expect(try await bench.users.find(user.id, in: bench.database)?.hasSeparateEmail == true)
            // And, before that was carried out, once more.
            try await bench.end(separate, as: .cancelled)
            bench.litellm.change { $0.users[Self.foreign]?["metadata"] = [:] }
            _ = try await decide(.adopt, bench, user)
            try await bench.runAll()
            let after = try #require(try await bench.users.find(user.id, in: bench.database))
            #expect(after.sync.isSynced && !after.hasSeparateEmail)
            #expect(email(user.id.text, bench) == "alice@example.com")
        }
    }

    @Test func anOtherUserThatIsGoneNeedsNothing() async throws {
        try await withConflict { bench, user in
            bench.litellm.change { $0.users = [:] }
            let jobId = try await decide(.adopt, bench, user)
            let output = try #require(try await bench.attempt(jobId) as? UserRealign.Output)
            #expect(output.movedKeys == 0 && output.foreignEmail == nil)
            #expect(Array(bench.litellm.state.users.keys) == [user.id.text])
        }
    }
}

@Suite(.needsDatabase) struct UserLimitsTests {
    private func setLimits(
        _ bench: KindBench, _ user: User, _ change: @Sendable (inout LimitsChange) -> Void
    ) async throws {
        var wanted = UserChange()
        change(&wanted.limits)
        let asked = wanted
        _ = try await bench.database.withTransaction { transaction in
            try await UserAdministration(queue: bench.services.queue).change(
                user.id, asked, action: "USER_BUDGET_UPDATE", giving: [], by: bench.actor, in: transaction)
        }
    }

    @Test func limitsReachLiteLLMAndNullClearsThem() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            try await setLimits(bench, user) { limits in
                limits.maxBudget = .set(0)
                limits.tpmLimit = .set(10)
                limits.rpmLimit = .set(2)
                limits.budgetDuration = .set("weekly")
            }
            try await bench.runAll()
            let set = try #require(bench.litellm.state.users[user.id.text])
            #expect(set["max_budget"] == 0 && set["tpm_limit"] == 10 && set["rpm_limit"] == 2)
            #expect(set["budget_duration"] == "7d")
            try await setLimits(bench, user) { limits in
                limits.maxBudget = .clear
                limits.tpmLimit = .clear
                limits.rpmLimit = .clear
                limits.budgetDuration = .clear
            }
            try await bench.runAll()
            let cleared = try #require(bench.litellm.state.users[user.id.text])
            for member in ["max_budget", "tpm_limit", "rpm_limit", "budget_duration"] {
                #expect(cleared[member] == nil)
            }
            #expect(try await bench.users.find(user.id, in: bench.database)?.sync.isSynced == true)
        }
    }

    @Test func aLiteLLMThatIgnoresNullIsNotBelieved() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            try await setLimits(bench, user) { $0.maxBudget = .clear }
            let jobId = try #require(try await bench.jobs(UserProvision.self).first)
            bench.litellm.fail("/user/update", .answer(200, ["user_id": .string(user.id.text), "data": [:]]))
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(failure?.info.code == "verification_failed")
            #expect(failure?.info.message.contains("maxBudget") == true)
            #expect(try await bench.users.find(user.id, in: bench.database)?.sync.isSynced == false)
        }
    }
}
