import Jobs
import Shared

/// What a worker publishes beside the counters its parts keep themselves.
enum WorkerMetrics {
    static let descriptions = [
        MetricDescription("litemaas_job_attempts_total", help: "Attempts that ended, by kind and outcome."),
        MetricDescription(
            "litemaas_job_duration_seconds", help: "How long attempts took, by kind.",
            buckets: PrometheusRegistry.longTimerBuckets),
        MetricDescription("litemaas_jobs_rescued_total", help: "Jobs taken back from workers that lost their lease."),
        MetricDescription("litemaas_job_stale_finishes_total", help: "Outcomes refused by the fence."),
        MetricDescription("litemaas_breaker_transitions_total", help: "Changes of a breaker's state made here."),
        MetricDescription("litemaas_worker_running_jobs", help: "Jobs that run in this process now."),
    ]

    static func install(in registry: PrometheusRegistry, engine: JobEngine, pools: [String: PostgresClient]) {
        registry.addCollector {
            pools.sorted { $0.key < $1.key }.flatMap { name, pool in
                let statistics = pool.statistics
                return [("active", statistics.active), ("idle", statistics.idle), ("waiting", statistics.waiting)].map {
                    PrometheusSample(
                        "litemaas_postgres_connections", .gauge, help: "Connections of a pool, and callers that wait.",
                        labels: [("pool", name), ("state", $0.0)], value: Double($0.1))
                }
            }
        }
        registry.addCollector { [weak engine] in
            guard let engine else { return [] }
            return [
                PrometheusSample(
                    "litemaas_worker_seconds_since_claim_turn", .gauge,
                    help: "Seconds since the claim loop last turned.", value: engine.sinceLastTurn.inSeconds)
            ]
        }
    }
}
