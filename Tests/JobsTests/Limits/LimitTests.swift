import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("Limits", .hangGuard)
struct LimitTests {
    static let actor = AuditActor(userId: nil, name: "operator")

    /// How many run at once, as the handlers see it.
    final class Counter: Sendable {
        private let state = Mutex((now: 0, most: 0))
        func enter() {
            state.withLock { state in
                state.now += 1
                state.most = max(state.most, state.now)
            }
        }
        func leave() { state.withLock { $0.now -= 1 } }
        var most: Int { state.withLock(\.most) }
    }

    @Test(
        "never more jobs at once than a limit says, however many workers there are, and all get done",
        arguments: [JobLimitScope.queue, .kind])
    func concurrency(scope: JobLimitScope) async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let limits = JobLimits(queue: harness.queue)
            let name = scope == .queue ? "default" : TestJob.name
            try await limits.set(scope, name, maxRunning: 3, rate: nil, by: Self.actor)
            let counter = Counter()
            let stage = Stage { _, _ in
                counter.enter()
                for _ in 0..<50 { await Task.yield() }
                counter.leave()
            }
            for number in 0..<60 { _ = try await harness.enqueue(TestJob(stage, "\(number)")) }
            try await harness.running([harness.engine(), harness.engine(), harness.engine()]) {
                try await harness.expectDrained()
            }
            #expect(counter.most <= 3)
            #expect(counter.most > 0)
            #expect(Set(stage.events("end")).count == 60)
            #expect(stage.events("start").count == 60)
            // Parking is no attempt.
            #expect(try await harness.count("select count(*) from job_history where attempt <> 1") == 0)
        }
    }

    @Test("a kind at its limit does not hold up the kinds behind it in the same lane")
    func otherKindsGoOn() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await JobLimits(queue: harness.queue).set(
                .kind, TestJob.name, maxRunning: 0, rate: nil, by: Self.actor)
            let stage = Stage()
            for number in 0..<300 { _ = try await harness.enqueue(TestJob(stage, "\(number)")) }
            let free = try await harness.enqueue(NoOpJob())
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: free, .succeeded)
                #expect(stage.events.isEmpty)
                let limit = try #require(try await JobLimits(queue: harness.queue).get(.kind, TestJob.name))
                #expect(limit.isReached && limit.parked > 0)
                // Lifting the limit lets all of them go on.
                try await JobLimits(queue: harness.queue).set(
                    .kind, TestJob.name, maxRunning: nil, rate: nil, by: Self.actor)
                try await harness.expectDrained()
            }
            #expect(stage.events("end").count == 300)
        }
    }

    @Test("a rate lets so many start in a period and says when the next one begins")
    func rate() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let limits = JobLimits(queue: harness.queue)
            try await limits.set(.kind, TestJob.name, maxRunning: nil, rate: .init(count: 5, per: 3600), by: Self.actor)
            let stage = Stage()
            var ids: [Int64] = []
            for number in 0..<12 { ids.append(try await harness.enqueue(TestJob(stage, "\(number)"))) }
            let last = try #require(ids.last)
            try await harness.running([harness.engine(), harness.engine()]) {
                #expect(
                    try await eventually {
                        let parked = try await harness.count("select count(*) from jobs where state = 6")
                        return stage.events("end").count == 5 && parked == 7
                    })
                let limit = try #require(try await limits.get(.kind, TestJob.name))
                #expect(limit.starts == 5 && limit.isReached)
                let explanation = try await harness.queue.explain(id: last)
                #expect(explanation.state == .ready && explanation.reasons.first?.code == "limit_reached")
                #expect(explanation.reasons.first?.until == limit.periodEndsAt)
                #expect(explanation.reasons.first?.by == "operator")
                // The period is over.
                try await harness.client.query(
                    "update job_limits set period_start = period_start - interval '2 hours'")
                #expect(try await eventually { stage.events("end").count == 10 })
            }
            #expect(stage.events("start").count == 10)
        }
    }

    @Test("the slots of a worker that died are free again")
    func deadWorkers() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await JobLimits(queue: harness.queue).set(
                .kind, TestJob.name, maxRunning: 1, rate: nil, by: Self.actor)
            let stage = Stage()
            let dead = try await harness.enqueue(TestJob(stage, "dead"))
            try await harness.client.query(
                """
                with gone as (
                    insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
                    values (gen_random_uuid(), 'x', 'x', 1, 'x', '{}', '{}', 1, now() - interval '1 minute')
                    returning id)
                update jobs set state = 1, attempt = 1, token = 1, worker_id = gone.id, started_at = now() from gone
                """)
            let next = try await harness.enqueue(TestJob(stage, "next"))
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: next, .succeeded)
                try await harness.wait(for: dead, .succeeded)
            }
        }
    }

    @Test("a protected queue is limited only by force; values that cannot be are refused; all is audited")
    func refusals() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let limits = JobLimits(queue: harness.queue)
            await #expect(throws: AdministrationError.protectedQueue("security")) {
                try await limits.set(.queue, "security", maxRunning: 1, rate: nil, by: Self.actor)
            }
            await #expect(throws: AdministrationError.protectedQueue("security")) {
                try await limits.set(.kind, ProtectedJob.name, maxRunning: 1, rate: nil, by: Self.actor)
            }
            try await limits.set(.queue, "security", maxRunning: 1, rate: nil, by: Self.actor, force: true)
            let bad = await #expect(throws: AdministrationError.self) {
                try await limits.set(.queue, "default", maxRunning: -1, rate: nil, by: Self.actor)
            }
            #expect(bad?.field == "maxRunning")
            let worse = await #expect(throws: AdministrationError.self) {
                try await limits.set(
                    .queue, "default", maxRunning: nil, rate: .init(count: 1, per: 0), by: Self.actor)
            }
            #expect(worse?.field == "rate.seconds")
            await #expect(throws: AdministrationError.notFound("queue", "nowhere")) {
                try await limits.set(.queue, "nowhere", maxRunning: 1, rate: nil, by: Self.actor)
            }
            let entries = try await PostgresAuditStore().entries(
                resourceType: "job_queue", resourceId: "security", limit: 5, in: harness.client)
            #expect(entries.count == 1 && entries[0].action == "JOB_LIMIT_SET")
            #expect(try await limits.list().map(\.name) == ["security"])
        }
    }

    @Test("parking keeps the object: nobody overtakes on it")
    func parkedHoldsItsObject() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let limits = JobLimits(queue: harness.queue)
            try await limits.set(.kind, TestJob.name, maxRunning: 0, rate: nil, by: Self.actor)
            let stage = Stage()
            let first = try await harness.enqueue(TestJob(stage, "first", order: "o"))
            try await harness.running([harness.engine()]) {
                #expect(
                    try await eventually {
                        try await harness.count("select count(*) from jobs where state = 6") == 1
                    })
                let second = try await harness.enqueue(TestJob(stage, "second", order: "o"))
                #expect(try await harness.state(second) == .blocked)
                try await limits.set(.kind, TestJob.name, maxRunning: nil, rate: nil, by: Self.actor)
                try await harness.wait(for: second, .succeeded)
                #expect(try await harness.state(first) == .succeeded)
            }
            #expect(stage.events("start") == ["first", "second"])
        }
    }
}
