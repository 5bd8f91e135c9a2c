import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("What is worth an alert")
struct AlertRuleTests {
    private static let now = Date(timeIntervalSince1970: 1_800_000_000)

    private func facts(_ change: (inout AlertFacts) -> Void) -> AlertFacts {
        var facts = AlertFacts()
        facts.now = Self.now
        facts.liveWorkers = 1
        change(&facts)
        return facts
    }

    private func alerts(_ change: (inout AlertFacts) -> Void) -> [Alert] {
        AlertRules(facts: facts(change)).alerts()
    }

    private func schedule(
        _ kind: String, cron: String = "@every 60m", lookAt: TimeInterval = 60, age: TimeInterval = 86_400
    ) -> AlertFacts.Schedule {
        AlertFacts.Schedule(
            name: kind, kind: kind, cron: cron, timeZone: "UTC", lookAt: Self.now.addingTimeInterval(lookAt),
            changedAt: Self.now.addingTimeInterval(-age))
    }

    @Test("nothing, where nothing is wrong")
    func calm() {
        let found = alerts { facts in
            facts.modelsSyncedAt = Self.now.addingTimeInterval(-3600)
            facts.usageTakenAt = Self.now.addingTimeInterval(-7000)
            facts.schedules = [schedule(ModelSync.name), schedule(UsageRefresh.name)]
        }
        #expect(found.isEmpty)
    }

    @Test("what a schedule keeps up to date is overdue after three of its ticks, and never before a quarter of an hour")
    func overdue() {
        let cases: [(cron: String, last: TimeInterval?, isOverdue: Bool)] = [
            ("@every 60m", 2 * 3600, false), ("@every 60m", 4 * 3600, true), ("@every 24h", 4 * 3600, false),
            ("@every 1m", 600, false), ("@every 1m", 1000, true), ("@every 60m", nil, true),
        ]
        for (cron, last, isOverdue) in cases {
            let found = alerts { facts in
                facts.modelsSyncedAt = last.map { Self.now.addingTimeInterval(-$0) }
                facts.usageTakenAt = facts.modelsSyncedAt
                facts.schedules = [schedule(ModelSync.name, cron: cron), schedule(UsageRefresh.name, cron: cron)]
            }
            let expected: [Alert.Sort] = isOverdue ? [.modelSyncOverdue, .usageOverdue] : []
            #expect(found.map(\.type) == expected, "\(cron), \(String(describing: last))")
        }
        let new = alerts { $0.schedules = [schedule(ModelSync.name, age: 60)] }
        #expect(new.isEmpty)
    }

    @Test("a schedule that nobody runs is late, and one whose last run failed is told of with the reason")
    func schedules() {
        let found = alerts { facts in
            var failing = schedule("keys.expire")
            failing.error = ("too_bad", Self.now.addingTimeInterval(-60))
            facts.schedules = [schedule("secrets.purge", lookAt: -400), schedule("quota.reset", lookAt: -200), failing]
        }
        #expect(found.map(\.type) == [.scheduleLate, .scheduleFailing])
        #expect(found.map(\.entityId) == ["secrets.purge", "keys.expire"])
        #expect(found[1].message.contains("too_bad"))
    }

    @Test("budgets have three steps, the worst come first, and what works no more is critical")
    func order() {
        let found = alerts { facts in
            facts.liveWorkers = 0
            facts.lastBeat = Self.now.addingTimeInterval(-90)
            facts.deadLetters = [.init(name: "key.create", count: 3, since: Self.now, example: "7")]
            facts.drift = [
                .init(name: "key", kind: "alive", count: 1, since: Self.now, example: "k"),
                .init(name: "user", kind: "differs", count: 2, since: Self.now, example: "u"),
            ]
            facts.budgets = [80, 89, 90, 99, 100, 120].map { spend in
                .init(
                    type: "user", id: "\(spend)", name: "bob", spend: Decimal(spend), budget: 100, takenAt: Self.now)
            }
        }
        #expect(
            found.map(\.type) == [
                .noWorker, .drift, .budget, .budget, .drift, .deadLetters, .budget, .budget, .budget, .budget,
            ])
        #expect(found[0].createdAt == Self.now.addingTimeInterval(-90))
        let budgets = found.filter { $0.type == .budget }
        #expect(budgets.map(\.entityId) == ["100", "120", "90", "99", "80", "89"])
        #expect(budgets.map(\.severity) == [.critical, .critical, .warning, .warning, .info, .info])
        #expect(budgets[1].message.contains("120 %"))
    }

    @Test("a breaker is told of with what to do: a person's word is to be taken back, LiteLLM to be mended")
    func breakers() {
        let states: [BreakerPolicy.State] = [.open, .halfOpen, .forcedOpen, .forcedClosed]
        let found = alerts { facts in
            facts.breakers = states.map { .init(name: "litellm.admin", state: $0, since: Self.now, reason: "why") }
        }
        #expect(found.map(\.type) == [.breakerOpen, .breakerOpen, .breakerForced, .breakerForced])
        #expect(found.map(\.severity) == [.critical, .critical, .critical, .warning])
        #expect(found.allSatisfy { $0.message.contains("why") })
    }
}

@Suite("Alerts from the tables", .needsDatabase, .hangGuard)
struct AlertTests {
    private func sorts(_ bench: KindBench) async throws -> Set<Alert.Sort> {
        Set(try await Alerts().list(in: bench.database).alerts.map(\.type))
    }

    @Test("a revocation that LiteLLM was not seen to carry out is told of after five minutes, until it was seen")
    func revocations() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let key = try await bench.addKey(user)
            try await bench.runAll()
            let job = try #require(try await bench.revoke(key))
            #expect(try await !sorts(bench).contains(.revocationPending))
            try await bench.database.query(
                "update api_keys set revoke_requested_at = now() - interval '6 minutes' where id = \(key.key.id)")
            let found = try #require(
                try await Alerts().list(in: bench.database).alerts.first { $0.type == .revocationPending })
            #expect(found.severity == .critical && found.entityId == key.key.id.text && found.count == 1)
            try await bench.attempt(job.id)
            #expect(try await !sorts(bench).contains(.revocationPending))
        }
    }

    @Test("budgets are told of from eight tenths on, within their period; the fifty most used are named")
    func budgets() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            func spend(_ amount: Int, periodEndsIn hours: Int) async throws -> Int {
                try await bench.database.query(
                    """
                    update users set current_spend = \(amount), spend_taken_at = now(),
                        budget_reset_at = now() + \(hours) * interval '1 hour'
                    where id = \(user.id)
                    """)
                return try await Alerts().list(in: bench.database).budgetAlerts
            }
            #expect(try await spend(79, periodEndsIn: 1) == 0)
            #expect(try await spend(80, periodEndsIn: 1) == 1)
            #expect(try await spend(200, periodEndsIn: -1) == 0)
            try await bench.database.query(
                """
                insert into users (id, username, email, oauth_provider, oauth_id, roles, is_active, max_budget,
                    current_spend, spend_taken_at)
                select gen_random_uuid(), 'many' || n, 'many' || n || '@example.com', 'many', n::text, '{user}', true,
                    100, 100 + n, now()
                from generate_series(1, 60) as n
                """)
            let many = try await Alerts().list(in: bench.database)
            #expect(many.budgetAlerts == 60)
            let listed = many.alerts.filter { $0.type == .budget }
            #expect(listed.count == 50 && listed[0].message.contains("many60"))
            #expect(try await Alerts().ofSystem(in: bench.database).allSatisfy { $0.type != .budget })
        }
    }

    @Test("failed and conflicting rows, drift, paused queues, dead letters and silent workers are read from the tables")
    func groups() async throws {
        try await KindBench.run { bench in
            let user = try await bench.addUser(isSynced: true)
            #expect(try await sorts(bench) == [.noWorker])
            try await bench.database.query(
                """
                insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
                values (gen_random_uuid(), 'w', 'h', 1, 'v', '{}', '{}', 1, now() + interval '1 minute')
                """)
            #expect(try await sorts(bench) == [])
            try await bench.database.query("update users set sync_status = 'failed' where id = \(user.id)")
            #expect(try await sorts(bench) == [.syncFailure])
            try await bench.database.query("update users set conflict = '{}' where id = \(user.id)")
            #expect(try await sorts(bench) == [.userConflict])
            try await bench.database.query("update users set sync_status = 'synced', conflict = null")
            try await bench.database.query(
                "insert into reconciliations (job_id, dry_run, scope, policy, started_at) values (1, true, '{}', '{}', now())"
            )
            try await bench.database.query(
                """
                insert into drift_findings (reconciliation_id, object_type, object_id, kind, state)
                select max(r.id), 'key', k.id, 'foreign', k.state from reconciliations r,
                    (values ('a', 'open'), ('b', 'open'), ('c', 'ignored')) as k (id, state) group by k.id, k.state
                """)
            let drift = try await Alerts().list(in: bench.database).alerts
            #expect(drift.map(\.type) == [.drift] && drift[0].count == 2 && drift[0].entityId == "a")
            try await bench.database.query("update drift_findings set state = 'repaired'")
            let job = try await bench.services.queue.enqueue(UsersSnapshot())
            try await bench.end(job.id, as: .failed)
            let letters = try await Alerts().list(in: bench.database).alerts
            #expect(letters.map(\.type) == [.deadLetters] && letters[0].entityId == "users.snapshot")
        }
    }
}
