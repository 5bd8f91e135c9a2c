import Foundation
package import Logging
import ServiceLifecycle
package import Shared
import Synchronization

/// Gauges of the whole installation, which only the database knows: backlogs, workers, breakers, dead tuples, and
/// what holds vacuum back.
///
/// One process at a time takes the samples: the active worker that started first, or, when no worker is alive, every
/// API. They are kept and published until the next one; one that is too old is not published at all, because an old
/// number would look like a calm system.
package final class FleetMetrics: Service {
    private struct State {
        var sample: FleetSample?
        var takenAt: ContinuousClock.Instant?
        var clockOffset: Double?
    }

    private let database: PostgresClient
    private let workerId: (@Sendable () -> Int32)?
    private let heardClock: @Sendable (Double) -> Void
    private let interval: Duration
    private let logger: Logger
    private let store = PostgresFleetStore()
    private let state = Mutex(State())

    /// - Parameters:
    ///   - workerId: the row of this process's worker; nil in processes that are none.
    ///   - interval: the time between two samples.
    ///   - heardClock: hears how many seconds the database's clock is ahead of this machine's.
    package init(
        database: PostgresClient, workerId: (@Sendable () -> Int32)?, interval: Duration = .seconds(15), logger: Logger,
        heardClock: @escaping @Sendable (Double) -> Void = { _ in }
    ) {
        self.heardClock = heardClock
        self.database = database
        self.workerId = workerId
        self.interval = interval
        self.logger = logger
    }

    /// Publishes the samples in `registry`.
    package func install(in registry: PrometheusRegistry) {
        registry.addCollector { [weak self] in self?.published() ?? [] }
    }

    /// Takes samples until shutdown. One that fails is logged, and the next one tried.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                do {
                    try await self.sampleOnce()
                } catch {
                    if Task.isCancelled { return }
                    self.logger.warning(
                        "the fleet's metrics could not be sampled", metadata: ["error": "\(error)"])
                }
                await WakeSignal().wait(atMost: self.interval * (0.9 + 0.2 * Double.random(in: 0..<1)))
            }
        }
    }

    /// Takes one sample if it is this process's turn. Returns whether it was.
    @discardableResult
    package func sampleOnce() async throws -> Bool {
        let sentAt = ContinuousClock.now
        let (sampler, now) = try await store.sampler(in: database)
        if let now {
            // The answer was written about half way between the two moments.
            let middle = Date(timeIntervalSinceNow: -(ContinuousClock.now - sentAt).inSeconds / 2)
            let offset = now.timeIntervalSince(middle)
            state.withLock { $0.clockOffset = offset }
            heardClock(offset)
        }
        // A worker leads by its row; other processes step in only while there is none.
        guard workerId.map({ $0() == sampler }) ?? (sampler == nil) else {
            state.withLock { state in
                state.sample = nil
                state.takenAt = nil
            }
            return false
        }
        var sample = try await store.sample(in: database)
        sample.alerts = try await Alerts().ofSystem(in: database)
        let taken = sample
        state.withLock { state in
            state.sample = taken
            state.takenAt = .now
        }
        return true
    }

    private func published() -> [PrometheusSample] {
        let (sample, takenAt, clockOffset) = state.withLock { ($0.sample, $0.takenAt, $0.clockOffset) }
        var own = [
            PrometheusSample(
                "litemaas_fleet_sampler", .gauge, help: "1 in the process that samples the fleet's metrics.",
                value: sample == nil ? 0 : 1)
        ]
        if let clockOffset {
            own.append(
                PrometheusSample(
                    "litemaas_postgres_clock_offset_seconds", .gauge,
                    help: "The database's clock minus this machine's.", value: clockOffset))
        }
        guard let sample, let takenAt, .now - takenAt < interval * 4 else { return own }
        return own + [age(takenAt)] + jobs(sample) + fleet(sample) + tables(sample) + server(sample)
            + alerts(sample)
    }

    private func alerts(_ sample: FleetSample) -> [PrometheusSample] {
        Alert.Sort.allCases.flatMap { sort in
            Alert.Severity.allCases.compactMap { severity in
                let found = sample.alerts.filter { $0.type == sort && $0.severity == severity }
                return found.isEmpty
                    ? nil
                    : PrometheusSample(
                        "litemaas_alerts", .gauge, help: "What GET /api/v1/integration/alerts tells, but for budgets.",
                        labels: [("type", sort.rawValue), ("severity", severity.rawValue)],
                        value: Double(found.reduce(0) { $0 + $1.count }))
            }
        }
    }

    private func age(_ takenAt: ContinuousClock.Instant) -> PrometheusSample {
        PrometheusSample(
            "litemaas_fleet_sample_age_seconds", .gauge, help: "How old the fleet's metrics are.",
            value: (ContinuousClock.now - takenAt).inSeconds)
    }

    private func jobs(_ sample: FleetSample) -> [PrometheusSample] {
        let states = [
            ("running", sample.running), ("due_later", sample.dueLater), ("blocked", sample.blocked),
            ("waiting_for_jobs", sample.waitingForJobs), ("parked", sample.parked),
            ("ready", sample.queues.reduce(0) { $0 + $1.ready }),
        ]
        return states.map { state, count in
            PrometheusSample(
                "litemaas_jobs", .gauge, help: "Jobs that have not ended, by state; counted up to 100000.",
                labels: [("state", state)], value: Double(count))
        }
            + sample.queues.flatMap { queue in
                let labels = [("queue", queue.name)]
                return [
                    PrometheusSample(
                        "litemaas_jobs_ready", .gauge, help: "Jobs that could start now; counted up to 100000.",
                        labels: labels, value: Double(queue.ready)),
                    PrometheusSample(
                        "litemaas_jobs_oldest_ready_seconds", .gauge,
                        help: "How long the oldest job that could start has been due.", labels: labels,
                        value: queue.oldestSeconds),
                    PrometheusSample(
                        "litemaas_queue_paused", .gauge, help: "1 while a person has paused the queue.",
                        labels: labels, value: queue.isPaused ? 1 : 0),
                ]
            }
            + sample.deadLetters.map { kind, count in
                PrometheusSample(
                    "litemaas_dead_letters", .gauge,
                    help: "Failed jobs that wait for a person, by kind; counted up to 10000.",
                    labels: [("kind", kind)], value: Double(count))
            }
    }

    private func fleet(_ sample: FleetSample) -> [PrometheusSample] {
        let workers = ["active", "draining", "lost"].flatMap { state in
            let found = sample.workers.first { $0.state == state }
            return [
                PrometheusSample(
                    "litemaas_workers", .gauge, help: "Workers by state; those lost within the last hour.",
                    labels: [("state", state)], value: Double(found?.count ?? 0)),
                PrometheusSample(
                    "litemaas_workers_capacity_jobs", .gauge, help: "Jobs that the workers may run at once, by state.",
                    labels: [("state", state)], value: Double(found?.capacity ?? 0)),
            ]
        }
        let breakers = sample.breakers.flatMap { breaker in
            [
                PrometheusSample(
                    "litemaas_breaker_open_seconds", .gauge,
                    help: "How long the breaker has let no calls through; 0 while it lets them.",
                    labels: [("upstream", breaker.name)], value: breaker.openSeconds ?? 0)
            ]
                + BreakerPolicy.State.all.map { state in
                    PrometheusSample(
                        "litemaas_breaker_state", .gauge, help: "1 for the state that the breaker is in.",
                        labels: [("upstream", breaker.name), ("state", state.name)],
                        value: state.name == breaker.state ? 1 : 0)
                }
        }
        return workers + breakers
    }

    private func tables(_ sample: FleetSample) -> [PrometheusSample] {
        sample.tables.flatMap { table in
            let labels = [("table", table.name)]
            func gauge(_ name: String, _ help: String, _ value: Int64) -> PrometheusSample {
                PrometheusSample(name, .gauge, help: help, labels: labels, value: Double(value))
            }
            let writes = [
                ("insert", table.inserts), ("update", table.updates - table.hotUpdates), ("hot", table.hotUpdates),
                ("delete", table.deletes),
            ]
            return [
                gauge("litemaas_postgres_live_tuples", "Rows, as the statistics know them.", table.live),
                gauge("litemaas_postgres_dead_tuples", "Row versions that vacuum has yet to remove.", table.dead),
                gauge("litemaas_postgres_table_bytes", "Size with indexes and TOAST.", table.bytes),
                gauge("litemaas_postgres_table_indexes", "Indexes of the table.", table.indexes),
            ]
                + writes.map { operation, count in
                    PrometheusSample(
                        "litemaas_postgres_table_writes_total", .counter,
                        help: "Row versions written; an insert or update makes at most one entry in each index, "
                            + "a hot update none.",
                        labels: labels + [("operation", operation)], value: Double(count))
                }
        }
            + sample.partitions.flatMap { partitions in
                let labels = [("table", partitions.table)]
                return [
                    PrometheusSample(
                        "litemaas_partitions_ahead_days", .gauge, help: "Days until the last partition ends.",
                        labels: labels, value: partitions.daysAhead),
                    PrometheusSample(
                        "litemaas_partition_strays", .gauge,
                        help: "Rows that found no partition of their own; counted up to 1000.", labels: labels,
                        value: Double(partitions.strays)),
                ]
            }
    }

    private func server(_ sample: FleetSample) -> [PrometheusSample] {
        var samples = [
            PrometheusSample(
                "litemaas_postgres_commits_total", .counter, help: "Transactions committed in the database.",
                value: Double(sample.commits)),
            PrometheusSample(
                "litemaas_postgres_oldest_xmin_age_transactions", .gauge,
                help: "How many transactions ago the oldest snapshot was taken that vacuum must respect.",
                value: Double(sample.oldestXminAge)),
            PrometheusSample(
                "litemaas_postgres_longest_transaction_seconds", .gauge,
                help: "How long the oldest transaction has been open.", value: sample.longestTransactionSeconds),
        ]
        if let bytes = sample.walBytes {
            samples.append(
                PrometheusSample(
                    "litemaas_postgres_wal_bytes_total", .counter, help: "Write-ahead log of the server.",
                    value: bytes))
        }
        return samples
    }
}

extension BreakerPolicy.State {
    static let all: [BreakerPolicy.State] = [.closed, .open, .halfOpen, .ramping, .forcedOpen, .forcedClosed]
}
