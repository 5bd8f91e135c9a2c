import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("Breaker and queue", .hangGuard)
struct BreakerTests {
    /// A LiteLLM that is down until the test says otherwise; counts the calls in flight.
    final class Flaky: Sendable {
        let isUp = Mutex(false)
        let calls = Mutex(0)
        let inFlight = Mutex((now: 0, most: 0))

        func answer(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
            calls.withLock { $0 += 1 }
            inFlight.withLock { $0 = ($0.now + 1, max($0.most, $0.now + 1)) }
            defer { inFlight.withLock { $0.now -= 1 } }
            await Task.yield()
            guard isUp.withLock({ $0 }) else {
                throw HTTPTransportError(
                    .connect(refused: true), requestMayHaveReachedServer: false, message: "connection refused")
            }
            return .json(200, #"{"keys":[],"total_count":0,"current_page":1,"total_pages":0}"#)
        }
    }

    private func callJob(_ stage: Stage, _ label: String) -> UpstreamJob {
        UpstreamJob(stage: stage.name, label: label)
    }

    @Test("while LiteLLM is down no attempt is lost, one probe at a time; other work goes on; then all is done")
    func outage() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let upstream = Flaky()
            harness.upstream.answers(with: { try await upstream.answer($0) })
            let stage = Stage { _, context in try await context.litellm.probe() }
            let plain = Stage()
            try await harness.running([harness.engine(), harness.engine()]) {
                let first = try await harness.enqueue(callJob(stage, "first"))
                #expect(
                    try await eventually {
                        try await PostgresBreakerStore().statuses(in: harness.client).allSatisfy { !$0.admits }
                    })
                var ids = [first]
                for number in 0..<50 { ids.append(try await harness.enqueue(callJob(stage, "\(number)"))) }
                let other = try await harness.enqueue(TestJob(plain, "other"))
                try await harness.wait(for: other, .succeeded)
                let waiting = try #require(try await harness.queue.job(id: ids[10])?.waiting)
                #expect(waiting.code == .breakerOpen)
                // Let it probe a few times before it recovers.
                let probes = upstream.calls.withLock { $0 }
                #expect(try await eventually { upstream.calls.withLock { $0 } >= probes + 3 })
                upstream.isUp.withLock { $0 = true }
                for id in ids { try await harness.wait(for: id, .succeeded) }
                // Only those that ran before it opened may have been charged.
                #expect(
                    try await harness.count("select count(*) from job_history where attempt > 1 and id <> \(first)")
                        == 0)
                #expect(
                    try await eventually {
                        try await PostgresBreakerStore().statuses(in: harness.client).allSatisfy {
                            $0.state == "closed" || $0.state == "ramping"
                        }
                    })
            }
        }
    }

    @Test("an open class costs the claims of other classes nothing and is left alone")
    func lanes() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            _ = try await PostgresBreakerStore().force(
                .litellmAdmin, open: true, reason: "maintenance", by: "ann", in: harness.client)
            let held = try await harness.enqueue(callJob(stage, "held"))
            try await harness.running([harness.engine()]) {
                let other = try await harness.enqueue(TestJob(stage, "other"))
                try await harness.wait(for: other, .succeeded)
                let job = try #require(try await harness.queue.job(id: held))
                #expect(job.state == .ready)
                #expect(job.attempt == 0)
                #expect(job.waiting?.message.contains("maintenance") == true)
                _ = try await PostgresBreakerStore().force(
                    .litellmAdmin, open: nil, reason: nil, by: "ann", in: harness.client)
                try await harness.wait(for: held, .succeeded)
            }
        }
    }

    @Test("a probe-safe job that waits is the probe, and its attempt is given back when the probe fails")
    func probeJob() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let upstream = Flaky()
            harness.upstream.answers(with: { try await upstream.answer($0) })
            let id = try await harness.enqueue(ProbeJob())
            try await harness.client.query("update breakers set state = 1, retry_at = now(), consecutive_opens = 1")
            try await harness.running([harness.engine()]) {
                #expect(try await eventually { upstream.calls.withLock { $0 } >= 3 })
                upstream.isUp.withLock { $0 = true }
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempt == 1)
            }
        }
    }

    @Test("of many processes that try, exactly one gets the permit to probe")
    func onePermit() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.client.query("update breakers set state = 1, retry_at = now()")
            let won = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<12 {
                    let service = BreakerService(
                        database: harness.client, worker: UUID(), policy: BreakerPolicy(), probeLimit: .seconds(30),
                        metrics: EngineHarness.metrics,
                        logger: EngineHarness.logger, reopened: {})
                    group.addTask { try await service.tick().count { $0 == .litellmAdmin } }
                }
                return try await group.reduce(0, +)
            }
            #expect(won == 1)
        }
    }

    @Test("no call starts unless the lease outlasts it")
    func leaseOutlastsCall() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let lease = WorkerLease()
            let breaker = BreakerService(
                database: harness.client, worker: UUID(),
                policy: BreakerPolicy(), probeLimit: .seconds(30), metrics: EngineHarness.metrics,
                logger: EngineHarness.logger, reopened: {})
            let gate = JobCallGate(
                jobId: 1, isProbe: false, breaker: breaker,
                adaptive: AdaptiveConcurrency(fleetLimit: 1, latencyTarget: .seconds(1)),
                running: RunningJobs(capacity: 1, reservedCapacity: 0, maxAhead: 0), lease: lease, probed: nil)
            lease.begin(from: .now, by: .seconds(10))
            try await gate.admit(.litellmAdmin, timeLimit: .seconds(5))
            await #expect(throws: UpstreamRefused.self) {
                try await gate.admit(.litellmAdmin, timeLimit: .seconds(10))
            }
        }
    }
}
