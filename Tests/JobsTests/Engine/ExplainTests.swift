import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Explain", .hangGuard)
struct ExplainTests {
    private func codes(_ harness: EngineHarness, _ id: Int64) async throws -> [String] {
        try await harness.queue.explain(id: id).reasons.map(\.code)
    }

    @Test("every state says why, and what stands in the way beside it")
    func states() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let first = try await harness.enqueue(TestJob(stage, "first", order: "o"))
            let second = try await harness.enqueue(TestJob(stage, "second", order: "o"))
            var dependent = JobOptions()
            dependent.dependsOn = [first]
            let third = try await harness.enqueue(TestJob(stage, "third"), dependent)
            var later = JobOptions()
            later.delay = .seconds(3600)
            let fourth = try await harness.enqueue(TestJob(stage, "fourth"), later)

            // Nobody works here.
            #expect(try await codes(harness, first) == ["no_worker"])
            let behind = try await harness.queue.explain(id: second)
            #expect(behind.reasons.map(\.code) == ["behind_job", "no_worker"])
            #expect(behind.reasons[0].jobIds == [JobNumber(first)])
            #expect(try await harness.queue.explain(id: third).reasons[0].jobIds == [JobNumber(first)])
            #expect(try await codes(harness, third)[0] == "waiting_for_jobs")
            let due = try await harness.queue.explain(id: fourth)
            #expect(due.reasons[0].code == "due_later" && due.reasons[0].until != nil && due.ahead == nil)

            try await harness.client.query(
                "update job_queues set paused_at = now(), paused_by = 'ann', pause_reason = 'night' where name = 'default'"
            )
            let paused = try await harness.queue.explain(id: first)
            #expect(paused.reasons[0].code == "queue_paused" && paused.reasons[0].by == "ann")
            #expect(paused.summary.contains("night"))
            #expect(try await harness.queue.job(id: first)?.waiting?.code == .queuePaused)
            await #expect(throws: JobQueueError.notFound(4711)) { try await harness.queue.explain(id: 4711) }
        }
    }

    @Test("a ready job says how many come before it, by priority and age")
    func position() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var last: Int64 = 0
            for number in 0..<7 { last = try await harness.enqueue(TestJob(stage, "\(number)")) }
            _ = try await harness.enqueue(TestJob(stage, "after"))
            #expect(try await harness.queue.explain(id: last).ahead == 6)
            var urgent = JobOptions()
            urgent.priority = -1
            let first = try await harness.enqueue(TestJob(stage, "urgent"), urgent)
            #expect(try await harness.queue.explain(id: first).ahead == 0)
            #expect(try await harness.queue.explain(id: last).ahead == 7)
        }
    }

    @Test("an open breaker, an unknown kind, and jobs that run or have ended")
    func others() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            _ = try await PostgresBreakerStore().force(
                .litellmAdmin, open: true, reason: "upgrade", by: "ann", in: harness.client)
            try await harness.running([harness.engine()]) {
                let held = try await harness.enqueue(UpstreamJob(stage: stage.name, label: "held"))
                let isAlone = try await eventually { try await codes(harness, held) == ["breaker_open"] }
                #expect(isAlone)
                let explanation = try await harness.queue.explain(id: held)
                #expect(explanation.reasons[0].by == "ann" && explanation.summary.contains("upgrade"))

                let running = try await harness.enqueue(TestJob(stage, "running"))
                await gate.arrival()
                let now = try await harness.queue.explain(id: running)
                #expect(now.state == .running && now.reasons.isEmpty && !now.summary.isEmpty)
                gate.open()
                try await harness.wait(for: running, .succeeded)
                #expect(try await harness.queue.explain(id: running).summary == "It has succeeded.")
                try await harness.client.query("update job_workers set kinds = '{}'")
                #expect(try await codes(harness, held) == ["breaker_open", "no_worker_knows_kind"])
            }
        }
    }
}
