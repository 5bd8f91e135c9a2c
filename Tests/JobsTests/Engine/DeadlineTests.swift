import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Deadlines", .hangGuard)
struct DeadlineTests {
    private func options(_ seconds: TimeInterval, runIn delay: Duration? = nil) -> JobOptions {
        var options = JobOptions()
        options.deadlineAt = Date().addingTimeInterval(seconds)
        options.delay = delay
        return options
    }

    @Test("a job whose deadline passes while it waits ends failed, its object says so, the next one goes on")
    func whileWaiting() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            try await harness.client.query("update job_queues set paused_at = now()")
            let late = try await harness.enqueue(TestJob(stage, "late", order: "o"), options(3600))
            let scheduled = try await harness.enqueue(
                TestJob(stage, "scheduled"), options(3600, runIn: .seconds(7200)))
            let next = try await harness.enqueue(TestJob(stage, "next", order: "o"))
            try await harness.client.query("update jobs set deadline_at = now() where deadline_at is not null")
            try await harness.running([harness.engine()]) {
                for id in [late, scheduled] {
                    let failed = try await harness.wait(for: id, .failed)
                    #expect(failed.error?.code == "deadline_exceeded")
                }
                #expect(try await harness.state(next) == .ready)
            }
            #expect(Set(stage.events("ended failed deadline_exceeded")) == ["late", "scheduled"])
            #expect(stage.events("start").isEmpty)
        }
    }

    @Test("a running attempt is stopped at the job's deadline and is not tried again")
    func whileRunning() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"), options(1.5))
                let job = try await harness.wait(for: id, .failed)
                #expect(job.error?.code == "deadline_exceeded")
                #expect(job.attempt <= 1)
            }
            #expect(stage.events("end").isEmpty)
        }
    }

    @Test("a person may bring it back; the passed deadline is forgotten")
    func retry() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"), options(-1))
                try await harness.wait(for: id, .failed)
                try await harness.queue.retry(id: id)
                try await harness.wait(for: id, .succeeded)
            }
        }
    }
}
