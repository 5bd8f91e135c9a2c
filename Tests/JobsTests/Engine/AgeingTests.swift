import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Ageing", .hangGuard)
struct AgeingTests {
    /// Takes what one statement takes, in the order of ids.
    private func claim(
        _ harness: EngineHarness, beyond priority: Int16 = .min, limit: Int, age: Duration
    ) async throws -> [Int64] {
        let queueId = try harness.store.names.queueId("default")
        let query = harness.store.claimAgedQuery(
            lane: JobLane(queueId: queueId, upstream: 0), beyond: priority, limit: limit, age: age, workerId: 1)
        return try await harness.client.query(query).map { try harness.store.claimed($0).id }.sorted()
    }

    @Test("the oldest of all priorities are taken, and only those that have waited long enough")
    func oldest() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var low = JobOptions()
            low.priority = 50
            var lower = JobOptions()
            lower.priority = 70
            let old = try await harness.enqueue(TestJob(stage, "low"), low)
            let older = try await harness.enqueue(TestJob(stage, "lower"), lower)
            for number in 0..<20 { _ = try await harness.enqueue(TestJob(stage, "\(number)")) }
            let young = try await harness.enqueue(TestJob(stage, "young"), low)
            #expect(try await claim(harness, limit: 5, age: .seconds(60)).isEmpty)
            try await harness.client.query(
                "update jobs set run_at = now() - interval '2 minutes' where id = any (\([old, older]))")
            #expect(try await claim(harness, beyond: 70, limit: 5, age: .seconds(60)).isEmpty)
            #expect(try await claim(harness, beyond: 0, limit: 5, age: .seconds(60)) == [old, older])
            #expect(try await harness.state(young) == .ready)
        }
    }

    @Test("a paused queue keeps its old jobs")
    func paused() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            _ = try await harness.enqueue(NoOpJob())
            try await harness.client.query("update jobs set run_at = now() - interval '1 hour'")
            try await harness.client.query("update job_queues set paused_at = now()")
            #expect(try await claim(harness, limit: 5, age: .seconds(1)).isEmpty)
        }
    }

    @Test("a flood of urgent jobs that never ends starves nobody")
    func flood() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.concurrency = 2
            settings.agedAfter = .milliseconds(1)
            var urgent = JobOptions()
            urgent.priority = -10
            let queue = harness.queue
            // Each urgent job brings two more: the backlog of urgent work only grows.
            let stage = Stage { job, context in
                guard job.label == "urgent" else { return }
                for _ in 0..<2 {
                    var options = JobOptions()
                    options.priority = -10
                    _ = try await queue.enqueue(job, options: options)
                }
            }
            for _ in 0..<20 { _ = try await harness.enqueue(TestJob(stage, "urgent"), urgent) }
            let patient = try await harness.enqueue(TestJob(stage, "patient"))
            try await harness.running([harness.engine(settings)]) {
                try await harness.wait(for: patient, .succeeded)
                #expect(try await harness.count("select count(*) from jobs where state = 0") > 2)
            }
        }
    }
}
