import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import Jobs

@Suite("The engine's metrics", .hangGuard)
struct EngineMetricsTests {
    @Test("what an engine does can be read from its metrics: attempts, delays, batches, rescues, gaps")
    func measuresItself() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let registry = PrometheusRegistry(descriptions: EngineMetrics.descriptions)
            let stage = Stage { job, context in
                if job.label == "again", context.attempt == 1 {
                    throw JobFailure.retryable(code: "test", message: "Again.")
                }
            }
            let lost = try await harness.enqueue(TestJob(stage, "lost"))
            _ = try await harness.claimAll(workerId: try await harness.registerWorker(lease: .zero))
            let again = try await harness.enqueue(TestJob(stage, "again"))
            try await harness.running([harness.engine(metrics: registry)]) {
                try await harness.wait(for: again, .succeeded)
                try await harness.wait(for: lost, .succeeded)
                // The connection that listens is cut, and made anew.
                #expect(
                    try await eventually {
                        try await harness.client.query(
                            """
                            select pg_terminate_backend(pid) from pg_stat_activity
                            where datname = current_database() and application_name like '%-listen'
                            """)
                        return (Exposition(registry.render())["litemaas_listener_gaps_total"] ?? 0) >= 1
                    })
            }
            let metrics = Exposition(registry.render())
            #expect(metrics[#"litemaas_job_attempts_total{kind="test.job",outcome="succeeded"}"#] == 2)
            #expect(metrics[#"litemaas_job_attempts_total{kind="test.job",outcome="retrying"}"#] == 1)
            #expect(metrics[#"litemaas_job_start_delay_seconds_count{queue="default"}"#] == 3)
            #expect(metrics[#"litemaas_jobs_rescued_total{cause="worker_lost"}"#] == 1)
            #expect(metrics["litemaas_job_claim_batch_jobs_sum"] == 3)
            #expect(metrics["litemaas_job_finish_batch_jobs_sum"] == 3)
            #expect(try #require(metrics["litemaas_job_claim_duration_seconds_count"]) >= 3)
        }
    }

    @Test("outcomes that the fence refuses are counted")
    func staleFinishes() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let registry = PrometheusRegistry()
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            let id = try await harness.enqueue(TestJob(stage, "slow"))
            try await harness.running([harness.engine(metrics: registry)]) {
                await gate.arrival()
                // Somebody else took it meanwhile.
                try await harness.client.query("update jobs set token = token + 1 where id = \(id)")
                gate.open()
                #expect(
                    try await eventually {
                        Exposition(registry.render())["litemaas_job_stale_finishes_total"] == 1
                    })
                try await harness.client.query("delete from jobs where id = \(id)")
            }
        }
    }

    @Test("an attempt charged while the upstream is out counts as burned, an uncharged one does not")
    func burned() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let registry = PrometheusRegistry()
            let gate = Gate()
            let stage = Stage { _, context in
                guard context.attempt == 1 else { return }
                // While it runs, its upstream is closed to calls; then it fails on its own account.
                try await gate.pass()
                throw JobFailure.retryable(code: "test", message: "Again.")
            }
            let id = try await harness.enqueue(UpstreamJob(stage: stage.name, label: "a"))
            let series = #"litemaas_job_attempts_burned_total{upstream="litellm.admin"}"#
            let engine = harness.engine(metrics: registry)
            try await harness.running([engine]) {
                await gate.arrival()
                _ = try await PostgresBreakerStore().force(
                    .litellmAdmin, open: true, reason: "test", by: "ann", in: harness.client)
                try #require(try await eventually { engine.breaker.refusal(.litellmAdmin, isProbe: false) != nil })
                gate.open()
                #expect(try await eventually { Exposition(registry.render())[series] == 1 })
                _ = try await PostgresBreakerStore().force(
                    .litellmAdmin, open: nil, reason: nil, by: "ann", in: harness.client)
                try await harness.wait(for: id, .succeeded)
            }
            #expect(Exposition(registry.render())[series] == 1)
        }
    }

    @Test("a breaker's change is counted by the process that made it, under its new state")
    func transitions() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let registry = PrometheusRegistry()
            try await harness.client.query("update breakers set state = 1, retry_at = now() where upstream = 1")
            let service = BreakerService(
                database: harness.client, worker: UUID(), policy: BreakerPolicy(), probeLimit: .seconds(30),
                metrics: EngineMetrics(factory: PrometheusMetricsFactory(registry)), logger: EngineHarness.logger,
                reopened: {})
            #expect(try await service.tick() == [.litellmAdmin])
            let metrics = Exposition(registry.render())
            #expect(metrics[#"litemaas_breaker_transitions_total{to="half_open",upstream="litellm.admin"}"#] == 1)
        }
    }
}

/// Prometheus's text format, read back: the values by series.
struct Exposition {
    private let values: [String: Double]

    init(_ text: String) {
        values = text.split(separator: "\n").filter { !$0.hasPrefix("#") }.reduce(into: [:]) { values, line in
            guard let space = line.lastIndex(of: " ") else { return }
            values[String(line[..<space])] = Double(line[line.index(after: space)...])
        }
    }

    subscript(_ series: String) -> Double? { values[series] }

    /// The names of all series, without labels.
    var names: Set<String> { Set(values.keys.map { String($0.prefix { $0 != "{" }) }) }
}
