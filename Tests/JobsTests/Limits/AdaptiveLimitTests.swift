import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("Adaptive concurrency")
struct AdaptiveLimitTests {
    private let start = ContinuousClock.now

    @Test("grows by one for each round of good calls while it is in use, up to its share")
    func grows() {
        var limit = AdaptiveLimit(ceiling: 40)
        #expect(limit.limit == 32)
        for _ in 0..<33 { limit.learn(startedAt: start, isOverload: false, running: 32, now: start) }
        #expect(limit.limit == 33)
        for _ in 0..<1000 { limit.learn(startedAt: start, isOverload: false, running: 40, now: start) }
        #expect(limit.limit == 40)
    }

    @Test("does not grow while it is not in use")
    func idle() {
        var limit = AdaptiveLimit(ceiling: 100)
        for _ in 0..<1000 { limit.learn(startedAt: start, isOverload: false, running: 3, now: start) }
        #expect(limit.limit == 32)
    }

    @Test("shrinks once for one overload, again for the next, and never below one")
    func shrinks() {
        var limit = AdaptiveLimit(ceiling: 100)
        var now = start
        // Thirty calls of one overload: all started before the first answer was seen.
        for _ in 0..<30 { limit.learn(startedAt: start, isOverload: true, running: 30, now: now + .seconds(1)) }
        #expect(limit.limit == 24)
        for _ in 0..<40 {
            now += .seconds(10)
            limit.learn(startedAt: now, isOverload: true, running: 30, now: now)
        }
        #expect(limit.limit == 1)
    }

    @Test("follows its share of the fleet")
    func share() {
        let adaptive = AdaptiveConcurrency(fleetLimit: 10, latencyTarget: .seconds(1))
        #expect(adaptive.room(Upstream.litellmAdmin.code, running: 4) == 6)
        adaptive.share(workers: 3)
        #expect(adaptive.snapshot["litellm.admin"] == 4)
        #expect(adaptive.room(Upstream.litellmAdmin.code, running: 9) == 0)
        #expect(adaptive.room(0, running: 500) == nil)
    }

    @Test("slow calls, time-outs and 429 mean overload; other failures mean nothing; classes are apart")
    func signals() {
        let adaptive = AdaptiveConcurrency(fleetLimit: 32, latencyTarget: .seconds(1))
        func record(_ error: LiteLLMError?, _ duration: Duration) {
            adaptive.record(.litellmAdmin, error: error, duration: duration, running: 1)
        }
        record(.init(.retryable, code: LiteLLMError.Code.serverError, message: ""), .milliseconds(10))
        #expect(adaptive.snapshot["litellm.admin"] == 32)
        record(.init(.retryable, code: LiteLLMError.Code.rateLimited, message: ""), .zero)
        #expect(adaptive.snapshot["litellm.admin"] == 24)
        // Started long before the decrease: from the same overload.
        record(nil, .seconds(2))
        #expect(adaptive.snapshot["litellm.admin"] == 24)
        #expect(adaptive.snapshot["litellm.usage"] == 32)
    }
}

@Suite("Claims under adaptive concurrency", .hangGuard)
struct AdaptiveClaimTests {
    @Test("no more jobs of a class start than its limit, other jobs go on, and the worker's row shows it")
    func claims() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.upstreamConcurrency = 2
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            for number in 0..<6 {
                _ = try await harness.enqueue(UpstreamJob(stage: stage.name, label: "\(number)"))
            }
            try await harness.running([harness.engine(settings)]) {
                await gate.arrival()
                // A job without an upstream that was put in last has passed them.
                let free = try await harness.enqueue(NoOpJob())
                try await harness.wait(for: free, .succeeded)
                #expect(try await eventually { stage.events("start").count == 2 })
                let waiting = try await harness.count(
                    "select max(id) from jobs where state = 0 and upstream = 1")
                #expect(
                    try await eventually {
                        try await harness.queue.explain(id: Int64(waiting)).reasons.map(\.code) == ["upstream_busy"]
                    })
                #expect(stage.events("start").count == 2)
                gate.open()
                try await harness.expectDrained()
            }
        }
    }
}
