import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Administration: bulk actions", .needsDatabase, .hangGuard)
struct JobsBulkTests {
    private func start(_ harness: EngineHarness, _ request: BulkRequest) async throws -> Int64 {
        try await harness.administration.perform {
            try await harness.administration.startBulk(request, by: EngineHarness.actor, in: $0)
        }.id
    }

    private func result(_ harness: EngineHarness, _ id: Int64) async throws -> BulkReport {
        let job = try await harness.wait(for: id, .succeeded)
        return try JSON.decoder.decode(BulkReport.self, from: JSON.encoder.encode(job.result))
    }

    /// Jobs that failed in their first attempt, put in at once.
    private func deadLetters(_ count: Int, _ harness: EngineHarness, _ stage: Stage) async throws -> [Int64] {
        let names = harness.store.names
        let rows = try await harness.client.query(
            """
            insert into job_dead_letters (
                id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority, outcome, attempt,
                max_attempts, errors, error_class, error_code, error_message, args)
            select nextval(pg_get_serial_sequence('jobs', 'id')), now(), now(), now(), 1,
                \(try names.queueId("default")), \(try names.kindId(TestJob.name)), 0, 0, 11, 1, 3, 1,
                'permanent', 'broken', 'It broke.', jsonb_build_object('stage', \(stage.name)::text, 'label', n::text)
            from generate_series(0, \(count - 1)) as n order by n returning id
            """)
        return try rows.map { try $0.decode(Int64.self) }.sorted()
    }

    @Test("a preview counts, shows some, says what would be left and why, and changes nothing")
    func preview() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let failed = try await harness.deadLetter(TestJob(stage, "a", unique: "u"))
            let other = try await harness.deadLetter(TestJob(stage, "b"))
            _ = try await harness.enqueue(TestJob(stage, "c", unique: "u"))
            let revoke = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "p"))

            let retry = try await harness.administration.preview(
                BulkRequest(action: .retry, filter: harness.query { $0.kinds = ["test.job"] }))
            #expect(retry.dryRun && retry.matched == CountReport(value: 2, isExact: true))
            #expect(retry.affected == CountReport(value: 1, isExact: true))
            #expect(retry.skipped == [BulkRefusal(.keyTaken, 1)])
            #expect(retry.sample.map(\.id.value) == [other, failed] && retry.filter.states == [.failed])

            var request = BulkRequest(
                action: .cancel, filter: harness.query { $0.kinds = ["test.job", "test.protected"] })
            let cancel = try await harness.administration.preview(request)
            #expect(cancel.matched.value == 2 && cancel.skipped == [BulkRefusal(.protected, 1)])
            request.force = true
            #expect(try await harness.administration.preview(request).affected.value == 2)
            request.filter.states = [.failed, .ready]
            #expect(try await harness.administration.preview(request).skipped == [BulkRefusal(.wrongState, 2)])

            #expect(try await harness.state(failed) == .failed)
            #expect(try await harness.state(revoke) == .ready)
            for (request, field) in [
                (BulkRequest(action: .cancel, filter: JobQuery()), "filter"),
                (BulkRequest(action: .reschedule, filter: request.filter), "runAt"),
                (BulkRequest(action: .cancel, filter: request.filter, runAt: Date()), "runAt"),
            ] {
                let error = await #expect(throws: AdministrationError.self) {
                    try await harness.administration.preview(request)
                }
                #expect(error?.field == field)
            }
        }
    }

    @Test("failed jobs come back in chunks, each once; what fails again while it runs is not meant")
    func retryAll() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { _, context in
                if context.attempt == 2 { throw JobFailure.permanent(code: "broken", message: "It broke again.") }
            }
            let ids = try await deadLetters(110, harness, stage)
            let request = BulkRequest(
                action: .retry, filter: harness.query { $0.errorCode = "broken" }, reason: "the cause is gone")
            try await harness.running([harness.engine()]) {
                let bulk = try await start(harness, request)
                let report = try await result(harness, bulk)
                #expect(report == BulkReport(action: .retry, processed: 110, changed: 110, refused: [], refusedIds: []))
                #expect(
                    try await eventually {
                        try await harness.count("select count(*) from job_dead_letters") == 110
                    })
                #expect(stage.events("retried").count == ids.count)
            }
            let asked = try #require(try await harness.audits("JOBS_BULK_RETRY").first)
            #expect(asked.actor == "ann" && asked.metadata == ["reason": "the cause is gone"])
            #expect(try await harness.audits("JOBS_BULK_DONE").map(\.actor) == ["ann"])
        }
    }

    @Test("an attempt that is repeated goes on behind the last chunk and reports the whole")
    func repeated() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let ids = try await deadLetters(5, harness, stage)
            let request = BulkRequest(action: .discard, filter: harness.query { $0.kinds = ["test.job"] })
            let bulk = try await start(harness, request)
            // As an attempt leaves it that dealt with two and was killed.
            var run = BulkRun(afterId: ids[1], total: 5, changed: 1)
            run.refuse(ids[1], .gone)
            try await PostgresBulkRunStore().save(run, jobId: bulk, in: harness.client)
            try await harness.running([harness.engine()]) {
                let report = try await result(harness, bulk)
                #expect(report.processed == 5 && report.changed == 4 && report.refused == [BulkRefusal(.gone, 1)])
                #expect(report.refusedIds == [JobNumber(ids[1])])
            }
            #expect(try await harness.ids(.deadLetters) == [ids[1], ids[0]])

            // One whose end was not written down finds nothing left, reports the same and says so once.
            let again = try await start(harness, request)
            run.isDone = true
            try await PostgresBulkRunStore().save(run, jobId: again, in: harness.client)
            try await harness.client.query("update job_bulk_runs set after_id = \(ids[4]) where job_id = \(again)")
            try await harness.running([harness.engine()]) {
                let report = try await result(harness, again)
                #expect(report.processed == 2)
            }
            #expect(try await harness.audits("JOBS_BULK_DONE").count == 1)
        }
    }

    @Test("cancelling ends what waits and what runs, spares itself and what protects others, and names the refused")
    func cancelAll() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            try await harness.running([harness.engine()]) {
                let runs = try await harness.enqueue(TestJob(stage, "runs", order: "o"))
                await gate.arrival()
                let blocked = try await harness.enqueue(TestJob(stage, "blocked", order: "o"))
                var options = JobOptions()
                options.delay = .seconds(3600)
                let scheduled = try await harness.enqueue(TestJob(stage, "later"), options)
                let revoke = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "p"), options)
                let filter = harness.query { $0.createdBefore = Date(timeIntervalSinceNow: 600) }
                let bulk = try await start(harness, BulkRequest(action: .cancel, filter: filter))
                let report = try await result(harness, bulk)
                #expect(report.changed == 3 && report.refused == [BulkRefusal(.protected, 1)])
                #expect(report.refusedIds == [JobNumber(revoke)])
                for id in [runs, blocked, scheduled] {
                    #expect(try await harness.wait(for: id, .cancelled).endedBy == "ann")
                }
                #expect(try await harness.state(revoke) == .scheduled)
            }
        }
    }

    @Test("a job that spoils its chunk is left out; the others are dealt with")
    func spoiled() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let ids = try await deadLetters(4, harness, stage)
            // Its row cannot go into the history: the partition refuses it.
            try await harness.client.query(
                """
                create function refuse() returns trigger language plpgsql as $$
                begin
                    if new.args ->> 'label' = '2' then raise exception 'no' using errcode = '23514'; end if;
                    return new;
                end $$
                """)
            try await harness.client.query(
                "create trigger refuse before insert on job_history for each row execute function refuse()")
            let request = BulkRequest(action: .discard, filter: harness.query { $0.kinds = ["test.job"] })
            try await harness.running([harness.engine()]) {
                let report = try await result(harness, try await start(harness, request))
                #expect(report.changed == 3 && report.refused == [BulkRefusal(.failed, 1)])
                #expect(report.refusedIds == [JobNumber(ids[2])])
            }
            #expect(try await harness.state(ids[2]) == .failed)
        }
    }
}
