import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Pause, wake-ups, shutdown", .hangGuard)
struct LifecycleTests {
    @Test("a paused queue claims nothing, says so, and goes on when resumed")
    func pause() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            try await harness.client.query(
                "update job_queues set paused_at = now(), pause_reason = 'upgrade' where name = 'default'")
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                let security = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "s"))
                try await harness.wait(for: security, .succeeded)
                let job = try #require(try await harness.queue.job(id: id))
                #expect(job.state == .ready)
                #expect(job.waiting?.code == .queuePaused)
                #expect(job.waiting?.message.contains("upgrade") == true)
                try await harness.client.query("update job_queues set paused_at = null")
                try await harness.wait(for: id, .succeeded)
            }
        }
    }

    @Test("work is found without any notification")
    func pollOnly() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.running([harness.engine()]) {
                let rows = try await harness.client.query(
                    """
                    insert into jobs (queue_id, kind_id, max_attempts, args)
                    select q.id, k.id, 3, '{"number": 1}' from job_queues q, job_kinds k
                    where q.name = 'default' and k.name = 'test.noop' returning id
                    """)
                try await harness.wait(for: try #require(rows.first).decode(Int64.self), .succeeded)
            }
        }
    }

    @Test("work is found after the listener's connection was killed")
    func listenerKilled() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: try await harness.enqueue(TestJob(stage, "a")), .succeeded)
                try await harness.client.query(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()
                    """)
                // Connections of the pool died with it; whoever gets one of those tries again.
                var id: Int64?
                let hasRun = try await eventually {
                    do {
                        guard let known = id else {
                            id = try await harness.enqueue(TestJob(stage, "b"))
                            return false
                        }
                        return try await harness.state(known) == .succeeded
                    } catch let error as PostgresError where error.isConnectionLoss {
                        return false
                    }
                }
                #expect(hasRun)
            }
        }
    }

    @Test("a graceful stop lets running jobs end and claims no more")
    func softStop() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "a" { try await gate.pass() } }
            let engine = harness.engine()
            let first = try await harness.running([engine]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                Task {
                    _ = try await eventually { engine.isDraining }
                    _ = try await harness.enqueue(TestJob(stage, "b"))
                    gate.open()
                }
                return id
            }
            #expect(try await harness.state(first) == .succeeded)
            #expect(stage.events("start") == ["a"])
            #expect(try await harness.count("select count(*) from job_workers where state = 3") == 1)
        }
    }

    @Test("what does not end in time is cancelled and handed back uncharged, without an error")
    func hardStop() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.drain = .milliseconds(50)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            let id = try await harness.running([harness.engine(settings)]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                return id
            }
            let job = try #require(try await harness.queue.job(id: id))
            #expect(job.state == .ready)
            #expect(job.attempt == 0)
            #expect(job.attempts.isEmpty)
        }
    }

    @Test("waiters hear of the end; a wait that is over shows the job as it is")
    func waiters() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            let listener = PostgresListener(
                settings: database.settings, channels: [JobChannel.finished], logger: EngineHarness.logger)
            let waiters = JobWaiters(queue: harness.queue, listener: listener, limit: 1, logger: EngineHarness.logger)
            try await harness.running([harness.engine()]) {
                try await withThrowingTaskGroup(of: Void.self) { group in
                    group.addTask { try await listener.run() }
                    group.addTask { try await waiters.run() }
                    let id = try await harness.enqueue(TestJob(stage, "a"))
                    await gate.arrival()
                    #expect(try await waiters.wait(for: id, atMost: .milliseconds(20))?.state == .running)
                    async let ended = waiters.wait(for: id, atMost: .seconds(15))
                    #expect(try await eventually { waiters.count == 1 })
                    // Beyond the limit the answer comes at once.
                    #expect(try await waiters.wait(for: id, atMost: .seconds(600))?.state == .running)
                    gate.open()
                    #expect(try await ended?.state == .succeeded)
                    #expect(try await waiters.wait(for: 424_242, atMost: .seconds(1)) == nil)
                    group.cancelAll()
                    do { try await group.waitForAll() } catch is CancellationError {}
                }
            }
        }
    }

    @Test("a security job runs although ordinary ones fill every slot")
    func reservedSlots() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.concurrency = 2
            settings.reservedConcurrency = 1
            let gate = Gate()
            let stage = Stage { job, _ in if job.label != "security" { try await gate.pass() } }
            try await harness.running([harness.engine(settings)]) {
                for number in 0..<10 { _ = try await harness.enqueue(TestJob(stage, "\(number)")) }
                #expect(try await eventually { stage.events("start").count == 2 })
                let id = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "security"))
                try await harness.wait(for: id, .succeeded)
                #expect(stage.events("start").count == 3)
                gate.open()
                try await harness.expectDrained()
            }
        }
    }
}
