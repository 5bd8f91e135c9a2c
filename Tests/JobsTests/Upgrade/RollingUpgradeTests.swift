import Foundation
import Logging
import Shared
import TestSupport
import Testing

@testable import Jobs

/// The schema changes under workers that go on working.
@Suite("Rolling upgrade", .hangGuard)
struct RollingUpgradeTests {
    /// The migrations up to a version, and one more if given.
    private struct Folder {
        let url = FileManager.default.temporaryDirectory.appending(path: "upgrade-\(UUID().uuidString)")

        init(upTo version: Int = .max, adding sql: String? = nil) throws {
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            let files = try FileManager.default.contentsOfDirectory(atPath: TestDatabaseServer.migrations.path)
                .filter { $0.hasSuffix(".sql") && (Int($0.prefix(4)) ?? .max) <= version }
            for file in files {
                try FileManager.default.copyItem(
                    at: TestDatabaseServer.migrations.appending(path: file), to: url.appending(path: file))
            }
            if let sql {
                let name = String(format: "%04d_next.sql", files.count + 1)
                try sql.write(to: url.appending(path: name), atomically: true, encoding: .utf8)
            }
        }

        func remove() {
            do {
                try FileManager.default.removeItem(at: url)
            } catch {
                Issue.record("\(url.path) is left behind: \(error)")
            }
        }

        func migrate(_ client: PostgresClient) async throws {
            try await Migrator(client: client, directory: url, logger: EngineHarness.logger).up()
        }
    }

    @Test("workers of an earlier schema go on while all later migrations run, and then beside today's")
    func previousWorkers() async throws {
        try await withEmptyTestDatabase { database in
            let old = try Folder(upTo: PreviousWorker.schemaVersion)
            defer { old.remove() }
            try await old.migrate(database.client)
            try await database.client.query("insert into job_kinds (name) values ('test.noop')")
            let workers = (0..<3).map { _ in PreviousWorker(database.client) }
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in workers { group.addTask { await worker.run() } }
                #expect(try await eventually { workers.allSatisfy { $0.finished > 50 } })
                let new = try Folder()
                defer { new.remove() }
                try await new.migrate(database.client)
                let before = workers.map(\.finished)
                #expect(
                    try await eventually { zip(workers, before).allSatisfy { $0.finished > $1 + 50 } })
                let harness = try await EngineHarness(database)
                try await harness.running([harness.engine()]) {
                    let stage = Stage()
                    for number in 0..<20 {
                        let id = try await harness.enqueue(TestJob(stage, "\(number)", order: "previous-1"))
                        if number == 19 { try await harness.wait(for: id, .succeeded) }
                    }
                }
                group.cancelAll()
                try await group.waitForAll()
            }
            #expect(workers.flatMap(\.unexpected).isEmpty)
            let twice = try await database.client.query(
                "select id from job_history group by id having count(*) > 1")
            #expect(twice.isEmpty)
        }
    }

    @Test("today's workers go on while the next migration adds columns, indexes and a table")
    func nextMigration() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage { job, context in
                if job.label == "again", context.attempt == 1 { throw JobFailure.retryable(code: "x", message: "x") }
                if job.label == "failed" { throw JobFailure.permanent(code: "x", message: "x") }
            }
            let next = try Folder(
                adding: """
                    alter table jobs add column note text;
                    alter table job_history add column note text;
                    alter table job_dead_letters add column note text;
                    alter table job_attempts add column note text;
                    create index jobs_note on jobs (note) where note is not null;
                    create table job_notes (job_id bigint primary key, note text not null);
                    """)
            defer { next.remove() }
            try await harness.running([harness.engine(), harness.engine()]) {
                // All statements are prepared and have their plans before the columns come, and are used again after.
                try await work(harness, stage)
                async let during: Void = work(harness, stage)
                try await next.migrate(database.client)
                try await during
                try await work(harness, stage)
                try await harness.expectDrained()
            }
            #expect(try await harness.count("select count(*) from job_history where note is null") == 150)
            #expect(try await harness.count("select count(*) from job_dead_letters where note is null") == 30)
            #expect(try await harness.count("select count(*) from job_attempts where charged") == 60)
        }
    }

    private func work(_ harness: EngineHarness, _ stage: Stage) async throws {
        var last: Int64 = 0
        for number in 0..<10 {
            _ = try await harness.enqueue(TestJob(stage, "failed"))
            for label in ["again", "a", "b", "c"] {
                _ = try await harness.enqueue(TestJob(stage, label, order: "o\(number % 3)"))
            }
            last = try await harness.enqueue(TestJob(stage, "last", order: "o\(number % 3)"))
        }
        try await harness.wait(for: last, .succeeded)
    }
}
