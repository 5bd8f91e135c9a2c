import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Limits of many users", .needsDatabase, .hangGuard)
struct UsersBulkLimitsTests {
    /// 0 is a limit, null is none, and what is not named stays.
    private static var change: LimitsChange {
        var change = LimitsChange()
        change.maxBudget = .clear
        change.rpmLimit = .set(0)
        return change
    }

    private static let wanted = SpendingLimits(budgetDuration: "monthly", rpmLimit: 0)

    private func people(_ count: Int, _ bench: KindBench) async throws -> [User] {
        var users: [User] = []
        for number in 0..<count { users.append(try await bench.addUser("user\(number)", isSynced: true)) }
        return users.sorted { $0.id.text < $1.id.text }
    }

    private func enqueue(
        _ bench: KindBench, _ filter: ActiveUserFilter = ActiveUserFilter(), chunk: Int = 2
    ) async throws -> Int64 {
        var job = UsersBulkLimits(
            filter: filter, limits: LimitsDocument(Self.change), asOf: try await bench.users.now(in: bench.database))
        job.chunk = chunk
        return try await bench.services.queue.enqueue(job).id
    }

    private func limits(_ users: [User], _ bench: KindBench) async throws -> [SpendingLimits] {
        var found: [SpendingLimits] = []
        for user in users { found.append(try #require(try await bench.users.find(user.id, in: bench.database)).limits) }
        return found
    }

    @Test("parameters come out of the queue as they went in")
    func parameters() throws {
        var all = LimitsChange()
        all.maxBudget = .set(Decimal(string: "0.1") ?? 0)
        all.budgetDuration = .set("7d")
        all.tpmLimit = .clear
        for change in [LimitsChange(), Self.change, all] {
            let coded = try JSON.decoder.decode(
                LimitsDocument.self, from: JSON.encoder.encode(LimitsDocument(change)))
            #expect(coded.change == change)
        }
    }

    @Test("limits that somebody changes after it was asked for stay; the next one changes them again")
    func newerChange() async throws {
        try await KindBench.run { bench in
            let users = try await people(3, bench)
            let id = try await enqueue(bench)
            var newer = users[1]
            newer.limits = SpendingLimits(maxBudget: 7)
            let changed = newer
            try await bench.database.withTransaction { transaction in
                _ = try await bench.users.store(
                    changed, setsRoles: false, reachesLiteLLM: true, in: transaction)
            }
            let next = try await enqueue(bench)
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(id) }
            #expect(try await limits(users, bench) == [Self.wanted, newer.limits, Self.wanted])
            #expect(try await bench.jobs(UserProvision.self).count == 2)
            // Was asked for after the change, though before the first one ran, which has ended by now.
            try await bench.database.query("delete from jobs where id <> \(next)")
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(next) }
            let last = try await limits(users, bench)
            #expect(last.allSatisfy { $0.rpmLimit == 0 && $0.maxBudget == nil })
        }
    }

    @Test("the rows change in chunks, each user follows by a child; failures are named, the others counted")
    func partial() async throws {
        try await KindBench.run { bench in
            let users = try await people(5, bench)
            try await bench.database.query("update users set is_active = false where id = \(users[4].id)")
            let id = try await enqueue(bench)
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(id) }
            let found = try await limits(users, bench)
            #expect(found.prefix(4).allSatisfy { $0 == Self.wanted } && found[4] == users[4].limits)
            let children = try await bench.jobs(UserProvision.self)
            #expect(children.count == 4)
            for child in children.dropFirst() {
                try await bench.attempt(child)
                try await bench.succeed(child)
            }
            try await bench.end(children[0], as: .failed, code: "too_bad")
            let output = try #require(try await bench.resume(id) as? UsersBulkLimits.Output)
            #expect(output.totalUsers == 4 && output.successCount == 3 && output.failedCount == 1)
            #expect(
                output.errors == [
                    .init(
                        userId: users[0].id.text, username: users[0].username, error: "too_bad: No more.")
                ])
            let row = try #require(bench.litellm.state.users[users[1].id.text])
            #expect(row["max_budget"] == nil && row["rpm_limit"] == 0 && row["budget_duration"] == "30d")
            // The row shows that its child has failed.
            let failed = try #require(try await bench.users.find(users[0].id, in: bench.database))
            #expect(failed.sync.status == .failed && failed.sync.error?.code == "too_bad")
            let audits = try await PostgresAuditStore().entries(
                resourceType: "user", resourceId: users[1].id.text, limit: 20, in: bench.database
            ).filter { $0.action == "USER_BUDGET_UPDATE" }
            #expect(audits.count == 1 && audits.first?.newValues?["rpmLimit"] == 0)
        }
    }

    @Test("an attempt after a crash goes on behind the last chunk and overwrites nothing changed since")
    func crash() async throws {
        try await KindBench.run { bench in
            let users = try await people(5, bench)
            let id = try await enqueue(bench)
            // The third chunk dies with its transaction.
            try await bench.database.query(
                """
                create function stop_user() returns trigger language plpgsql as
                $$ begin raise exception 'stopped' using errcode = '58000'; end $$
                """)
            try await bench.database.query(
                """
                create trigger stop_user before update on users for each row
                when (new.rpm_limit = 0 and new.username = 'last') execute function stop_user()
                """)
            try await bench.database.query("update users set username = 'last' where id = \(users[4].id)")
            await #expect(throws: PostgresError.self) { try await bench.attempt(id) }
            try await bench.database.query("drop trigger stop_user on users")
            let done = try await bench.jobs(UserProvision.self)
            #expect(done.count == 4)
            try await bench.database.query("update users set rpm_limit = 77 where id = \(users[0].id)")
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(id) }
            #expect(try await bench.jobs(UserProvision.self).count == 5)
            let found = try await limits(users, bench)
            #expect(found[0].rpmLimit == 77 && found.dropFirst().allSatisfy { $0 == Self.wanted })
            // A third one finds nothing to do.
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(id) }
            #expect(try await bench.jobs(UserProvision.self).count == 5)
        }
    }

    @Test("a filter means active users by id, role and text; ids that nobody active has are refused")
    func filters() async throws {
        try await KindBench.run { bench in
            let users = try await people(3, bench)
            try await bench.database.query("update users set roles = '{admin,user}' where id = \(users[0].id)")
            try await bench.database.query("update users set is_active = false where id = \(users[2].id)")
            let administration = UserAdministration(queue: bench.services.queue)
            let cases: [(ActiveUserFilter, Int)] = [
                (ActiveUserFilter(), 2), (ActiveUserFilter(userIds: [users[1].id]), 1),
                (ActiveUserFilter(roles: [.admin, .readonly]), 1), (ActiveUserFilter(roles: [.user]), 2),
                (ActiveUserFilter(search: users[1].email), 1), (ActiveUserFilter(search: "100%"), 0),
            ]
            for (filter, count) in cases {
                let found = try await administration.countForLimits(Self.change, of: filter, in: bench.database)
                #expect(found == count, "\(filter)")
            }
            let unknown = UUID()
            do {
                _ = try await administration.countForLimits(
                    Self.change, of: ActiveUserFilter(userIds: [users[1].id, users[2].id, unknown]), in: bench.database)
                Issue.record("ids were taken that no active user has")
            } catch let error as ProvisioningError {
                #expect(error.code == .unknownUsers && error.values == [users[2].id.text, unknown.text])
            }
            let nobody = try await bench.database.withTransaction { transaction in
                try await administration.setLimits(
                    Self.change, of: ActiveUserFilter(search: "nobody"), by: bench.actor, in: transaction)
            }
            #expect(nobody.count == 0 && nobody.job == nil)
        }
    }
}

extension KindBench {
    /// Ends a child that has succeeded as the engine does.
    func succeed(_ jobId: Int64) async throws {
        let token = try await database.query("update jobs set state = 1 where id = \(jobId) returning token")
            .one(Int64.self)
        _ = try await store.finishOrdered(
            [FinishedJob(id: jobId, token: token, orderKey: "x", result: nil)], in: database)
    }

    /// What the engine does with a parent whose children have ended, and its next attempt.
    func resume(_ parent: Int64) async throws -> any Sendable {
        let family = PostgresFamilyStore()
        try await database.query("update jobs set state = 7 where id = \(parent)")
        try await family.setPolicy(.someMayFail, parent: parent, in: database)
        _ = try await database.withTransaction { try await family.lookAtNext(in: $0) }
        return try await attempt(parent)
    }
}
