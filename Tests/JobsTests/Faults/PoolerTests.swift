import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// The engine behind PgBouncer in transaction mode: no statement may count on the session of the one before.
@Suite("Through a pooler", .needsDatabase, .hangGuard)
struct PoolerTests {
    private func withPooler(
        _ body: @Sendable (EngineHarness, JobEngine, PgBouncer) async throws -> Void
    ) async throws {
        let pooler = try await PgBouncer.start(mode: .transaction)
        let outcome: Result<Void, any Error>
        do {
            try await withTestDatabase { database in
                let harness = try await EngineHarness(database)
                var settings = database.settings
                settings.url = pooler.url(for: database)
                settings.directURL = database.url
                settings.poolMode = .transaction
                settings.sessionSettings = JobEngine.plannerSettings
                settings.statementTimeout = .seconds(2)
                settings.leaseTimeout = .seconds(2)
                settings.connectTimeout = .seconds(2)
                let client = PostgresClient(settings: settings, logger: EngineHarness.logger)
                try await body(harness, harness.engine(database: client), pooler)
                await client.close()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await pooler.stop()
        try outcome.get()
    }

    @Test("everything works in transaction mode: order, retries, cancellation, rescue")
    func transactionMode() async throws {
        try await withPooler { harness, engine, _ in
            let gate = Gate()
            let stage = Stage { job, context in
                switch job.label {
                case "retry" where context.attempt < 3: throw JobFailure.retryable(code: "x", message: "x")
                case "fail": throw JobFailure.permanent(code: "x", message: "x")
                case "stop": try await gate.pass()
                default: return
                }
            }
            let dead = try await harness.registerWorker(lease: .zero)
            let rescued = try await harness.enqueue(TestJob(stage, "rescued"))
            #expect(try await harness.claimAll(workerId: dead).map(\.id) == [rescued])
            try await harness.running([engine]) {
                var ids: [Int64] = []
                for number in 0..<20 { ids.append(try await harness.enqueue(TestJob(stage, "\(number)", order: "o"))) }
                let retried = try await harness.enqueue(TestJob(stage, "retry"))
                let failed = try await harness.enqueue(TestJob(stage, "fail", order: "f"))
                let stopped = try await harness.enqueue(TestJob(stage, "stop"))
                await gate.arrival()
                try await harness.queue.cancel(id: stopped, by: "ann")
                for id in ids + [retried, rescued] { try await harness.wait(for: id, .succeeded) }
                try await harness.wait(for: failed, .failed)
                try await harness.wait(for: stopped, .cancelled)
            }
            #expect(stage.events("start").filter { Int($0) != nil } == (0..<20).map(String.init))
        }
    }

    @Test("a connection that answers nothing any more is given up, and the work goes on elsewhere")
    func stalledConnections() async throws {
        try await withPooler { harness, engine, pooler in
            let stage = Stage()
            try await harness.running([engine]) {
                try await harness.wait(for: try await harness.enqueue(TestJob(stage, "before")), .succeeded)
                // Its sockets stay open and say nothing, as those of a machine that lost its power.
                pooler.suspend()
                // What it passed on before is through.
                let isQuiet = try await eventually {
                    try await harness.count(
                        """
                        select count(*) from pg_stat_activity
                        where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
                        """) == 0
                }
                #expect(isQuiet)
                let during = try await harness.enqueue(TestJob(stage, "during"))
                #expect(try await harness.state(during) == .ready)
                pooler.resume()
                try await harness.wait(for: during, .succeeded)
            }
        }
    }

    @Test("a worker whose database answers nothing can still be stopped")
    func stopsWhileStalled() async throws {
        try await withPooler { harness, engine, pooler in
            let stage = Stage()
            try await harness.running([engine]) {
                try await harness.wait(for: try await harness.enqueue(TestJob(stage, "a")), .succeeded)
                pooler.suspend()
            }
            // It has returned, although it could not sign off.
            #expect(try await harness.count("select count(*) from job_workers where state in (0, 1)") == 1)
            pooler.resume()
        }
    }
}
