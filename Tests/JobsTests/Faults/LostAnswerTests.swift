import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

/// A statement took effect and its answer did not arrive, or the database could not be reached for a while.
@Suite("Lost answers and leases", .hangGuard)
struct LostAnswerTests {
    @Test("a claim whose answer was lost is taken up by the worker whose name it carries")
    func lostClaim() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { job, _ in if job.label == "known" { try await gate.pass() } }
            let known = try await harness.enqueue(TestJob(stage, "known"))
            let engine = harness.engine()
            try await engine.register()
            _ = try await engine.claimRound()
            await gate.arrival()
            // What a claim leaves behind that committed while its connection broke.
            let lost = try await harness.enqueue(TestJob(stage, "lost"))
            let workerId = engine.workerId
            #expect(try await harness.claimAll(workerId: workerId).map(\.id) == [lost])
            engine.isUncertain = true
            _ = try await engine.claimRound()
            #expect(try await eventually { !engine.finished.isEmpty })
            try await engine.flush()
            #expect(try await harness.state(lost) == .succeeded)
            #expect(try await harness.state(known) == .running)
            gate.open()
            #expect(try await eventually { !engine.finished.isEmpty })
            try await engine.flush()
            // Only once each, the one that was known all the time too.
            #expect(stage.events("start") == ["known", "lost"])
            #expect(engine.running.count == 0)
        }
    }

    @Test("a claim that fails is looked into before the next one")
    func failedClaim() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let engine = harness.engine()
            try await engine.register()
            try await harness.client.query("alter table jobs rename to jobs_away")
            await #expect(throws: PostgresError.self) { _ = try await engine.claimRound() }
            #expect(engine.isUncertain)
            try await harness.client.query("alter table jobs_away rename to jobs")
            _ = try await engine.claimRound()
            #expect(!engine.isUncertain)
        }
    }

    @Test("outcomes whose answer was lost are written once, however often they are sent")
    func lostFinish() async throws {
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
                _ = try await harness.enqueue(TestJob(stage, label, order: label == "done" ? nil : label))
            }
            let engine = harness.engine()
            try await engine.register()
            _ = try await engine.claimRound()
            var outcomes: [JobOutcome] = []
            #expect(
                try await eventually {
                    outcomes += engine.finished.take(10)
                    return outcomes.count == 3
                })
            for _ in 0..<3 {
                engine.finished.putBack(outcomes)
                try await engine.flush()
            }
            #expect(engine.running.count == 0)
            #expect(try await harness.count("select count(*) from job_history") == 1)
            #expect(try await harness.count("select count(*) from job_dead_letters") == 1)
            #expect(try await harness.count("select errors from jobs") == 1)
            #expect(try await harness.count("select count(*) from job_attempts") == 2)
        }
    }

    @Test("a lease that ran out here is not extended: what it covered runs again, elsewhere or here")
    func ownLeaseOver() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, context in if context.attempt == 1 { try await gate.pass() } }
            let engine = harness.engine()
            try await harness.running([engine]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                let old = engine.workerId
                // The database could not be reached for longer than the lease; nobody else was there to notice.
                engine.lease.lose()
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempts.map(\.error.code) == ["worker_lost"])
                #expect(engine.workerId != old)
            }
            #expect(try await harness.count("select count(*) from job_workers where state = 2") == 1)
        }
    }

    @Test("a lease that is over stops what runs here, even while the heartbeat hangs")
    func fencedWhileBeatHangs() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            _ = try await harness.enqueue(TestJob(stage, "a"))
            let engine = harness.engine()
            try await engine.register()
            _ = try await engine.claimRound()
            await gate.arrival()
            engine.lease.lose()
            // The loops that do not need the database go on.
            #expect(
                try await eventually {
                    try await engine.enforceDeadlines()
                    return !engine.finished.isEmpty
                })
            let outcome = try #require(engine.finished.take(1).first)
            guard case .lost = outcome else {
                Issue.record("the outcome would be written: \(outcome)")
                return
            }
        }
    }

    @Test("outcomes with texts that the database cannot store do not keep others from being written")
    func unstorable() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, _ in
                switch job.label {
                case "again": throw JobFailure.retryable(code: "x", message: "a\u{0}b")
                case "failed": throw JobFailure.permanent(code: "x", message: "a\u{0}b")
                default: return
                }
            }
            let engine = harness.engine()
            try await engine.register()
            let failed = try await harness.enqueue(TestJob(stage, "failed"))
            let again = try await harness.enqueue(TestJob(stage, "again"))
            let poison = try await harness.enqueue(TextJob(text: "a<NUL>b"))
            var ids: [Int64] = []
            for number in 0..<5 { ids.append(try await harness.enqueue(TextJob(text: "\(number)"))) }
            while try await engine.claimRound() {}
            #expect(
                try await eventually {
                    try await engine.flush()
                    return engine.running.count == 0
                })
            for id in ids + [poison] { #expect(try await harness.state(id) == .succeeded) }
            #expect(try await harness.queue.job(id: failed)?.state == .failed)
            #expect(try await harness.queue.job(id: again)?.attempts.map(\.error.code) == ["unstorable_error"])
        }
    }

    @Test("a job whose kind cannot mark its object ends all the same, and the sweep goes on to the others")
    func unmarkable() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stubborn = try await harness.enqueue(UnmarkableJob())
            let stage = Stage()
            let other = try await harness.enqueue(TestJob(stage, "other"))
            try await harness.client.query(
                "update jobs set cancel_requested_at = now(), cancel_requested_by = 'ann'")
            try await harness.engine().sweep()
            #expect(try await harness.queue.job(id: stubborn)?.error?.code == "end_not_marked")
            #expect(try await harness.state(other) == .cancelled)
        }
    }
}

/// Its result is its parameter, with NUL characters where it says so.
struct TextJob: JobKind {
    struct Output: Codable, Sendable { var text: String }
    static let name = "test.text"
    var text: String
    func run(in context: JobContext) async throws -> Output {
        Output(text: text.replacing("<NUL>", with: "\u{0}"))
    }
}

/// Its object cannot be marked.
struct UnmarkableJob: JobKind {
    static let name = "test.unmarkable"
    func run(in context: JobContext) async throws -> NoOutput { NoOutput() }
    func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await transaction.query("insert into no_such_table values (1)")
    }
}
