import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Administration: changing jobs", .needsDatabase, .hangGuard)
struct JobChangeTests {
    @Test("a discarded job leaves the dead letters, stays failed, and says who gave it up")
    func discard() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.deadLetter(TestJob(stage, "a"), code: "broken", message: "It broke.")
            try await harness.administration.perform {
                try await harness.administration.discard(
                    id: id, reason: "a test", by: EngineHarness.actor, in: $0)
            }
            let job = try #require(try await harness.queue.job(id: id))
            #expect(job.state == .failed && job.discardedBy == "ann" && job.discardedAt != nil)
            #expect(job.error?.code == "broken" && job.attempts.count == 1)
            #expect(stage.events("discarded broken It broke. Discarded by ann.") == ["a"])
            #expect(try await harness.count("select count(*) from job_dead_letters") == 0)
            #expect(try await harness.ids(.deadLetters) == [])
            #expect(try await harness.ids(harness.query { $0.discarded = true }) == [id])
            let audit = try #require(try await harness.audits("JOB_DISCARD").first)
            #expect(audit.actor == "ann" && audit.resource == String(id) && audit.metadata == ["reason": "a test"])
            for again in [id, 999_999] {
                await #expect(throws: JobQueueError.self) {
                    try await harness.administration.perform {
                        try await harness.administration.discard(id: again, by: EngineHarness.actor, in: $0)
                    }
                }
            }
            // Nothing is said of what was not done.
            #expect(try await harness.audits("JOB_DISCARD").count == 1)
        }
    }

    @Test("security work is cancelled, discarded and put off only by force")
    func protected() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let failed = try await harness.deadLetter(ProtectedJob(stage: stage.name, label: "f"))
            let ready = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "r"))
            let administration = harness.administration
            let later = Date(timeIntervalSinceNow: 600)
            let discard = { @Sendable (force: Bool, transaction: PostgresTransaction) async throws -> Void in
                try await administration.discard(id: failed, force: force, by: EngineHarness.actor, in: transaction)
            }
            let reschedule = { @Sendable (force: Bool, transaction: PostgresTransaction) async throws -> Void in
                try await administration.reschedule(
                    id: ready, at: later, force: force, by: EngineHarness.actor, in: transaction)
            }
            let cancel = { @Sendable (force: Bool, transaction: PostgresTransaction) async throws -> Void in
                try await administration.cancel(id: ready, force: force, by: EngineHarness.actor, in: transaction)
            }
            let changes = [(failed, discard), (ready, reschedule), (ready, cancel)]
            for (id, change) in changes {
                await #expect(throws: JobQueueError.protected(id)) {
                    try await administration.perform { try await change(false, $0) }
                }
                try await administration.perform { try await change(true, $0) }
            }
            #expect(try await harness.state(ready) == .cancelled)
            for action in ["JOB_DISCARD", "JOB_RESCHEDULE", "JOB_CANCEL"] {
                let audit = try #require(try await harness.audits(action).first)
                #expect(audit.metadata["force"] == true, "\(action)")
            }
        }
    }

    @Test("a job that was put off keeps its object, so that the order stays")
    func reschedule() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let first = try await harness.enqueue(TestJob(stage, "first", order: "o"))
            let second = try await harness.enqueue(TestJob(stage, "second", order: "o"))
            let move: @Sendable (Int64, Date) async throws -> Void = { id, time in
                try await harness.administration.perform {
                    try await harness.administration.reschedule(id: id, at: time, by: EngineHarness.actor, in: $0)
                }
            }
            try await move(first, Date(timeIntervalSinceNow: 3600))
            #expect(try await harness.state(first) == .scheduled)
            #expect(try await harness.state(second) == .blocked)
            await #expect(throws: JobQueueError.self) { try await move(second, Date()) }
            try await harness.running([harness.engine()]) {
                try await move(first, Date(timeIntervalSinceNow: -1))
                try await harness.wait(for: second, .succeeded)
            }
            #expect(stage.events("start") == ["first", "second"])
            await #expect(throws: JobQueueError.self) { try await move(first, Date()) }
        }
    }
}

@Suite("Administration: queues, breakers, workers", .needsDatabase, .hangGuard)
struct EngineAdministrationTests {
    @Test("a queue is paused with a reason and resumed; one that protects others only by force")
    func queues() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let queues = QueueAdministration(queue: harness.queue)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let paused = try await harness.administration.perform {
                try await queues.pause("default", reason: "upgrade", by: EngineHarness.actor, in: $0)
            }
            #expect(paused.isPaused && paused.pausedBy == "ann" && paused.pauseReason == "upgrade")
            #expect(paused.states == ["ready": 1] && !paused.isProtected)
            #expect(try await harness.claimAll().isEmpty)
            #expect(try await harness.queue.job(id: id)?.waiting?.code == .queuePaused)
            await #expect(throws: AdministrationError.protectedQueue("security")) {
                try await harness.administration.perform {
                    try await queues.pause("security", reason: nil, by: EngineHarness.actor, in: $0)
                }
            }
            await #expect(throws: AdministrationError.notFound("queue", "nope")) { try await queues.queue("nope") }
            try await harness.running([harness.engine()]) {
                let resumed = try await harness.administration.perform {
                    try await queues.resume("default", by: EngineHarness.actor, in: $0)
                }
                #expect(!resumed.isPaused && resumed.pausedBy == nil)
                try await harness.wait(for: id, .succeeded)
                let served = try await queues.queues()
                #expect(served.first { $0.name == "security" }?.workers == 1)
            }
            let forced = try await harness.administration.perform {
                try await queues.pause("security", reason: nil, force: true, by: EngineHarness.actor, in: $0)
            }
            #expect(forced.isPaused && forced.isProtected)
            #expect(try await harness.audits("JOB_QUEUE_PAUSE").map(\.resource) == ["default", "security"])
            #expect(try await harness.audits("JOB_QUEUE_PAUSE").last?.metadata == ["force": true])
            #expect(try await harness.audits("JOB_QUEUE_RESUME").count == 1)
        }
    }

    @Test("a breaker is held open, held closed and left to itself; it says who and why")
    func breakers() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let breakers = BreakerAdministration(queue: harness.queue)
            let id = try await harness.enqueue(UpstreamJob(stage: Stage().name, label: "a"))
            let open = try await harness.administration.perform {
                try await breakers.force(
                    "litellm.admin", .open, reason: "maintenance", by: EngineHarness.actor, in: $0)
            }
            #expect(open.state == "forced_open" && !open.admits && open.isForced)
            #expect(open.reason == "maintenance" && open.changedBy == "ann")
            #expect(open.ready == CountReport(value: 1, isExact: true) && open.running == 0)
            #expect(try await harness.queue.job(id: id)?.waiting?.code == .breakerOpen)
            let closed = try await harness.administration.perform {
                try await breakers.force("litellm.admin", .closed, reason: "trust", by: EngineHarness.actor, in: $0)
            }
            #expect(closed.state == "forced_closed" && closed.admits)
            let reset = try await harness.administration.perform {
                try await breakers.reset("litellm.admin", by: EngineHarness.actor, in: $0)
            }
            #expect(reset.state == "closed" && !reset.isForced && reset.reason == nil)
            #expect(try await breakers.breakers().map(\.name) == ["litellm.admin", "litellm.usage"])
            await #expect(throws: AdministrationError.notFound("breaker", "nope")) {
                try await harness.administration.perform {
                    try await breakers.reset("nope", by: EngineHarness.actor, in: $0)
                }
            }
            for action in ["BREAKER_FORCE_OPEN", "BREAKER_FORCE_CLOSED", "BREAKER_RESET"] {
                #expect(try await harness.audits(action).count == 1, "\(action)")
            }
        }
    }

    @Test("a drained worker lets its job end and claims no more until it is told to go on")
    func drain() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let workers = WorkerAdministration(queue: harness.queue)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "long" { try await gate.pass() } }
            var options = JobOptions()
            options.resource = JobResource(type: "api_key", id: "k1")
            let engine = harness.engine()
            let asked = options
            try await harness.running([engine]) {
                let long = try await harness.enqueue(TestJob(stage, "long"), asked)
                await gate.arrival()
                let worker = try #require(try await workers.workers().first)
                #expect(worker.state == .active && worker.running == 1 && worker.capacity == 64)
                let job = try #require(worker.jobs.first)
                #expect(job.id.value == long && job.kind == "test.job" && job.resource?.id == "k1")
                #expect(try await harness.administration.job(id: long)?.worker?.id == worker.id)

                let drained = try await harness.administration.perform {
                    try await workers.drain(worker.id, by: EngineHarness.actor, in: $0)
                }
                #expect(drained.drainRequestedBy == "ann" && drained.drainRequestedAt != nil)
                #expect(try await eventually { try await workers.worker(worker.id).state == .draining })
                #expect(engine.isResting && !engine.isDraining)
                let waiting = try await harness.enqueue(TestJob(stage, "waiting"))
                gate.open()
                try await harness.wait(for: long, .succeeded)
                // What a claim took that was under way is given back.
                #expect(
                    try await eventually {
                        try await harness.queue.job(id: waiting)?.waiting?.code == .noWorker
                    })
                #expect(stage.events("start") == ["long"])

                _ = try await harness.administration.perform {
                    try await workers.resume(worker.id, by: EngineHarness.actor, in: $0)
                }
                try await harness.wait(for: waiting, .succeeded)
                // It claims again before its row says so.
                #expect(try await eventually { try await workers.worker(worker.id).state == .active })
            }
            #expect(try await workers.workers().isEmpty)
            let ended = try #require(try await workers.workers(ended: true).first)
            #expect(ended.state == .stopped)
            await #expect(throws: AdministrationError.self) {
                try await harness.administration.perform {
                    try await workers.drain(ended.id, by: EngineHarness.actor, in: $0)
                }
            }
            await #expect(throws: AdministrationError.notFound("worker", "9999")) { try await workers.worker(9999) }
            #expect(try await harness.audits("WORKER_DRAIN").map(\.resource) == [String(ended.id)])
            #expect(try await harness.audits("WORKER_RESUME").count == 1)
        }
    }

    @Test("a drained worker that lost its lease still does as it was told under its new one")
    func drainOutlivesLease() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let workers = WorkerAdministration(queue: harness.queue)
            let engine = harness.engine()
            try await harness.running([engine]) {
                #expect(try await eventually { try await !workers.workers().isEmpty })
                let first = try #require(try await workers.workers().first)
                _ = try await harness.administration.perform {
                    try await workers.drain(first.id, by: EngineHarness.actor, in: $0)
                }
                #expect(try await eventually { engine.isResting })
                try await harness.client.query("update job_workers set state = 2 where id = \(first.id)")
                #expect(
                    try await eventually {
                        try await workers.workers().contains { $0.id != first.id && $0.drainRequestedBy == "ann" }
                    })
                let id = try await harness.enqueue(TestJob(Stage(), "a"))
                #expect(
                    try await eventually {
                        try await workers.workers().contains { $0.id != first.id && $0.state == .draining }
                    })
                #expect(try await harness.state(id) == .ready)
            }
        }
    }
}
