import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Enqueue", .hangGuard)
struct EnqueueTests {
    @Test("a job exists only if its transaction commits")
    func transactional() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            struct Abort: Error {}
            await #expect(throws: Abort.self) {
                try await harness.client.withTransaction { transaction in
                    _ = try await harness.queue.enqueue(TestJob(stage, "never"), in: transaction)
                    throw Abort()
                }
            }
            #expect(try await harness.count("select count(*) from jobs") == 0)
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "once"))
                try await harness.wait(for: id, .succeeded)
            }
            #expect(stage.events("start") == ["once"])
        }
    }

    @Test("the same unique key coalesces while the first has not started")
    func coalesces() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let first = try await harness.queue.enqueue(TestJob(stage, "a", unique: "u"))
            let second = try await harness.queue.enqueue(TestJob(stage, "b", unique: "u"))
            #expect(!first.coalesced)
            #expect(second.coalesced)
            #expect(second.id == first.id)
            #expect(try await harness.count("select count(*) from jobs") == 1)
        }
    }

    @Test("coalescing with a waiting job brings its start forward")
    func coalescesEarlier() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var later = JobOptions()
            later.delay = .seconds(3600)
            let first = try await harness.queue.enqueue(TestJob(stage, "a", unique: "u"), options: later)
            #expect(first.state == .scheduled)
            try await harness.running([harness.engine()]) {
                let second = try await harness.queue.enqueue(TestJob(stage, "b", unique: "u"))
                #expect(second.id == first.id)
                try await harness.wait(for: first.id, .succeeded)
            }
        }
    }

    @Test("a change made while the job runs leaves exactly one more behind it")
    func uniqueWhileRunning() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "first" { try await gate.pass() } }
            try await harness.running([harness.engine()]) {
                let first = try await harness.enqueue(TestJob(stage, "first", order: "o", unique: "u"))
                await gate.arrival()
                let second = try await harness.queue.enqueue(TestJob(stage, "second", order: "o", unique: "u"))
                let third = try await harness.queue.enqueue(TestJob(stage, "third", order: "o", unique: "u"))
                #expect(second.id != first)
                #expect(second.state == .blocked)
                #expect(third.id == second.id)
                gate.open()
                try await harness.wait(for: first, .succeeded)
                try await harness.wait(for: second.id, .succeeded)
            }
            #expect(stage.events("start") == ["first", "second"])
        }
    }

    @Test("a retrying job whose key a newer one holds ends superseded, and its batch goes on")
    func retrySuperseded() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let first = try await harness.enqueue(TestJob(stage, "first", unique: "u"))
            let other = try await harness.enqueue(TestJob(stage, "other"))
            let claimed = try await harness.claimAll()
            let newer = try await harness.enqueue(TestJob(stage, "newer", unique: "u"))
            #expect(newer != first)
            let error = JobErrorInfo(errorClass: .retryable, code: "x", message: "x")
            let result = try await harness.store.putBack(
                claimed.map {
                    AgainJob(
                        id: $0.id, token: $0.token, orderKey: nil, delay: .seconds(60), charged: true, error: error)
                }, in: harness.client)
            #expect(result.done == [first, other])
            let superseded = try #require(try await harness.queue.job(id: first))
            #expect(superseded.state == .cancelled)
            #expect(superseded.error?.code == "superseded")
            #expect(try await harness.state(other) == .retrying)
            #expect(try await harness.state(newer) == .ready)
        }
    }

    @Test("many rows in one statement keep their order and run once")
    func enqueueMany() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let ids = try await harness.client.withTransaction { transaction in
                try await harness.queue.enqueueMany((0..<3000).map { NoOpJob(number: $0) }, in: transaction)
            }
            #expect(ids.count == 3000)
            #expect(ids == ids.sorted())
            try await harness.running([harness.engine(), harness.engine()]) {
                try await harness.expectDrained()
            }
            #expect(try await harness.count("select count(*) from job_history where outcome = 10") == 3000)
            #expect(try await harness.count("select count(distinct id) from job_history") == 3000)
            #expect(try await harness.count("select count(*) from job_history where attempt <> 1") == 0)
        }
    }

    @Test("a delayed job waits for its time, on the database's clock")
    func delayed() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var options = JobOptions()
            options.delay = .milliseconds(300)
            try await harness.running([harness.engine()]) { [options] in
                let id = try await harness.enqueue(TestJob(stage, "later"), options)
                #expect(try await harness.state(id) == .scheduled)
                let job = try await harness.wait(for: id, .succeeded)
                #expect(try #require(job.startedAt) >= job.runAt)
            }
        }
    }
}

extension EngineHarness {
    /// Claims as a worker of its own, without an engine.
    func claimAll(workerId: Int32? = nil, limit: Int = 100) async throws -> [ClaimedJob] {
        let worker: Int32
        if let workerId { worker = workerId } else { worker = try await registerWorker() }
        var claimed: [ClaimedJob] = []
        for handler in Self.catalog.handlers.values {
            let lane = JobLane(
                queueId: try store.names.queueId(handler.queue), upstream: handler.upstream?.code ?? 0)
            let rows = try await client.query(
                store.claimQuery(lane: lane, limit: limit, workerId: worker, after: .start, kinds: nil))
            claimed += try rows.map(store.claimed)
        }
        return claimed.sorted { $0.id < $1.id }
    }

    func registerWorker(lease: Duration = .seconds(60)) async throws -> Int32 {
        try await PostgresWorkerStore().register(
            WorkerRegistration(
                incarnation: UUID(), name: "test", host: "test", pid: 1, version: "test", queues: ["default"],
                kinds: Self.catalog.names, capacity: 1, lease: lease), in: client)
    }
}
