import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("The fleet's metrics", .needsDatabase, .hangGuard)
struct FleetMetricsTests {
    private func metrics(
        _ harness: EngineHarness, worker: Int32?
    ) -> (fleet: FleetMetrics, registry: PrometheusRegistry) {
        let registry = PrometheusRegistry()
        let isWorker = worker != nil
        let id: @Sendable () -> Int32 = { worker ?? 0 }
        let fleet = FleetMetrics(
            database: harness.client, workerId: isWorker ? id : nil, logger: EngineHarness.logger)
        fleet.install(in: registry)
        return (fleet, registry)
    }

    @Test("backlogs, dead letters, breakers, workers and tables are as the database has them")
    func sample() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let worker = try await harness.registerWorker(lease: .seconds(60))
            _ = try await harness.enqueue(TestJob(stage, "runs", order: "o"))
            _ = try await harness.claimAll(workerId: worker)
            _ = try await harness.enqueue(TestJob(stage, "behind", order: "o"))
            var later = JobOptions()
            later.delay = .seconds(3600)
            _ = try await harness.enqueue(TestJob(stage, "later"), later)
            _ = try await harness.enqueue(ProtectedJob(stage: stage.name, label: "revoke"))
            for label in ["a", "b"] { _ = try await harness.enqueue(TestJob(stage, label)) }
            try await harness.client.query(
                "update jobs set run_at = now() - interval '90 s', created_at = now() - interval '90 s' where state = 0"
            )
            try await harness.client.query("update job_queues set paused_at = now() where name = 'usage'")
            try await harness.client.query(
                "update breakers set state = 1, opened_at = now() - interval '5 min' where name = 'litellm.admin'")
            try await harness.client.query(
                """
                insert into job_dead_letters (
                    id, finished_at, created_at, run_at, token, queue_id, kind_id, upstream, priority, outcome, attempt,
                    max_attempts, errors, args)
                select 1000000 + n, now(), now(), now(), 1, 1, (select id from job_kinds where name = 'test.job'), 0, 0,
                    11, 1, 1, 1, '{}' from generate_series(1, 3) as n
                """)

            let (fleet, registry) = metrics(harness, worker: worker)
            #expect(try await fleet.sampleOnce())
            let values = Exposition(registry.render())
            #expect(values[#"litemaas_alerts{severity="critical",type="breaker_open"}"#] == 1)
            #expect(values[#"litemaas_alerts{severity="warning",type="dead_letters"}"#] == 3)
            #expect(values[#"litemaas_alerts{severity="critical",type="no_worker"}"#] == nil)
            #expect(values[#"litemaas_jobs{state="running"}"#] == 1)
            #expect(values[#"litemaas_jobs{state="blocked"}"#] == 1)
            #expect(values[#"litemaas_jobs{state="due_later"}"#] == 1)
            #expect(values[#"litemaas_jobs{state="ready"}"#] == 3)
            #expect(values[#"litemaas_jobs_ready{queue="default"}"#] == 2)
            #expect(values[#"litemaas_jobs_ready{queue="security"}"#] == 1)
            #expect(try #require(values[#"litemaas_jobs_oldest_ready_seconds{queue="default"}"#]) >= 90)
            #expect(values[#"litemaas_jobs_oldest_ready_seconds{queue="usage"}"#] == 0)
            #expect(values[#"litemaas_queue_paused{queue="usage"}"#] == 1)
            #expect(values[#"litemaas_queue_paused{queue="default"}"#] == 0)
            #expect(values[#"litemaas_dead_letters{kind="test.job"}"#] == 3)
            #expect(values[#"litemaas_workers{state="active"}"#] == 1)
            #expect(values[#"litemaas_workers{state="lost"}"#] == 0)
            #expect(values[#"litemaas_breaker_state{state="open",upstream="litellm.admin"}"#] == 1)
            #expect(values[#"litemaas_breaker_state{state="closed",upstream="litellm.admin"}"#] == 0)
            #expect(try #require(values[#"litemaas_breaker_open_seconds{upstream="litellm.admin"}"#]) >= 300)
            #expect(values[#"litemaas_breaker_open_seconds{upstream="litellm.usage"}"#] == 0)
            #expect(try #require(values[#"litemaas_partitions_ahead_days{table="job_history"}"#]) > 1)
            #expect(values[#"litemaas_partition_strays{table="job_attempts"}"#] == 0)
            #expect(try #require(values[#"litemaas_postgres_table_indexes{table="jobs"}"#]) >= 5)
            #expect(try #require(values["litemaas_postgres_wal_bytes_total"]) > 0)
            #expect(try #require(values["litemaas_postgres_commits_total"]) > 0)
            #expect(values["litemaas_fleet_sampler"] == 1)
            // One machine, one clock: what is left is the way there and back.
            #expect(abs(try #require(values["litemaas_postgres_clock_offset_seconds"])) < 5)
        }
    }

    @Test("the oldest active worker samples; without any, other processes do")
    func oneSampler() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let first = metrics(harness, worker: try await harness.registerWorker(lease: .seconds(60)))
            let second = metrics(harness, worker: try await harness.registerWorker(lease: .seconds(60)))
            let api = metrics(harness, worker: nil)
            #expect(try await first.fleet.sampleOnce())
            #expect(try await !second.fleet.sampleOnce())
            #expect(try await !api.fleet.sampleOnce())
            // What is its own each process publishes.
            let own: Set = ["litemaas_fleet_sampler", "litemaas_postgres_clock_offset_seconds"]
            #expect(Exposition(second.registry.render()).names == own)

            try await harness.client.query("update job_workers set lease_until = now() - interval '1 s' where id = 1")
            #expect(try await !first.fleet.sampleOnce())
            #expect(Exposition(first.registry.render()).names == own)
            #expect(try await second.fleet.sampleOnce())

            try await harness.client.query("update job_workers set state = 3")
            #expect(try await api.fleet.sampleOnce())
            #expect(Exposition(api.registry.render())[#"litemaas_workers{state="active"}"#] == 0)
        }
    }

    @Test("a snapshot that is held open shows as such")
    func heldSnapshot() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let api = metrics(harness, worker: nil)
            try await harness.client.withTransaction(isolation: .repeatableRead) { transaction in
                try await transaction.query("select count(*) from jobs")
                for _ in 0..<3 { try await harness.client.query("update job_queues set pause_reason = null") }
                try await api.fleet.sampleOnce()
            }
            let values = Exposition(api.registry.render())
            #expect(try #require(values["litemaas_postgres_oldest_xmin_age_transactions"]) >= 3)
            #expect(try #require(values["litemaas_postgres_longest_transaction_seconds"]) > 0)
        }
    }
}
