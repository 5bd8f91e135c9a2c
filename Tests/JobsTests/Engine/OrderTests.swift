import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("Per-object order", .hangGuard)
struct OrderTests {
    @Test("jobs on one object run one at a time and in order, on two engines; others run beside them")
    func oneAtATime() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, _ in await Task.yield() }
            try await harness.running([harness.engine(), harness.engine()]) {
                for number in 0..<40 {
                    for object in ["x", "y", "z"] {
                        _ = try await harness.enqueue(TestJob(stage, "\(object)\(number)", order: object))
                    }
                }
                try await harness.expectDrained()
            }
            #expect(stage.mostAtOnce == 1)
            for object in ["x", "y", "z"] {
                let order = stage.events("start").filter { $0.hasPrefix(object) }
                #expect(order == (0..<40).map { "\(object)\($0)" })
            }
        }
    }

    @Test("a job holds its object through its retries")
    func heldThroughRetries() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, context in
                if job.label == "a", context.attempt < 3 { throw JobFailure.retryable(code: "x", message: "x") }
            }
            try await harness.running([harness.engine()]) {
                _ = try await harness.enqueue(TestJob(stage, "a", order: "o"))
                let second = try await harness.enqueue(TestJob(stage, "b", order: "o"))
                try await harness.wait(for: second, .succeeded)
            }
            #expect(stage.events("start") == ["a", "a", "a", "b"])
        }
    }

    @Test("a failed job lets the next one on its object go on")
    func failedHandsOver() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, _ in
                if job.label == "a" { throw JobFailure.permanent(code: "no", message: "no") }
            }
            try await harness.running([harness.engine()]) {
                let first = try await harness.enqueue(TestJob(stage, "a", order: "o"))
                let second = try await harness.enqueue(TestJob(stage, "b", order: "o"))
                try await harness.wait(for: first, .failed)
                try await harness.wait(for: second, .succeeded)
            }
        }
    }

    @Test("a future job holds nothing until it is due, then queues up")
    func futureHoldsNothing() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "now" { try await gate.pass() } }
            var options = JobOptions()
            options.delay = .milliseconds(50)
            try await harness.running([harness.engine()]) { [options] in
                let later = try await harness.enqueue(TestJob(stage, "later", order: "o"), options)
                let now = try await harness.enqueue(TestJob(stage, "now", order: "o"))
                await gate.arrival()
                try await harness.wait(for: later, .blocked)
                let reason = try #require(try await harness.queue.job(id: later)?.waiting)
                #expect(reason.code == .behindJob)
                #expect(reason.jobIds == [now])
                gate.open()
                try await harness.wait(for: later, .succeeded)
            }
        }
    }

    /// The race of design section 3: an enqueue that commits at the moment its predecessor ends. No sweep helps here.
    @Test("no job stays blocked behind nothing when enqueue and end meet")
    func handOverRace() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let worker = try await harness.registerWorker()
            for round in 0..<60 {
                let order = "o\(round)"
                let first = try await harness.enqueue(TestJob(stage, "a", order: order))
                let claimed = try await harness.claimAll(workerId: worker)
                #expect(claimed.map(\.id) == [first])
                async let second = harness.enqueue(TestJob(stage, "b", order: order))
                async let finished = harness.finishUntilDone(claimed)
                _ = try await finished
                let id = try await second
                let next = try await harness.claimAll(workerId: worker)
                #expect(next.map(\.id) == [id], "round \(round)")
                _ = try await harness.finishUntilDone(next)
            }
            #expect(try await harness.count("select count(*) from jobs") == 0)
        }
    }

    @Test("an open enqueuing transaction delays only its own object's finish, not the batch")
    func lockedHolderDoesNotStall() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let held = try await harness.enqueue(TestJob(stage, "held", order: "o"))
            let free = try await harness.enqueue(TestJob(stage, "free", order: "p"))
            let claimed = try await harness.claimAll()
            let next = try await harness.client.withTransaction { transaction in
                let behind = try await harness.queue.enqueue(TestJob(stage, "behind", order: "o"), in: transaction)
                let result = try await harness.store.finishOrdered(
                    claimed.map { FinishedJob(id: $0.id, token: $0.token, orderKey: $0.orderKey, result: nil) },
                    in: harness.client)
                #expect(result.done == [free])
                return behind.id
            }
            let owned = claimed.filter { $0.id == held }
            _ = try await harness.finishUntilDone(owned)
            #expect(try await harness.state(next) == .ready)
        }
    }

    @Test("the sweep frees what stayed blocked behind nothing")
    func sweep() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a", order: "o"))
            try await harness.client.query("update jobs set state = 4 where id = \(id)")
            #expect(try await harness.store.sweepBlocked(limit: 10, in: harness.client).count == 1)
            #expect(try await harness.state(id) == .ready)
        }
    }
}

extension EngineHarness {
    /// Finishes claimed jobs; rows locked by an enqueuer are tried again, as the engine does.
    func finishUntilDone(_ claimed: [ClaimedJob]) async throws -> Int {
        var left = claimed.map { FinishedJob(id: $0.id, token: $0.token, orderKey: $0.orderKey, result: nil) }
        var rounds = 0
        while !left.isEmpty, rounds < 1000 {
            let batch = left
            let result = try await store.finishOrdered(batch, in: client)
            left.removeAll { result.done.contains($0.id) }
            rounds += 1
            if !left.isEmpty { await WakeSignal().wait(atMost: .milliseconds(2)) }
        }
        #expect(left.isEmpty)
        return rounds
    }
}
