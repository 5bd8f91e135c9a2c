import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Whoever comes late changes nothing.
@Suite("Late writers", .hangGuard)
struct FenceTests {
    @Test("two rescuers at once give a dead worker's jobs back once")
    func rescuedOnce() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.client.withTransaction { transaction in
                _ = try await harness.queue.enqueueMany((0..<50).map { NoOpJob(number: $0) }, in: transaction)
            }
            let dead = try await harness.registerWorker(lease: .zero)
            #expect(try await harness.claimAll(workerId: dead).count == 50)
            let rescuers = [harness.engine(), harness.engine(), harness.engine()]
            try await withThrowingTaskGroup(of: Void.self) { group in
                for engine in rescuers { group.addTask { try await engine.sweep() } }
                try await group.waitForAll()
            }
            #expect(try await harness.count("select count(*) from job_attempts where code = 'worker_lost'") == 50)
            #expect(try await harness.count("select count(*) from jobs where state = 3 and errors = 1") == 50)
        }
    }

    @Test("a worker that dies after its job's effect: the job runs again, and ends once and in one state")
    func diesAfterTheEffect() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let dying = harness.engine()
            try await dying.register()
            _ = try await dying.claimRound()
            // It has done its work and would report it now.
            #expect(try await eventually { !dying.finished.isEmpty })
            try await harness.expireWorkers()
            try await harness.running([harness.engine()]) {
                #expect(try await harness.wait(for: id, .succeeded).attempt == 2)
                // The dead come back for a moment: too late.
                try await dying.flush()
            }
            #expect(stage.events("end") == ["a", "a"])
            #expect(dying.running.count == 0)
            #expect(try await harness.count("select count(*) from job_history") == 1)
            #expect(try await harness.count("select count(*) from job_dead_letters") == 0)
        }
    }

    @Test("a late failure does not end a job that was rescued, or brought back by a person")
    func lateFailure() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var options = JobOptions()
            options.maxAttempts = 1
            let rescued = try await harness.enqueue(TestJob(stage, "rescued"))
            let revived = try await harness.enqueue(TestJob(stage, "revived"), options)
            let claimed = try await harness.claimAll()
            try await harness.expireWorkers()
            try await harness.engine().sweep()
            #expect(try await harness.state(rescued) == .retrying)
            #expect(try await harness.state(revived) == .failed)
            try await harness.queue.retry(id: revived)
            // Until the next claim the rows still carry the tokens of the lost attempts.
            let error = JobErrorInfo(errorClass: .permanent, code: "late", message: "Late.")
            for job in claimed {
                let result = try await harness.queue.end(
                    jobId: job.id, token: job.token, as: .failed, error: error, by: nil, attempted: true)
                #expect(result.ended.isEmpty)
            }
            #expect(try await harness.state(rescued) == .retrying)
            #expect(try await harness.state(revived) == .ready)
        }
    }

    @Test("a finish that hangs while its lease runs out wins or is refused, never both")
    func hangingFinish() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let slow = harness.engine()
            try await slow.register()
            _ = try await slow.claimRound()
            #expect(try await eventually { !slow.finished.isEmpty })
            let rescuer = harness.engine()
            try await harness.client.withTransaction { transaction in
                // Stands for a server that is stuck: the finish waits for this row.
                try await transaction.query("select from jobs where id = \(id) for update")
                let flush = Task { try await slow.flush() }
                #expect(try await eventually { try await harness.waitingForLocks() == 1 })
                try await harness.expireWorkers()
                try await rescuer.sweep()
                #expect(try await harness.state(id) == .running)
                flush.cancel()
                _ = await flush.result
            }
            // The statement may have been cancelled or not; written again it has one effect at most.
            try await slow.flush()
            try await rescuer.sweep()
            #expect(try await harness.state(id) == .succeeded)
            #expect(try await harness.count("select count(*) from job_attempts") == 0)
        }
    }

    @Test("the outcome of a job that is gone changes nothing and frees its slot")
    func goneJob() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, _ in
                switch job.label {
                case "again": throw JobFailure.retryable(code: "x", message: "x")
                case "failed": throw JobFailure.permanent(code: "x", message: "x")
                default: return
                }
            }
            for label in ["done", "again", "failed"] {
                _ = try await harness.enqueue(TestJob(stage, label, order: label))
            }
            let engine = harness.engine()
            try await engine.register()
            _ = try await engine.claimRound()
            #expect(engine.running.count == 3)
            try await harness.client.query("delete from jobs")
            #expect(
                try await eventually {
                    try await engine.flush()
                    return engine.running.count == 0
                })
            #expect(try await harness.count("select count(*) from job_history") == 0)
            #expect(try await harness.count("select count(*) from job_dead_letters") == 0)
        }
    }

    @Test("a worker that starts again under the same name is another one: its former jobs are found")
    func sameNameAgain() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.name = "worker-0"
            let stage = Stage()
            let gate = Gate()
            let held = Stage { _, _ in try await gate.pass() }
            let id = try await harness.enqueue(TestJob(held, "a"))
            let killed = harness.engine(settings)
            try await killed.register()
            _ = try await killed.claimRound()
            await gate.arrival()
            let next = harness.engine(settings)
            try await next.register()
            #expect(next.workerId != killed.workerId)
            try await harness.client.query(
                "update job_workers set lease_until = now() where id = \(killed.workerId)")
            try await next.sweep()
            #expect(try await harness.state(id) == .retrying)
            gate.open()
            #expect(stage.events.isEmpty)
        }
    }

    @Test("the end of an attempt books out that attempt, not a newer one of the same job")
    func bookedOutByAttempt() async throws {
        let running = RunningJobs(capacity: 4, reservedCapacity: 2, maxAhead: 0)
        let old = Self.claimed(token: 1)
        let new = Self.claimed(token: 2)
        for job in [old, new] {
            _ = running.holdApart(.init(job: job, timeout: .seconds(1)), isReserved: true)
        }
        running.end([old.attemptId])
        #expect(running.count == 1)
        #expect(running.holds(new.attemptId))
        running.stop(old.attemptId, reason: .leaseLost)
        #expect(running.finishing(new.attemptId, took: .zero) == nil)
        running.end([new.attemptId, old.attemptId])
        #expect(running.count == 0)
        #expect(running.free(isReserved: false) == 4)
    }

    private static func claimed(token: Int64) -> ClaimedJob {
        ClaimedJob(id: 7, token: token, args: Data("{}".utf8))
    }
}

extension EngineHarness {
    /// Lets the leases of all workers run out on the database's clock.
    func expireWorkers() async throws {
        try await client.query("update job_workers set lease_until = now() - interval '1 second' where state in (0, 1)")
    }

    /// How many statements of this database wait for a lock.
    func waitingForLocks() async throws -> Int {
        try await count(
            "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'")
    }
}
