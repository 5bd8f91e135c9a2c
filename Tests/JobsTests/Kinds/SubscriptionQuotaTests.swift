import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Quotas and expiry of subscriptions", .needsDatabase, .hangGuard)
struct SubscriptionQuotaTests {
    private func setUp(
        _ bench: KindBench, requests: Int = 100
    ) async throws -> (user: User, Subscription, key: CreatedKey) {
        try await bench.addModel("gpt")
        let user = try await bench.addUser(isSynced: true)
        let subscription = try await bench.subscribe(user, to: "gpt") { $0.quotaRequests = requests }
        let key = try await bench.addKey(user)
        try await bench.runAll()
        return (user, subscription, key)
    }

    private func count(_ action: String, _ subscription: Subscription, _ bench: KindBench) async throws -> Int {
        try await bench.actions(subscription).filter { $0 == action }.count
    }

    @Test("80 and 90 % are warned of once, 100 % suspends once, however often the same is counted")
    func thresholds() async throws {
        try await KindBench.run { bench in
            let (user, subscription, key) = try await setUp(bench)
            for requests in [79, 80, 85, 80, 89] {
                #expect(try await bench.account(user, "gpt", requests: requests).isEmpty)
            }
            #expect(try await count("SUBSCRIPTION_QUOTA_WARNING", subscription, bench) == 1)
            // An older figure that comes late takes nothing back.
            #expect(try await bench.row(subscription).used.requests == 89)
            _ = try await bench.account(user, "gpt", requests: 89, tokens: 950_000)
            #expect(try await count("SUBSCRIPTION_QUOTA_WARNING", subscription, bench) == 2)
            let jobs = try await bench.account(user, "gpt", requests: 100)
            #expect(jobs.map(\.keyId) == [key.key.id])
            #expect(try await bench.account(user, "gpt", requests: 120).isEmpty)
            #expect(try await bench.path(subscription) == ["active:request", "suspended:quota"])
            let row = try await bench.row(subscription)
            #expect(row.used.requests == 120 && row.statusChangedBy == nil && row.usageTakenAt != nil)
            let refusal = try await bench.refusal {
                _ = try await bench.database.withTransaction {
                    try await bench.subscriptions.resume(subscription.id, reason: nil, by: bench.owner(user), in: $0)
                }
            }
            #expect(refusal == .beyondOwner)
            // A higher quota gives it back, a lower one takes it again.
            let raised = try await bench.update(subscription, by: bench.administrator) { $0.quotaRequests = 500 }
            #expect(raised.subscription.status == .active && raised.keyJobs.count == 1)
            let lowered = try await bench.update(subscription, by: bench.owner(user)) { $0.quotaRequests = 120 }
            #expect(lowered.subscription.status == .suspended && lowered.subscription.cause == "quota")
        }
    }

    @Test("fifty at once: one warning for each threshold, one suspension")
    func concurrent() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            let jobs = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 1...50 {
                    group.addTask { try await bench.account(user, "gpt", requests: 51 + number).count }
                }
                return try await group.reduce(0, +)
            }
            #expect(jobs == 1)
            #expect(try await bench.path(subscription) == ["active:request", "suspended:quota"])
            #expect(try await count("SUBSCRIPTION_QUOTA_WARNING", subscription, bench) == 2)
            #expect(try await count("SUBSCRIPTION_QUOTA_EXHAUSTED", subscription, bench) == 1)
            #expect(try await bench.row(subscription).used.requests == 101)
        }
    }

    @Test("a month that is over begins anew and gives back what only the quota took, once")
    func monthlyReset() async throws {
        try await KindBench.run { bench in
            let (user, subscription, key) = try await setUp(bench)
            _ = try await bench.account(user, "gpt", requests: 100)
            try await bench.runAll()
            let bob = try await bench.addUser("bob")
            let other = try await bench.subscribe(bob, to: "gpt")
            try await bench.runAll()
            try await bench.database.query(
                "update subscriptions set reset_at = now() - interval '1 hour', used_tokens = used_tokens + 7")
            // Figures of a period that is over are not counted.
            _ = try await bench.account(user, "gpt", requests: 400)
            #expect(try await bench.row(subscription).used.requests == 100)
            var sweep = QuotaReset()
            sweep.chunk = 1
            let job = try await bench.services.queue.enqueue(sweep)
            let output = try #require(try await bench.attempt(job.id) as? QuotaReset.Output)
            #expect(output == QuotaReset.Output(reset: 2, resumed: 1))
            let row = try await bench.row(subscription)
            #expect(row.status == .active && row.used == SubscriptionQuotas(requests: 0, tokens: 0))
            #expect(row.resetAt > Date() && row.usageTakenAt == nil)
            #expect(try await bench.row(other).used.tokens == 0)
            #expect(try await bench.jobs(KeyAccess.self).count == 1)
            #expect(try await bench.path(subscription).last == "active:quota_reset")
            let again = try #require(try await bench.attempt(job.id) as? QuotaReset.Output)
            #expect(again == QuotaReset.Output(reset: 0, resumed: 0))
            #expect(try await bench.row(key).isActive)
        }
    }

    @Test("an administrator's reset forgives the use up to today, but never their own")
    func reset() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            _ = try await bench.account(user, "gpt", requests: 100)
            try await bench.runAll()
            let own = SubscriptionCaller(
                actor: AuditActor(userId: user.id, name: user.username), isAdministrator: true)
            let refusal = try await bench.refusal {
                _ = try await bench.database.withTransaction {
                    try await bench.subscriptions.resetQuotas(ofUser: user.id, by: own, in: $0)
                }
            }
            #expect(refusal == .own)
            let mine = try await bench.database.withTransaction {
                try await bench.subscriptions.resetAllQuotas(by: own, in: $0)
            }
            #expect(mine.count == 0)
            #expect(try await bench.attempt(mine.job.id) as? QuotaForgive.Output == .init(reset: 0, resumed: 0))
            try await bench.finish(mine.job.id)
            let reset = try await bench.database.withTransaction {
                try await bench.subscriptions.resetQuotas(ofUser: user.id, by: bench.administrator, in: $0)
            }
            #expect(reset.count == 1 && reset.keyJobs.count == 1)
            #expect(try await bench.row(subscription).status == .active)
            try await use(bench, user, on: UTCDay(containing: Date()), requests: 60)
            let uses = try await bench.subscriptionStore.uses(on: UTCDay(containing: Date()), in: bench.database)
            #expect(uses.map(\.requests) == [0])
        }
    }

    @Test("use that was forgiven after it was read does not come back")
    func forgivenMeanwhile() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            let today = UTCDay(containing: Date())
            try await use(bench, user, on: today, requests: 60)
            let found = try await bench.subscriptionStore.uses(on: today, in: bench.database)
            #expect(found.map(\.requests) == [60])
            _ = try await bench.database.withTransaction {
                try await bench.subscriptions.resetQuotas(ofUser: user.id, by: bench.administrator, in: $0)
            }
            try await bench.database.withTransaction {
                _ = try await SubscriptionUsage(queue: bench.services.queue).account(
                    today, foundBefore: found, jobId: 1, in: $0)
            }
            #expect(try await bench.row(subscription).used.requests == 0)
        }
    }

    @Test("a reset of everybody's use goes on after a crash where it was, and forgives nobody twice")
    func resetAll() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            var subscriptions: [Subscription] = []
            for number in 0..<5 {
                let user = try await bench.addUser("user\(number)", isSynced: true)
                subscriptions.append(try await bench.subscribe(user, to: "gpt"))
            }
            try await bench.runAll()
            subscriptions.sort { $0.id.text < $1.id.text }
            try await bench.database.query(
                """
                update subscriptions set used_requests = 7, status = case when id = \(subscriptions[1].id)
                    then 'suspended' else status end, status_cause = case when id = \(subscriptions[1].id)
                    then 'quota' else status_cause end
                """)
            let asked = try await bench.database.withTransaction {
                try await bench.subscriptions.resetAllQuotas(by: bench.administrator, in: $0)
            }
            #expect(asked.count == 5)
            var job = QuotaForgive(except: nil)
            job.chunk = 2
            let args = String(decoding: try JSON.encoder.encode(job), as: UTF8.self)
            try await bench.database.query("update jobs set args = \(args)::text::jsonb where id = \(asked.job.id)")
            // The third chunk dies with its transaction.
            try await bench.database.query(
                """
                create function stop() returns trigger language plpgsql as
                $$ begin raise exception 'stopped' using errcode = '58000'; end $$
                """)
            try await bench.database.query(
                "update subscriptions set metadata = '{\"last\": true}' where id = \(subscriptions[4].id)")
            try await bench.database.query(
                """
                create trigger stop before update on subscriptions for each row
                when (new.metadata ? 'last') execute function stop()
                """)
            await #expect(throws: PostgresError.self) { try await bench.attempt(asked.job.id) }
            try await bench.database.query("drop trigger stop on subscriptions")
            let output = try #require(try await bench.attempt(asked.job.id) as? QuotaForgive.Output)
            #expect(output.reset == 5)
            for subscription in subscriptions {
                let row = try await bench.row(subscription)
                #expect(row.used.requests == 0 && row.status == .active)
                let entries = try await bench.path(subscription).filter { $0 == "active:quota_reset" }
                #expect(entries.count <= 2)
            }
            let forgiven = try await bench.database.query(
                "select count(*) from subscription_status_history where job_id = \(asked.job.id) and old_status = new_status"
            ).one(Int.self)
            #expect(forgiven == 5)
        }
    }

    /// A day's figures, as the usage job stores them.
    private func use(_ bench: KindBench, _ user: User, on day: UTCDay, requests: Int) async throws {
        try await bench.database.query(
            """
            with d as (
                insert into usage_days (day, fetched_at, is_complete, spend, prompt_tokens, completion_tokens,
                    total_tokens, requests, successful_requests, failed_requests, job_id)
                values (\(day.description)::date, now(), false, 0, 0, 0, 0, 0, 0, 0, 1) returning day)
            insert into usage_daily (day, key_hash, model_id, provider, user_id, spend, prompt_tokens,
                completion_tokens, total_tokens, requests, successful_requests, failed_requests)
            select day, 'h', 'gpt', 'openai', \(user.id), 1, 0, 0, 0, 99, \(requests), 9 from d
            """)
    }

    @Test("a stored day is counted into the subscriptions of the people who used it")
    func fetchedDay() async throws {
        try await KindBench.run { bench in
            let (user, subscription, key) = try await setUp(bench, requests: 10)
            let today = UTCDay(containing: Date()).description
            let metrics: JSONValue = [
                "spend": 0.5, "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "api_requests": 12,
                "successful_requests": 10, "failed_requests": 2,
            ]
            let byKey: JSONValue = .object([key.key.hash: ["metrics": metrics, "metadata": [:]]])
            let entry: JSONValue = ["metrics": metrics, "metadata": [:], "api_key_breakdown": byKey]
            let page: JSONValue = [
                "date": .string(today), "metrics": metrics,
                "breakdown": [
                    "models": ["openai/gpt": entry], "model_groups": ["gpt": entry], "providers": ["openai": entry],
                    "entities": [:], "api_keys": byKey,
                ],
            ]
            bench.litellm.change { $0.activity[today] = [page] }
            let day = try #require(UTCDay(today))
            let job = try await bench.services.queue.enqueue(UsageFetchDay(date: day))
            _ = try await bench.attempt(job.id)
            let row = try await bench.row(subscription)
            #expect(row.used == SubscriptionQuotas(requests: 10, tokens: 15))
            #expect(row.status == .suspended && row.cause == "quota")
            #expect(try await bench.jobs(KeyAccess.self).count == 1)
            _ = try await bench.attempt(job.id)
            #expect(try await bench.path(subscription) == ["active:request", "suspended:quota"])
            let revived = try await bench.database.withTransaction {
                try await bench.subscriptions.cancel(subscription.id, by: bench.owner(user), in: $0)
            }
            #expect(revived.subscription.status == .inactive)
            // Giving up and asking again gives nobody a second quota.
            #expect(try await bench.subscribe(user, to: "gpt").status == .suspended)
        }
    }

    @Test("what is over ends, in chunks, with a job for each key; the sweep finds nothing twice")
    func expiry() async throws {
        try await KindBench.run { bench in
            let (user, subscription, _) = try await setUp(bench)
            let later = try await bench.subscribe(try await bench.addUser("bob"), to: "gpt") {
                $0.expiresAt = Date(timeIntervalSinceNow: 3600)
            }
            let third = try await bench.subscribe(try await bench.addUser("carol"), to: "gpt")
            try await bench.expire(subscription)
            try await bench.expire(third)
            var sweep = SubscriptionsExpire()
            sweep.chunk = 1
            let job = try await bench.services.queue.enqueue(sweep)
            let output = try #require(try await bench.attempt(job.id) as? SubscriptionsExpire.Output)
            #expect(output == SubscriptionsExpire.Output(expired: 2, keys: 1))
            let again = try #require(try await bench.attempt(job.id) as? SubscriptionsExpire.Output)
            #expect(again == SubscriptionsExpire.Output(expired: 0, keys: 0))
            #expect(try await bench.path(subscription) == ["active:request", "expired:expiry"])
            #expect(try await bench.row(later).status == .active)
            // The time that is over is not asked for again.
            let revived = try await bench.subscribe(user, to: "gpt")
            #expect(revived.status == .active && revived.expiresAt == nil)
        }
    }
}
