import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("Leases and rescue", .hangGuard)
struct RescueTests {
    @Test("a dead worker's jobs run again; the attempt counts and is noted")
    func rescued() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a", order: "o"))
            let behind = try await harness.enqueue(TestJob(stage, "b", order: "o"))
            let dead = try await harness.registerWorker(lease: .zero)
            #expect(try await harness.claimAll(workerId: dead).map(\.id) == [id])
            try await harness.running([harness.engine()]) {
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempt == 2)
                #expect(job.attempts.map(\.error.code) == ["worker_lost"])
                try await harness.wait(for: behind, .succeeded)
            }
        }
    }

    @Test("a job that kills its worker at the last attempt is a dead letter, and its object goes on")
    func poison() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var options = JobOptions()
            options.maxAttempts = 1
            let id = try await harness.enqueue(TestJob(stage, "poison", order: "o"), options)
            let behind = try await harness.enqueue(TestJob(stage, "b", order: "o"))
            _ = try await harness.claimAll(workerId: try await harness.registerWorker(lease: .zero))
            try await harness.running([harness.engine()]) {
                let job = try await harness.wait(for: id, .failed)
                #expect(job.error?.code == "worker_lost")
                try await harness.wait(for: behind, .succeeded)
            }
            #expect(stage.events("ended failed worker_lost") == ["poison"])
        }
    }

    @Test("a job finished before the rescuer acts stays finished")
    func finishBeatsRescue() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let claimed = try await harness.claimAll(workerId: try await harness.registerWorker(lease: .zero))
            _ = try await PostgresWorkerStore().markLost(in: harness.client)
            let orphans = try await harness.store.orphans(after: 0, limit: 10, in: harness.client)
            #expect(orphans.map(\.id) == [id])
            // The worker was slow, not dead: its result arrives between the rescuer's read and its write.
            let done = try await harness.store.finishPlain(
                claimed.map { FinishedJob(id: $0.id, token: $0.token, orderKey: nil, result: nil) }, in: harness.client)
            #expect(done.done == [id])
            let late = AgainJob(id: id, token: orphans[0].token, orderKey: nil, delay: .zero, charged: true, error: nil)
            #expect(try await harness.store.putBack([late], in: harness.client).done.isEmpty)
            #expect(try await harness.state(id) == .succeeded)
        }
    }

    @Test("a live worker's long job is never taken away")
    func heartbeatKeeps() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            let busy = harness.engine()
            try await harness.running([busy, harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "long"))
                await gate.arrival()
                let before = try await harness.beatCount()
                #expect(try await eventually { try await harness.beatCount() > before })
                #expect(try await harness.state(id) == .running)
                gate.open()
                #expect(try await harness.wait(for: id, .succeeded).attempt == 1)
            }
        }
    }

    @Test("a worker whose row was given up stops its jobs, writes nothing for them, and comes back as a new one")
    func lostLease() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, context in if context.attempt == 1 { try await gate.pass() } }
            let engine = harness.engine()
            try await harness.running([engine]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                let old = engine.state.withLock { $0.workerId }
                try await harness.client.query("update job_workers set state = 2")
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempt == 2)
                #expect(job.attempts.map(\.error.code) == ["worker_lost"])
                #expect(engine.state.withLock { $0.workerId } != old)
            }
        }
    }

    @Test("rescue goes on past a page of jobs it may not take")
    func rescuePages() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let dead = try await harness.registerWorker(lease: .zero)
            try await harness.client.withTransaction { transaction in
                _ = try await harness.queue.enqueueMany((0..<1200).map { NoOpJob(number: $0) }, in: transaction)
            }
            #expect(try await harness.claimAll(workerId: dead, limit: 2000).count == 1200)
            try await harness.running([harness.engine()]) {
                try await harness.expectDrained()
            }
            #expect(try await harness.count("select count(*) from job_history where attempt = 2") == 1200)
        }
    }
}

extension EngineHarness {
    func beatCount() async throws -> Int {
        try await count("select (extract(epoch from max(beat_at)) * 1000000)::int8 from job_workers")
    }
}
