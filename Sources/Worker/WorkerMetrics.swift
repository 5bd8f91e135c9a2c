import Jobs
import Shared

/// What a worker publishes beside the counters its parts keep themselves.
enum WorkerMetrics {
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
                    help: "Seconds since the claim loop last turned.", value: engine.sinceLastTurn.inSeconds),
                PrometheusSample(
                    "litemaas_worker_capacity_jobs", .gauge, help: "Jobs that this process may run at once.",
                    value: Double(engine.capacity)),
                PrometheusSample(
                    "litemaas_worker_draining", .gauge, help: "1 while the process takes no more jobs.",
                    value: engine.isDraining ? 1 : 0),
                PrometheusSample(
                    "litemaas_listener_proven", .gauge,
                    help: "1 while notifications are known to arrive; else the worker polls.",
                    value: engine.hearsNotifications ? 1 : 0),
            ]
        }
    }
}
