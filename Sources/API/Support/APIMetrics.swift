import Jobs
import Shared

/// What the API publishes beside the counters its parts keep themselves.
enum APIMetrics {
    /// Adds the state of the pool and of the requests that wait for jobs.
    static func install(in registry: PrometheusRegistry, database: PostgresClient, waiters: JobWaiters) {
        registry.addCollector {
            let statistics = database.statistics
            let states = [
                ("active", statistics.active), ("idle", statistics.idle), ("waiting", statistics.waiting),
            ]
            return states.map { state, count in
                PrometheusSample(
                    "litemaas_postgres_connections", .gauge, help: "Connections of a pool, and callers that wait.",
                    labels: [("pool", "domain"), ("state", state)], value: Double(count))
            } + [
                PrometheusSample(
                    "litemaas_postgres_leases_total", .counter, help: "Connections lent.", labels: [("pool", "domain")],
                    value: Double(statistics.leases)),
                PrometheusSample(
                    "litemaas_postgres_lease_wait_seconds_total", .counter, help: "Time spent waiting for connections.",
                    labels: [("pool", "domain")], value: statistics.waitTime.inSeconds),
                PrometheusSample(
                    "litemaas_postgres_lease_refusals_total", .counter, help: "Callers that got no connection.",
                    labels: [("pool", "domain")], value: Double(statistics.refusals)),
                PrometheusSample(
                    "litemaas_api_job_waiters", .gauge, help: "Requests that wait for a job to end.",
                    value: Double(waiters.count)),
            ]
        }
    }
}
