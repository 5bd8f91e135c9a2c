import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// What goes wrong in one place keeps nobody else from working.
@Suite("No one blocks the others", .hangGuard)
struct StarvationTests {
    @Test("rescue does not depend on the kinds that the rescuer knows")
    func unknownKind() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let dead = try await harness.registerWorker(lease: .zero)
            try await harness.client.query("insert into job_kinds (name) values ('test.newer')")
            try await harness.client.query(
                """
                insert into jobs (queue_id, kind_id, max_attempts, attempt, token, state, worker_id, args)
                select q.id, k.id, 3, 1, 1, 1, \(dead), '{}' from job_queues q, job_kinds k
                where q.name = 'default' and k.name = 'test.newer'
                """)
            try await harness.engine().sweep()
            #expect(try await harness.count("select count(*) from jobs where state = 3 and errors = 1") == 1)
            #expect(try await harness.count("select count(*) from job_dead_letters") == 0)
        }
    }

    @Test("rows of a dead worker hold no permits of a class that recovers")
    func deadPermits() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            for number in 0..<3 { _ = try await harness.enqueue(UpstreamJob(stage: stage.name, label: "\(number)")) }
            try await harness.client.query(
                "update breakers set state = 3, concurrency = 1 where upstream = \(Upstream.litellmAdmin.code)")
            #expect(try await harness.claimAll().count == 1)
            #expect(try await harness.claimAll().isEmpty)
            try await harness.expireWorkers()
            _ = try await PostgresWorkerStore().markLost(in: harness.client)
            #expect(try await harness.claimAll().count == 1)
        }
    }

    @Test("rows at the end of their attempts at the head of the queue are dealt with and hold up nobody")
    func spentHead() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, _ in
                if job.label == "spent" { throw JobFailure.retryable(code: "x", message: "x") }
            }
            let spent = try await harness.enqueue(TestJob(stage, "spent"))
            let overflowing = try await harness.enqueue(
                ProtectedJob(stage: Stage().name, label: "overflowing"))
            try await harness.client.query(
                "update jobs set attempt = 3, errors = 3 where id = \(spent)")
            try await harness.client.query(
                "update jobs set attempt = 32767, errors = 32767 where id = \(overflowing)")
            let other = try await harness.enqueue(TestJob(stage, "other"))
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: spent, .failed)
                try await harness.wait(for: overflowing, .succeeded)
                try await harness.wait(for: other, .succeeded)
                // A person may try again even so.
                try await harness.queue.retry(id: spent)
                try await harness.wait(for: spent, .failed)
            }
        }
    }

    @Test("an open transaction that is about to hold an object delays neither due jobs nor the sweep of others")
    func openEnqueuer() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            var options = JobOptions()
            options.delay = .seconds(3600)
            var due: [Int64] = []
            for object in ["o", "p", "q"] {
                due.append(try await harness.enqueue(TestJob(stage, "due \(object)", order: object), options))
            }
            try await harness.client.query("update jobs set run_at = now() - interval '1 second'")
            try await harness.client.withTransaction { [due] transaction in
                _ = try await harness.queue.enqueue(TestJob(stage, "held", order: "o"), in: transaction)
                _ = try await harness.store.promoteDue(limit: 10, in: harness.client)
                #expect(try await harness.state(due[0]) == .blocked)
                #expect(try await harness.state(due[1]) == .ready)
                #expect(try await harness.state(due[2]) == .ready)
                _ = try await harness.store.sweepBlocked(limit: 10, in: harness.client)
                #expect(try await harness.state(due[0]) == .blocked)
            }
            let claimed = try await harness.claimAll()
            #expect(claimed.count == 3)
            _ = try await harness.finishUntilDone(claimed)
            #expect(try await harness.state(due[0]) == .ready)
        }
    }

    @Test("handlers that use up the domain's connections take none from claims, heartbeats and finishes")
    func poolsApart() async throws {
        try await withTestDatabase(configure: { $0.maxConnections = 2 }) { database in
            let harness = try await EngineHarness(database)
            let own = PostgresClient(settings: database.settings, logger: EngineHarness.logger)
            let engine = harness.engine(database: own)
            let gate = Gate()
            let hog = Stage { _, context in
                try await context.services.database.withConnection { _ in try await gate.pass() }
            }
            let free = Stage()
            // Looks past the domain's pool, which is what is used up.
            let looker = PostgresClient(settings: database.settings, logger: EngineHarness.logger)
            try await harness.running([engine]) {
                for number in 0..<4 { _ = try await harness.enqueue(TestJob(hog, "hog \(number)")) }
                #expect(try await eventually { database.client.statistics.idle == 0 && engine.running.count == 4 })
                try await looker.withTransaction { transaction in
                    _ = try await harness.queue.enqueue(TestJob(free, "free"), in: transaction)
                }
                #expect(try await eventually { free.events("end") == ["free"] })
                let before = try await looker.query("select max(beat_at) from job_workers").one(Date.self)
                #expect(
                    try await eventually {
                        try await looker.query("select max(beat_at) from job_workers").one(Date.self) > before
                    })
                gate.open()
                #expect(
                    try await eventually { try await looker.query("select count(*) from jobs").one(Int.self) == 0 })
            }
            await looker.close()
            await own.close()
        }
    }

    @Test("connections to a server that has become read-only are given up, and no job is lost")
    func demotedPrimary() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let name = database.name
            // A person who may write whatever the database's default is.
            var writing = database.settings
            writing.sessionSettings = ["default_transaction_read_only": "off"]
            let admin = PostgresClient(settings: writing, logger: EngineHarness.logger)
            try await harness.running([harness.engine()]) {
                try await harness.wait(for: try await harness.enqueue(TestJob(stage, "before")), .succeeded)
                // What a failover leaves a pool with: sessions that can only read.
                try await admin.query("alter database \(identifier: name) set default_transaction_read_only = on")
                try await admin.query(
                    """
                    select pg_terminate_backend(pid) from pg_stat_activity
                    where datname = current_database() and pid <> pg_backend_pid()
                    """)
                #expect(
                    try await eventually {
                        do {
                            _ = try await harness.enqueue(TestJob(stage, "refused"))
                            return false
                        } catch let error as PostgresError {
                            return error.sqlState == "25006"
                        }
                    })
                try await admin.query("alter database \(identifier: name) reset default_transaction_read_only")
                var id: Int64 = 0
                #expect(
                    try await eventually {
                        do {
                            id = try await harness.enqueue(TestJob(stage, "after"))
                            return true
                        } catch is PostgresError {
                            return false
                        }
                    })
                try await harness.wait(for: id, .succeeded)
                try await harness.expectDrained()
            }
            await admin.close()
        }
    }
}
