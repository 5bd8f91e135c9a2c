import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("jobs.retention", .hangGuard)
struct JobsRetentionTests {
    @Test("forgets what is past its time and nothing else, also from the default partition")
    func forgets() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(
                database, catalog: JobCatalog([JobsRetention.self, NoOpJob.self]))
            try await harness.client.query("select job_partitions_ensure((now() - interval '20 days')::date, 3)")
            for (table, days) in [
                ("job_history", 2), ("job_history", 18), ("job_history", 200), ("job_dead_letters", 2),
                ("job_dead_letters", 40), ("job_attempts", 2), ("job_attempts", 200),
            ] {
                try await Self.insert(table, daysAgo: days, in: harness.client)
            }
            let retention = JobsRetention(historyDays: 10, deadLetterDays: 30, tickDays: 30)
            #expect(retention.attemptDays == 30)
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(retention)
                let job = try await harness.wait(for: id, .succeeded)
                #expect(job.result?["deadLetters"] == 1)
                #expect(job.result?["historyPartitions"] == 3)
            }
            // The two-day-old one and the retention job itself.
            #expect(try await harness.count("select count(*) from job_history") == 2)
            #expect(try await harness.count("select count(*) from job_dead_letters") == 1)
            #expect(try await harness.count("select count(*) from job_attempts") == 1)
        }
    }

    @Test("a period that cannot be meant ends the job at once")
    func refuses() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(
                database, catalog: JobCatalog([JobsRetention.self, NoOpJob.self]))
            try await harness.running([harness.engine()]) {
                let id = try await harness.enqueue(JobsRetention(historyDays: 0, deadLetterDays: 1, tickDays: 1))
                #expect(try await harness.wait(for: id, .failed).error?.code == "invalid_retention")
            }
        }
    }

    private static func insert(_ table: String, daysAgo: Int, in client: PostgresClient) async throws {
        switch table {
        case "job_attempts":
            try await client.query(
                """
                insert into job_attempts (job_id, attempt, ended_at, class, code, message, charged)
                values (1, 1, now() - \(daysAgo) * interval '1 day', 'retryable', 'x', 'x', true)
                """)
        default:
            let name: PostgresFragment = table == "job_history" ? "job_history" : "job_dead_letters"
            try await client.query(
                """
                insert into \(name) (id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority,
                    outcome, attempt, max_attempts, errors, args)
                values (\(Int64(1000 + daysAgo)), now() - \(daysAgo) * interval '1 day', now(), now(), 1, 1, 1, 0, 0,
                    11, 1, 1, 1, '{}')
                """)
        }
    }
}
