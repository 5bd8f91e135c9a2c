import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// EXPLAIN of every statement that runs all the time, beside large numbers of rows that it has no business with.
@Suite("Plans on large tables", .serialized, .hangGuard)
struct PlanTests {
    /// Pages of looking for the rows of one claim besides the rows themselves, whatever else is in the table.
    static let claimSearchLimit = 30

    private struct Case: Sendable {
        var name: String
        /// Pages that all its statements may read, to look for rows and to change a few dozens of them.
        var buffers: Int
        var run: @Sendable (PlanScene, Explainer) async throws -> Void

        init(
            _ name: String, buffers: Int, _ run: @escaping @Sendable (PlanScene, Explainer) async throws -> Void
        ) {
            self.name = name
            self.buffers = buffers
            self.run = run
        }
    }

    @Test("no hot statement reads a large table from end to end, or more pages than its own rows need")
    func hotStatements() async throws {
        try await withTestDatabase(configure: { $0.statementTimeout = .seconds(120) }) { database in
            let scene = try await PlanScene(try await EngineHarness(database))
            try await scene.fill()
            try await scene.addWork()
            try await scene.harness.client.maintain("vacuum analyze jobs", timeout: .seconds(60))
            for mode in PlanMode.allCases {
                for group in [Self.claims, Self.ends, Self.care, Self.enqueues, Self.reads] {
                    // A connection's first call of a function reads the catalogue: not the statement's own pages.
                    if let first = group.first {
                        _ = try await scene.explain(mode) { try await first.run(scene, $0) }
                    }
                    // What the cases before took back is not to be counted. Of itself the server leaves a few entries of
                    // a large table in its indexes.
                    try await scene.harness.client.maintain(
                        "vacuum (index_cleanup on) jobs", timeout: .seconds(60))
                    for item in group { try await check(item, mode, scene) }
                }
            }
        }
    }

    private func check(_ item: Case, _ mode: PlanMode, _ scene: PlanScene) async throws {
        let (plans, scanned) = try await scene.explain(mode) { try await item.run(scene, $0) }
        #expect(scanned.isEmpty, "\(item.name), \(mode): reads all of \(scanned.sorted())")
        let buffers = plans.map(\.buffers).reduce(0, +)
        #expect(buffers <= item.buffers, "\(item.name), \(mode): reads \(buffers) pages")
        guard item.name.hasPrefix("claim of"), let claim = plans.first else { return }
        // Each row is found, locked and read again.
        let limit = Self.claimSearchLimit + 3 * claim.rows
        #expect(claim.searchBuffers < limit, "\(item.name), \(mode): looks at \(claim.searchBuffers) pages")
    }

    @Test("a claim takes no more than its limit under any join method")
    func claimLimit() async throws {
        try await withTestDatabase { database in
            let scene = try await PlanScene(try await EngineHarness(database))
            try await scene.addWork()
            let methods = [
                "enable_nestloop", "enable_hashjoin", "enable_mergejoin", "enable_indexscan", "enable_tidscan",
            ]
            for mode in PlanMode.allCases {
                for method in methods {
                    _ = try await scene.explain(mode) { explainer in
                        try await explainer.query("select set_config(\(method), 'off', true)")
                        for limit in [1, 7, 20] {
                            let rows = try await explainer.query(Self.claim(scene, nil, limit: limit))
                            #expect(rows.count == limit, "\(mode) without \(method)")
                        }
                    }
                }
            }
        }
    }

    @Test("dead and paused rows are not in the way of a claim: a paused queue's rows are not even looked at")
    func pausedQueue() async throws {
        try await withTestDatabase { database in
            let scene = try await PlanScene(try await EngineHarness(database))
            try await scene.addWork()
            try await scene.harness.client.query("update job_queues set paused_at = now() where name = 'default'")
            let (plans, _) = try await scene.explain(.engine) { explainer in
                let rows = try await explainer.query(Self.claim(scene, nil, limit: 20))
                #expect(rows.isEmpty)
            }
            #expect(plans.map(\.buffers).reduce(0, +) < 10)
        }
    }

    @Test("statistics of a moment at which the table held only dead entries let no end of a job read all of it")
    func quietMoment() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let scene = try await PlanScene(harness)
            try await harness.client.withConnection { reader in
                // An old transaction: what goes now stays in the table and its indexes.
                try await reader.query("begin isolation level repeatable read")
                try await reader.query("select 1 from jobs limit 1")
                for _ in 0..<5 {
                    let jobs = (0..<2000).map { _ in NoOpJob() }
                    try await harness.client.withTransaction { _ = try await harness.queue.enqueueMany(jobs, in: $0) }
                }
                try await harness.client.query("delete from jobs")
                try await scene.addWork()
                try await harness.client.maintain("vacuum analyze jobs", timeout: .seconds(60))
                let (plans, _) = try await scene.explain(.engine) { explainer in
                    let jobs = try await Self.claimed(scene, explainer)
                    let store = harness.store
                    _ = try await store.stillOwned(jobs.map(\.attemptId), in: explainer)
                    #expect(
                        try await store.finishPlain(Self.finished(Array(jobs[..<20])), in: explainer).done.count == 20)
                    #expect(
                        try await store.finishOrdered(Self.finished(Array(jobs[20..<40])), in: explainer).done.count
                            == 20)
                    #expect(try await store.putBack(Self.again(Array(jobs[40...])), in: explainer).done.count == 20)
                }
                for plan in plans {
                    let walked = plan.nodes.filter { $0.index == "jobs_pkey" && !$0.isLookup }
                    #expect(walked.isEmpty, "\(plan.sql.prefix(60)) walks all of the table's primary key")
                }
                try await reader.query("rollback")
            }
        }
    }

    // MARK: The statements

    private static func claim(_ scene: PlanScene, _ upstream: Upstream?, limit: Int) throws -> PostgresQuery {
        scene.harness.store.claimQuery(
            lane: try scene.lane(upstream), limit: limit, workerId: scene.worker, after: .start, kinds: nil)
    }

    private static let claims = [
        Case("claim of 20", buffers: 900) { (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query(claim(scene, nil, limit: 20))
            #expect(rows.count == 20)
        },
        Case("claim of one", buffers: 120) { (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query(claim(scene, nil, limit: 1))
            #expect(rows.count == 1)
        },
        Case("claim behind an open breaker", buffers: 20) { (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query(claim(scene, .litellmUsage, limit: 100))
            #expect(rows.isEmpty)
        },
        Case("claim of a class without jobs", buffers: 20) { (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query(claim(scene, .litellmAdmin, limit: 100))
            #expect(rows.isEmpty)
        },
    ]

    private static func claimed(_ scene: PlanScene, _ explainer: Explainer) async throws -> [ClaimedJob] {
        try await explainer.query(claim(scene, nil, limit: 60)).map(scene.harness.store.claimed)
    }

    private static func finished(_ jobs: [ClaimedJob]) -> [FinishedJob] {
        jobs.map { FinishedJob(id: $0.id, token: $0.token, orderKey: $0.orderKey, result: nil) }
    }

    private static func again(_ jobs: [ClaimedJob]) -> [AgainJob] {
        jobs.map { job in
            AgainJob(
                id: job.id, token: job.token, orderKey: job.orderKey, delay: .seconds(5), charged: true,
                error: JobErrorInfo(errorClass: .retryable, code: "x", message: "x"))
        }
    }

    private static let ends = [
        Case("claim and finish of 60", buffers: 6000) { (scene: PlanScene, explainer: Explainer) async throws in
            let jobs = try await claimed(scene, explainer)
            let result = try await scene.harness.store.finishPlain(finished(jobs), in: explainer)
            #expect(result.done.count == 60)
        },
        Case("claim and ordered finish of 60", buffers: 8000) { (scene: PlanScene, explainer: Explainer) async throws in
            let jobs = try await claimed(scene, explainer)
            let result = try await scene.harness.store.finishOrdered(finished(jobs), in: explainer)
            #expect(result.done.count == 60)
        },
        Case("claim and put back of 60", buffers: 9000) { (scene: PlanScene, explainer: Explainer) async throws in
            let jobs = try await claimed(scene, explainer)
            let result = try await scene.harness.store.putBack(again(jobs), in: explainer)
            #expect(result.done.count == 60)
            #expect(try await scene.harness.store.stillOwned(jobs.map(\.attemptId), in: explainer).isEmpty)
        },
        Case("end of one without success", buffers: 500) { (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query("select id from jobs where order_key = 'work-3' and state = 0")
            let store = scene.harness.store
            let job = try #require(try await store.lock(jobId: try rows.one(Int64.self), in: explainer))
            #expect(try await store.dependents(of: job.id, in: explainer).isEmpty)
            try await store.moveOut(
                job, as: .failed, error: .cancelled(by: "ann"), by: "ann", attempted: true, in: explainer)
            #expect(try await store.handOverObject("work-3", in: explainer).count == 1)
        },
    ]

    private static let care = [
        Case("promotion of due jobs", buffers: 1500) { (scene: PlanScene, explainer: Explainer) async throws in
            try await explainer.query(
                """
                update jobs set run_at = now() where id in (
                    select id from jobs where state in (2, 3) order by run_at limit 20)
                """)
            let promotion = try await scene.harness.store.promoteDue(limit: 1000, in: explainer)
            #expect(promotion.count == 20)
        },
        Case("heartbeat", buffers: 60) { (scene: PlanScene, explainer: Explainer) async throws in
            let workers = PostgresWorkerStore()
            let rows = try await explainer.pipeline([
                workers.beat(workerId: scene.idle, lease: .seconds(45), limits: [:]),
                scene.harness.store.cancelRequests(workerId: scene.idle),
            ])
            #expect(rows[0].count == 1)
            #expect(try await scene.harness.store.heldJobs(workerId: scene.idle, in: explainer).isEmpty)
        },
        Case("rescue, when there is nothing to do", buffers: 100) {
            (scene: PlanScene, explainer: Explainer) async throws in
            _ = try await PostgresWorkerStore().markLost(in: explainer)
            #expect(try await scene.harness.store.orphans(after: 0, limit: 500, in: explainer).isEmpty)
        },
        Case("rescue of a few", buffers: 1500) { (scene: PlanScene, explainer: Explainer) async throws in
            _ = try await claimed(scene, explainer)
            try await explainer.query("update job_workers set state = 2 where id = \(scene.worker)")
            #expect(try await scene.harness.store.orphans(after: 0, limit: 50, in: explainer).count == 50)
        },
        Case("late cancellations", buffers: 20) { (scene: PlanScene, explainer: Explainer) async throws in
            #expect(try await scene.harness.store.waitingCancelRequests(limit: 1000, in: explainer).isEmpty)
        },
        Case("unmet dependencies", buffers: 20) { (scene: PlanScene, explainer: Explainer) async throws in
            #expect(try await scene.harness.store.sweepDependents(limit: 1000, in: explainer).failed.isEmpty)
        },
    ]

    private static let enqueues = [
        Case("enqueue that finds its unique key", buffers: 100) {
            (scene: PlanScene, explainer: Explainer) async throws in
            let job = try await enqueue(scene, TestJob(Stage(), "u", unique: "unique-3"), JobOptions(), explainer)
            #expect(job.coalesced)
        },
        Case("enqueue behind an object's holder", buffers: 150) {
            (scene: PlanScene, explainer: Explainer) async throws in
            let job = try await enqueue(scene, TestJob(Stage(), "o", order: "work-3"), JobOptions(), explainer)
            #expect(job.state == .blocked)
        },
        Case("enqueue that waits for another job", buffers: 250) {
            (scene: PlanScene, explainer: Explainer) async throws in
            var options = JobOptions()
            options.dependsOn = [
                try await explainer.query("select id from jobs where order_key = 'work-3' and state = 0").one(
                    Int64.self)
            ]
            _ = try await enqueue(scene, TestJob(Stage(), "d", order: "work-new"), options, explainer)
        },
        Case("enqueue that puts its object's jobs aside", buffers: 300) {
            (scene: PlanScene, explainer: Explainer) async throws in
            var options = JobOptions()
            options.supersedes = true
            let job = try await enqueue(scene, TestJob(Stage(), "s", order: "work-3"), options, explainer)
            #expect(job.superseded.count == 2)
        },
    ]

    private static func enqueue(
        _ scene: PlanScene, _ job: TestJob, _ options: JobOptions, _ explainer: Explainer
    ) async throws -> EnqueuedJob {
        let handler = try #require(scene.harness.queue.catalog.handlers[TestJob.name])
        let args = String(decoding: try JSON.encoder.encode(job), as: UTF8.self)
        return try await scene.harness.store.enqueue(
            .init(
                handler: handler, args: args, uniqueKey: job.uniqueKey, orderKey: job.orderKey, priority: 0,
                options: options), in: explainer)
    }

    private static let reads = [
        Case("a live job with the reason why it waits", buffers: 150) {
            (scene: PlanScene, explainer: Explainer) async throws in
            let rows = try await explainer.query("select id from jobs where order_key = 'work-3' and state = 4")
            let job = try await scene.harness.queue.job(id: try rows.one(Int64.self), in: explainer)
            #expect(job?.waiting?.code == .behindJob)
        },
        Case("an ended job", buffers: 150) { (scene: PlanScene, explainer: Explainer) async throws in
            #expect(try await scene.harness.queue.job(id: -50, in: explainer)?.state == .succeeded)
            #expect(try await scene.harness.queue.job(id: -10_000_050, in: explainer)?.state == .failed)
        },
        Case("a person's newest jobs", buffers: 600) { (scene: PlanScene, explainer: Explainer) async throws in
            var filter = JobFilter()
            filter.requesterId = "user-7"
            #expect(try await scene.harness.store.list(filter, in: explainer).count == 20)
        },
        Case("the newest jobs of all", buffers: 600) { (scene: PlanScene, explainer: Explainer) async throws in
            #expect(try await scene.harness.store.list(JobFilter(), in: explainer).count == 20)
        },
        Case("a dead letter brought back", buffers: 300) { (scene: PlanScene, explainer: Explainer) async throws in
            let id: Int64 = -10_000_050
            #expect(try await scene.harness.store.lockDeadLetter(jobId: id, in: explainer) != nil)
            #expect(try await scene.harness.store.revive(jobId: id, in: explainer) != nil)
        },
    ]
}
