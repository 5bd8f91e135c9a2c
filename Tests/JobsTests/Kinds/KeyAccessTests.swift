import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("key.access", .needsDatabase, .hangGuard)
struct KeyAccessTests {
    /// A bench with a user in LiteLLM and another one who administers.
    private func withUser(
        settings: ProvisioningSettings = ProvisioningSettings(),
        _ body: @Sendable (KindBench, User) async throws -> Void
    ) async throws {
        var wide = settings
        wide.maxActiveKeysPerUser = 1000
        try await KindBench.run(settings: wide) { bench in
            try await bench.addModel("gpt")
            try await body(bench, try await bench.addUser(isSynced: true))
        }
    }

    private func isBlocked(_ created: CreatedKey, _ bench: KindBench) -> Bool? {
        bench.litellm.state.keys[created.key.hash].map { $0["blocked"]?.boolValue ?? false }
    }

    private func blockedAt(_ created: CreatedKey, _ bench: KindBench) async throws -> Date? {
        try await bench.keys.standing(created.key.id, in: bench.database)?.blockedAt
    }

    private func state(_ value: any Sendable) throws -> String {
        try #require(value as? KeyAccess.Output).state
    }

    private func actions(_ created: CreatedKey, _ bench: KindBench) async throws -> [String] {
        try await PostgresAuditStore().entries(
            resourceType: "api_key", resourceId: created.key.id.text, limit: 50, in: bench.database
        ).map(\.action)
    }

    @Test("blocks the keys of a deactivated owner, reads that back, and lets them in again")
    func blocksAndUnblocks() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            let off = try await bench.setActive(user, false)
            #expect(off.keyJobs.map(\.keyId) == [created.key.id])
            #expect(try state(try await bench.attempt(off.keyJobs[0].job.id)) == "blocked")
            #expect(isBlocked(created, bench) == true)
            #expect(try await blockedAt(created, bench) != nil)
            try await bench.finish(off.keyJobs[0].job.id)

            let on = try await bench.setActive(user, true)
            #expect(try state(try await bench.attempt(on.keyJobs[0].job.id)) == "unblocked")
            #expect(isBlocked(created, bench) == false)
            #expect(try await blockedAt(created, bench) == nil)
            #expect(try await actions(created, bench).prefix(2) == ["API_KEY_UNBLOCKED", "API_KEY_BLOCKED"])
            // The key itself is not touched: it stays the owner's and active here.
            #expect(try await bench.row(created).isActive)
        }
    }

    @Test("survives death between any two steps", arguments: [false, true])
    func deaths(isOwnerActive: Bool) async throws {
        try await withUser { bench, user in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let created = try await bench.addKey(user)
                    try await bench.runAll()
                    if isOwnerActive { try await bench.block(created, of: user) }
                    let job = try await bench.setActive(user, isOwnerActive, only: created)
                    died = try await bench.dies(job, atCall: call, afterEffect: afterEffect)
                    for _ in 1...2 {
                        #expect(
                            try state(try await bench.attempt(job)) == (isOwnerActive ? "unblocked" : "blocked"),
                            "death at call \(call), after its effect: \(afterEffect)")
                    }
                    #expect(isBlocked(created, bench) == !isOwnerActive)
                    #expect(try await (blockedAt(created, bench) == nil) == isOwnerActive)
                    let done = isOwnerActive ? "API_KEY_UNBLOCKED" : "API_KEY_BLOCKED"
                    #expect(try await actions(created, bench).filter { $0 == done }.count == 1)
                    try await bench.finish(job)
                    try await bench.database.query("delete from jobs")
                    try await bench.database.query("update users set is_active = true")
                }
                #expect(call > 2)
            }
        }
    }

    @Test("goes by what is wanted when it runs, however often it was asked")
    func coalesces() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            let off = try await bench.setActive(user, false)
            let on = try await bench.setActive(user, true)
            let again = try await bench.setActive(user, false)
            #expect(Set([off, on, again].map { $0.keyJobs[0].job.id }).count == 1)
            #expect(again.keyJobs[0].job.coalesced)
            #expect(try state(try await bench.attempt(off.keyJobs[0].job.id)) == "blocked")
            #expect(isBlocked(created, bench) == true)
        }
    }

    @Test("an answer of success is not believed")
    func lies() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            let job = try await bench.setActive(user, false).keyJobs[0].job.id
            for _ in 1...4 { bench.litellm.fail("/key/block", .answer(200, [:])) }
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job) }
            #expect(failure?.info.code == "access_not_set_yet")
            #expect(try await blockedAt(created, bench) == nil)
            #expect(try state(try await bench.attempt(job)) == "blocked")
        }
    }

    @Test("an unblock that arrives late, behind a newer block, is looked for and blocked again")
    func lateUnblock() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            try await bench.block(created, of: user)
            let on = try await bench.setActive(user, true, only: created)
            bench.litellm.fail("/key/unblock", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(on) }
            let off = try await bench.setActive(user, false, only: created)
            #expect(off == on)
            #expect(try state(try await bench.attempt(off)) == "blocked")
            try await bench.finish(off)
            bench.litellm.deliverHeld()
            #expect(isBlocked(created, bench) == false)
            // Committed before the unblock left, for when it can no longer arrive.
            let looks = try await bench.jobs(KeyAccess.self)
            #expect(looks.count == 1)
            let look = try #require(looks.first)
            #expect(try await bench.services.queue.job(id: look)?.state == .scheduled)
            #expect(try state(try await bench.attempt(look)) == "blocked")
            #expect(isBlocked(created, bench) == true)
        }
    }

    @Test("leaves revoked keys alone, and keys that LiteLLM does not have")
    func nothingToDo() async throws {
        try await withUser { bench, user in
            let absent = try await bench.addKey(user)
            try await bench.finish(absent.job.id)
            let revoked = try await bench.addKey(user)
            try await bench.runAll()
            let jobs = try await bench.setActive(user, false).keyJobs
            let job = try #require(jobs.first { $0.keyId == absent.key.id }).job.id
            #expect(try state(try await bench.attempt(job)) == "absent")
            #expect(try await bench.jobs(KeyAccess.self).count == 2)

            let other = try #require(jobs.first { $0.keyId == revoked.key.id }).job.id
            try await bench.database.query("update api_keys set is_active = false where id = \(revoked.key.id)")
            bench.litellm.change { $0.calls = [] }
            #expect(try state(try await bench.attempt(other)) == "revoked")
            #expect(bench.litellm.state.calls.isEmpty)
            #expect(isBlocked(revoked, bench) == false)
        }
    }

    @Test("looks again for a create that is still on its way")
    func lateCreate() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            bench.litellm.fail("/key/generate", .held)
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            try await bench.end(created.job.id, as: .failed)
            let job = try await bench.setActive(user, false).keyJobs[0].job.id
            #expect(try state(try await bench.attempt(job)) == "absent")
            try await bench.finish(job)
            bench.litellm.deliverHeld()
            #expect(isBlocked(created, bench) == false)
            let look = try #require(try await bench.jobs(KeyAccess.self).first)
            #expect(try state(try await bench.attempt(look)) == "blocked")
        }
    }

    @Test("an attempt that lost its job changes nothing here")
    func fenced() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            try await bench.runAll()
            let job = try await bench.setActive(user, false).keyJobs[0].job.id
            let context = try await bench.claim(job)
            try await bench.database.query("update jobs set token = token + 1 where id = \(job)")
            await #expect(throws: JobLeaseLost.self) { try await KeyAccess(keyId: created.key.id).run(in: context) }
            #expect(try await blockedAt(created, bench) == nil)
        }
    }

    @Test("never gives up, in the queue of revocations and behind them")
    func kind() {
        #expect(KeyAccess.retry.maxAttempts == RetryPolicy.unlimitedAttempts)
        #expect(KeyAccess.queue == KeyRevoke.queue)
        #expect(KeyAccess.priority > KeyRevoke.priority && KeyAccess.priority < KeyDelete.priority)
    }

    // MARK: Creating for an owner who was deactivated

    @Test("a create that runs after its owner was deactivated makes a blocked key, whatever it is stopped by")
    func createBlocked() async throws {
        try await withUser { bench, user in
            for afterEffect in [false, true] {
                var call = 0
                var died = true
                while died {
                    call += 1
                    let created = try await bench.addKey(user)
                    let job = try await bench.setActive(user, false, only: created)
                    died = try await bench.dies(created.job.id, atCall: call, afterEffect: afterEffect)
                    #expect(isBlocked(created, bench) != false, "at call \(call), after its effect: \(afterEffect)")
                    for _ in 1...2 { _ = try await bench.attempt(created.job.id) }
                    #expect(isBlocked(created, bench) == true)
                    #expect(try await bench.row(created).sync.isSynced)
                    #expect(try await actions(created, bench).filter { $0 == "API_KEY_BLOCKED" }.count == 1)
                    try await bench.finish(created.job.id)
                    #expect(try state(try await bench.attempt(job)) == "blocked")
                    #expect(bench.litellm.state.calls.contains("POST /key/block") == false)
                    try await bench.database.query("delete from jobs")
                    try await bench.database.query("update users set is_active = true")
                }
                #expect(call > 2)
            }
        }
    }

    @Test("a create whose owner came back in between ends with a key that works")
    func createThenReactivated() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            _ = try await bench.setActive(user, false)
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            #expect(isBlocked(created, bench) == true)
            let job = try await bench.setActive(user, true).keyJobs[0].job.id
            _ = try await bench.attempt(created.job.id)
            #expect(try await bench.row(created).sync.isSynced)
            try await bench.finish(created.job.id)
            #expect(try state(try await bench.attempt(job)) == "unblocked")
            #expect(isBlocked(created, bench) == false)
        }
    }

    @Test("a create that was sent before its owner was deactivated is blocked behind it")
    func createdBefore() async throws {
        try await withUser { bench, user in
            let created = try await bench.addKey(user)
            bench.litellm.fail("/key/generate", .connectionLost(afterEffect: true))
            _ = await #expect(throws: LiteLLMError.self) { try await bench.attempt(created.job.id) }
            let job = try await bench.setActive(user, false).keyJobs[0].job.id
            _ = try await bench.attempt(created.job.id)
            try await bench.finish(created.job.id)
            #expect(try state(try await bench.attempt(job)) == "blocked")
            #expect(isBlocked(created, bench) == true)
        }
    }
}

extension KindBench {
    /// Deactivates a user, or takes them back, as an administrator does.
    func setActive(_ user: User, _ isActive: Bool) async throws -> ChangedUser {
        var change = UserChange()
        change.isActive = isActive
        let wanted = change
        let admin = AuditActor(userId: nil, name: "tester", ipAddress: "192.0.2.7", requestId: UUID().uuidString)
        return try await database.withTransaction { transaction in
            try await UserAdministration(queue: services.queue).change(
                user.id, wanted, action: "USER_UPDATE", giving: Set(Role.allCases), by: admin, in: transaction)
        }
    }

    /// The same; gives the job for one key.
    func setActive(_ user: User, _ isActive: Bool, only created: CreatedKey) async throws -> Int64 {
        let jobs = try await setActive(user, isActive).keyJobs
        return try #require(jobs.first { $0.keyId == created.key.id }).job.id
    }

    /// Deactivates the user and blocks the key.
    func block(_ created: CreatedKey, of user: User) async throws {
        let job = try await setActive(user, false, only: created)
        try await attempt(job)
        try await finish(job)
    }
}
