import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Outcomes", .hangGuard)
struct OutcomeTests {
    @Test("a retryable failure is tried again; every failed attempt is kept")
    func retries() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, context in
                if context.attempt < 3 {
                    throw JobFailure.retryable(code: "busy", message: "Busy at attempt \(context.attempt).")
                }
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempt == 3)
                #expect(job.attempts.map(\.attempt) == [1, 2])
                #expect(job.attempts.map(\.error.code) == ["busy", "busy"])
                #expect(job.attempts.allSatisfy { $0.charged })
            }
        }
    }

    @Test("after the last attempt the job is a dead letter, its object is marked, and a retry brings it back")
    func deadLetterAndBack() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, context in
                if context.attempt <= 3 { throw JobFailure.retryable(code: "busy", message: "Busy.") }
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a", order: "o"))
                let failed = try await harness.wait(for: id, .failed)
                #expect(failed.error == JobErrorInfo(errorClass: .retryable, code: "busy", message: "Busy."))
                #expect(failed.attempts.count == 3)
                #expect(stage.events("ended failed busy") == ["a"])
                #expect(try await harness.count("select count(*) from job_dead_letters") == 1)

                try await harness.queue.retry(id: id)
                let back = try await harness.wait(for: id, .succeeded)
                #expect(back.attempt == 4)
                #expect(stage.events("retried") == ["a"])
                #expect(try await harness.count("select count(*) from job_dead_letters") == 0)
            }
        }
    }

    @Test("permanent failures and conflicts are not tried again", arguments: [JobErrorClass.permanent, .conflict])
    func permanent(errorClass: JobErrorClass) async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, _ in
                throw JobFailure(info: JobErrorInfo(errorClass: errorClass, code: "no", message: "No."))
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                let job = try await harness.wait(for: id, .failed)
                #expect(job.attempt == 1)
                #expect(job.error?.errorClass == errorClass)
            }
        }
    }

    @Test("security work retries even permanent errors, without end")
    func neverGivesUp() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, context in
                if context.attempt < 6 { throw JobFailure.permanent(code: "no", message: "No.") }
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "a"))
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempt == 6)
            }
        }
    }

    @Test("a snooze is not charged and keeps the object")
    func snooze() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, context in
                let stage = Stage.find(job.stage)
                let starts = stage?.events("start").filter { $0 == "a" }.count ?? 0
                if job.label == "a", starts < 4 { throw JobSnooze(for: .milliseconds(5), reason: "not yet") }
                if job.label == "a" { stage?.note(job, context.attempt, "attempt \(context.attempt)") }
            }
            try await harness.running([harness.engine()]) {
                let first = try await harness.enqueue(TestJob(stage, "a", order: "o"))
                let second = try await harness.enqueue(TestJob(stage, "b", order: "o"))
                let job = try await harness.wait(for: first, .succeeded)
                #expect(job.attempt == 1)
                #expect(job.attempts.isEmpty)
                try await harness.wait(for: second, .succeeded)
            }
            #expect(stage.events("attempt 1") == ["a"])
            #expect(stage.events("start") == ["a", "a", "a", "a", "b"])
        }
    }

    @Test("the fence: an attempt that lost its job changes nothing, in the row or through its transactions")
    func fence() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let id = try await harness.enqueue(TestJob(stage, "a"))
            let old = try #require(try await harness.claimAll().first)
            let again = AgainJob(id: id, token: old.token, orderKey: nil, delay: .zero, charged: true, error: nil)
            #expect(try await harness.store.putBack([again], in: harness.client).done == [id])
            let new = try #require(try await harness.claimAll().first)
            #expect(new.token > old.token)

            let stale = FinishedJob(id: id, token: old.token, orderKey: nil, result: nil)
            #expect(try await harness.store.finishPlain([stale], in: harness.client).done.isEmpty)
            #expect(try await harness.store.finishOrdered([stale], in: harness.client).done.isEmpty)
            #expect(try await harness.store.putBack([again], in: harness.client).done.isEmpty)
            #expect(try await !harness.store.holdsLease(jobId: id, token: old.token, in: harness.client))
            #expect(try await harness.store.holdsLease(jobId: id, token: new.token, in: harness.client))
            #expect(try await harness.state(id) == .running)
            // A give-back repeats the attempt number, never the token.
            let released = AgainJob(id: id, token: new.token, orderKey: nil, delay: .zero, charged: false, error: nil)
            #expect(try await harness.store.putBack([released], in: harness.client).done == [id])
            let third = try #require(try await harness.claimAll().first)
            #expect(third.attempt == new.attempt)
            #expect(third.token > new.token)
        }
    }

    @Test("a handler's domain writes check the fence")
    func fencedTransaction() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.client.query("create table effects (job_id bigint)")
            let stage = Stage { job, context in
                try await context.services.database.query(
                    "update jobs set token = token + 1 where id = \(context.id) and attempt = 1")
                do {
                    try await context.transaction { try await $0.query("insert into effects values (\(context.id))") }
                } catch let lost as JobLeaseLost {
                    Stage.find(job.stage)?.note(job, context.attempt, "lost")
                    throw lost
                }
            }
            try await harness.running([harness.engine()]) {
                _ = try await harness.enqueue(TestJob(stage, "a"))
                #expect(try await eventually { stage.events("lost") == ["a"] })
            }
            #expect(try await harness.count("select count(*) from effects") == 0)
        }
    }

    @Test("an attempt past its time is cancelled and charged")
    func timeout() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let engine = harness.engine()
            let gate = Gate()
            let stage = Stage { _, context in if context.attempt == 1 { try await gate.pass() } }
            try await harness.running([engine]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                engine.running.expire(id)
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.attempts.map(\.error.code) == ["timeout"])
            }
        }
    }

    @Test("parameters that do not decode end among the dead letters with the reason")
    func undecodable() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.running([harness.engine()]) {
                let rows = try await harness.client.query(
                    """
                    insert into jobs (queue_id, kind_id, max_attempts, args)
                    select q.id, k.id, 3, '{"wrong": true}' from job_queues q, job_kinds k
                    where q.name = 'default' and k.name = 'test.job' returning id
                    """)
                let id = try #require(rows.first).decode(Int64.self)
                let job = try await harness.wait(for: id, .failed)
                #expect(job.error?.code == "undecodable_parameters")
            }
        }
    }

    @Test("a kind that this version does not know is put back uncharged")
    func unknownKind() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            try await harness.client.query("insert into job_kinds (name) values ('test.newer')")
            try await harness.running([harness.engine()]) {
                let rows = try await harness.client.query(
                    """
                    insert into jobs (queue_id, kind_id, max_attempts, args)
                    select q.id, k.id, 3, '{}' from job_queues q, job_kinds k
                    where q.name = 'default' and k.name = 'test.newer' returning id
                    """)
                let id = try #require(rows.first).decode(Int64.self)
                #expect(
                    try await eventually {
                        try await harness.count(
                            "select count(*) from jobs where id = \(id) and state = 3 and token = 1") == 1
                    })
                #expect(try await harness.count("select attempt from jobs where id = \(id)") == 0)
            }
        }
    }

    @Test("progress and results are shown")
    func progress() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, context in
                try await context.progress(0.5, "Half way.")
                try await gate.pass()
            }
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(TestJob(stage, "a"))
                await gate.arrival()
                #expect(
                    try await harness.queue.job(id: id)?.progress == JobProgress(fraction: 0.5, message: "Half way."))
                gate.open()
                try await harness.wait(for: id, .succeeded)
            }
        }
    }
}
