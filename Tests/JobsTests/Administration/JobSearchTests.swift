import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Administration: finding jobs", .needsDatabase, .hangGuard)
struct JobSearchTests {
    @Test("each filter finds its jobs in the live table, the dead letters and the history")
    func filters() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let done = try await harness.enqueue(TestJob(stage, "done"))
            _ = try await harness.store.finishPlain(
                try await harness.claimAll().map { FinishedJob(id: $0.id, token: $0.token, result: "{\"n\":1}") },
                in: harness.client)
            let cancelled = try await harness.enqueue(TestJob(stage, "cancelled"))
            try await harness.queue.cancel(id: cancelled, by: "ann")
            let failed = try await harness.deadLetter(TestJob(stage, "failed"), code: "conflict_found")
            var options = JobOptions()
            options.resource = JobResource(type: "api_key", id: "k_1%")
            options.requester = JobRequester(id: "user-1", requestId: "request-7")
            let ready = try await harness.enqueue(TestJob(stage, "ready", order: "o"), options)
            let blocked = try await harness.enqueue(TestJob(stage, "blocked", order: "o"))
            options = JobOptions()
            options.delay = .seconds(3600)
            let scheduled = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "later"), options)

            let all = [done, cancelled, failed, ready, blocked, scheduled].sorted(by: >)
            #expect(try await harness.ids(JobQuery()) == all)
            #expect(try await harness.ids(harness.query { $0.kinds = ["test.protected"] }) == [scheduled])
            #expect(try await harness.ids(harness.query { $0.queues = ["security"] }) == [scheduled])
            for (state, id) in [
                (JobState.succeeded, done), (.cancelled, cancelled), (.failed, failed), (.ready, ready),
                (.blocked, blocked), (.scheduled, scheduled),
            ] {
                #expect(try await harness.ids(harness.query { $0.states = [state] }) == [id], "\(state)")
            }
            #expect(try await harness.ids(harness.query { $0.states = [.ready, .failed] }) == [ready, failed])
            #expect(try await harness.ids(harness.query { $0.errorCode = "conflict_found" }) == [failed])
            #expect(try await harness.ids(harness.query { $0.errorCode = "cancelled" }) == [cancelled])
            #expect(try await harness.ids(harness.query { $0.resourceId = "k_1%" }) == [ready])
            #expect(try await harness.ids(harness.query { $0.resourceType = "user" }) == [])
            #expect(try await harness.ids(harness.query { $0.requestedBy = "user-1" }) == [ready])
            for (text, ids) in [
                ("IT BROKE", [failed]), ("K_1%", [ready]), ("k%1", []), ("request-7", [ready]),
                (#""label": "done""#, [done]),
            ] {
                #expect(try await harness.ids(harness.query { $0.text = text }) == ids, "\(text)")
            }
            let past = Date(timeIntervalSinceNow: -3600)
            let future = Date(timeIntervalSinceNow: 3600)
            #expect(try await harness.ids(harness.query { $0.createdBefore = past }) == [])
            #expect(try await harness.ids(harness.query { $0.createdAfter = past }) == all)
            #expect(
                try await harness.ids(harness.query { ($0.finishedAfter, $0.finishedBefore) = (past, future) })
                    == [failed, cancelled, done])
            #expect(
                try await harness.ids(harness.query { $0.ids = [JobNumber(done), JobNumber(ready)] }) == [ready, done])
            await #expect(throws: AdministrationError.self) {
                try await harness.ids(harness.query { $0.kinds = ["no.such"] })
            }
        }
    }

    @Test("an unfinished job is found by the error of its last attempt, and shows it")
    func lastError() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let id = try await harness.enqueue(TestJob(Stage(), "a"))
            for code in ["first", "second"] {
                let claimed = try #require(try await harness.claimAll().first)
                let error = JobErrorInfo(errorClass: .retryable, code: code, message: "It was \(code).")
                let again = AgainJob(
                    id: id, token: claimed.token, orderKey: nil, delay: .zero, charged: true, error: error)
                #expect(try await harness.store.putBack([again], in: harness.client).done == [id])
            }
            #expect(try await harness.ids(harness.query { $0.errorCode = "first" }) == [])
            #expect(try await harness.ids(harness.query { $0.text = "was first" }) == [id])
            let page = try await harness.administration.jobs(harness.query { $0.errorCode = "second" })
            #expect(page.data.map(\.id.value) == [id] && page.data[0].error?.message == "It was second.")
            let job = try #require(try await harness.administration.job(id: id))
            #expect(job.errors.map(\.code) == ["first", "second"] && job.parameters?["label"] == "a")
            #expect(job.waiting?.reason == "claimed_soon")
            let decoded = try JSON.decoder.decode(JobReport.self, from: JSON.encoder.encode(job))
            #expect(decoded.id == job.id && decoded.state == job.state && decoded.parameters == job.parameters)
        }
    }

    @Test("pages follow the cursor without gaps or doubles while jobs come in; a foreign cursor is refused")
    func pages() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var ids: [Int64] = []
            for number in 0..<7 { ids.append(try await harness.enqueue(TestJob(stage, "\(number)"))) }
            var found: [Int64] = []
            var cursor: String?
            var pages = 0
            repeat {
                let page = try await harness.administration.jobs(JobQuery(), cursor: cursor, limit: 3)
                found += page.data.map(\.id.value)
                cursor = page.pagination.cursor
                #expect(page.pagination.hasNext == (cursor != nil))
                #expect(page.pagination.total == CountReport(value: 7 + pages, isExact: true))
                _ = try await harness.enqueue(TestJob(stage, "newer"))
                pages += 1
            } while cursor != nil && pages < 10
            #expect(found == ids.reversed() && pages == 3)
            for bad in ["x", "ajE", "ajEuLTE"] {
                await #expect(
                    throws: AdministrationError.invalid(
                        "cursor", "must be the cursor of the page before, unchanged")
                ) { try await harness.administration.jobs(JobQuery(), cursor: bad) }
            }
            await #expect(throws: AdministrationError.self) {
                try await harness.administration.jobs(JobQuery(), limit: 501)
            }
        }
    }

    @Test("many jobs are estimated, few are counted, and statistics of many come from a sample")
    func estimates() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let kind = try harness.store.names.kindId(TestJob.name)
            let queue = try harness.store.names.queueId("default")
            try await harness.client.query(
                """
                insert into jobs (queue_id, kind_id, max_attempts, state, resource_id, args)
                select \(queue), \(kind), 3, case when n % 10 = 0 then 0 else 2 end, n::text, '{}'
                from generate_series(1, 150000) as n
                """)
            try await harness.client.query("analyze jobs")
            let all = try await harness.administration.jobs(JobQuery(), limit: 1).pagination.total
            #expect(!all.isExact && (120_000...180_000).contains(all.value))
            let few = harness.query { $0.ids = [JobNumber(1), JobNumber(2), JobNumber(3)] }
            #expect(
                try await harness.administration.jobs(few).pagination.total == CountReport(value: 3, isExact: true))
            let statistics = try await harness.administration.statistics()
            #expect(!statistics.isExact)
            #expect((90_000...180_000).contains(statistics.states["scheduled"] ?? 0))
            #expect((8_000...25_000).contains(statistics.states["ready"] ?? 0))
        }
    }

    @Test("statistics: by state, queue and kind, ages, what was done lately, what failed alike")
    func statistics() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            for number in 0..<3 { _ = try await harness.enqueue(TestJob(stage, "\(number)")) }
            _ = try await harness.store.finishPlain(
                try await harness.claimAll().map { FinishedJob(id: $0.id, token: $0.token) }, in: harness.client)
            let first = try await harness.deadLetter(TestJob(stage, "x"), code: "alike", message: "Older.")
            let second = try await harness.deadLetter(TestJob(stage, "y"), code: "alike", message: "Newer.")
            let cancelled = try await harness.enqueue(TestJob(stage, "c"))
            try await harness.queue.cancel(id: cancelled, by: "ann")
            _ = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "p"))
            try await harness.client.query("update jobs set run_at = now() - interval '1 hour'")

            let found = try await harness.administration.statistics()
            #expect(found.isExact && found.states == ["ready": 1, "failed": 2])
            #expect(found.queues.map(\.queue) == ["default", "security"])
            #expect(found.queues.last?.states == ["ready": 1])
            #expect(found.kinds.map(\.kind) == ["test.job", "test.protected"])
            let age = try #require(found.oldestReadySeconds)
            #expect(age >= 3600 && found.queues.last?.oldestReadySeconds == age)
            #expect(found.windows.map(\.seconds) == [60, 300, 900, 3600])
            let hour = try #require(found.windows.last)
            #expect(hour.succeeded == 3 && hour.failed == 2 && hour.cancelled == 1 && hour.perSecond > 0)
            let failure = try #require(found.failures.first)
            #expect(found.failures.count == 1 && failure.count == 2 && failure.errorCode == "alike")
            #expect(failure.lastJobId.value == max(first, second) && failure.message == "Newer.")
        }
    }
}
