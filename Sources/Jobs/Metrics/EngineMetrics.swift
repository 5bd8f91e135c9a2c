import CoreMetrics
import Foundation
package import Shared
import Synchronization

/// What one engine measures of itself. Instruments are made once per label set and kept: at thousands of jobs per
/// second, asking the registry for them would cost more than what they measure. Labels are kinds, queues, upstream
/// classes and outcomes: all of them come from this program, none from a request.
package final class EngineMetrics: Sendable {
    // Foundation has one, too.
    private typealias Timer = CoreMetrics.Timer

    /// Why a job was taken back by somebody who did not run it.
    enum RescueCause: String, Sendable {
        /// Its worker's lease ran out, or the worker left without handing it back.
        case workerLost = "worker_lost"
        /// It was blocked behind a job that is not there any more.
        case blocked
        /// It waited for a job that has ended.
        case dependency
        /// Somebody had asked to cancel it while its attempt was ending.
        case cancellation
    }

    /// Help texts and buckets, for the registry.
    package static let descriptions = [
        MetricDescription("litemaas_job_attempts_total", help: "Attempts that ended, by kind and outcome."),
        MetricDescription(
            "litemaas_job_duration_seconds", help: "How long attempts took, by kind.",
            buckets: PrometheusRegistry.longTimerBuckets),
        MetricDescription(
            "litemaas_job_start_delay_seconds",
            help: "From the time a job was due until its handler started, by queue; on the database's clock.",
            buckets: PrometheusRegistry.longTimerBuckets),
        MetricDescription(
            "litemaas_job_claim_duration_seconds", help: "How long claims took, those that found nothing included."),
        MetricDescription("litemaas_job_claim_batch_jobs", help: "Jobs per claim, of claims that found any."),
        MetricDescription("litemaas_job_finish_duration_seconds", help: "How long writing a batch of outcomes took."),
        MetricDescription("litemaas_job_finish_batch_jobs", help: "Outcomes per batch."),
        MetricDescription("litemaas_job_stale_finishes_total", help: "Outcomes refused by the fence."),
        MetricDescription(
            "litemaas_jobs_rescued_total", help: "Jobs taken back from where nobody cared for them any more, by cause."),
        MetricDescription(
            "litemaas_job_attempts_burned_total",
            help: "Attempts charged to jobs while the breaker of their upstream was open: the cost of an outage."),
        MetricDescription(
            "litemaas_breaker_transitions_total", help: "Changes of a breaker's state made here, by the new state."),
        MetricDescription(
            "litemaas_upstream_concurrency_limit",
            help: "Jobs that this process lets use an upstream class at once, by what it measured."),
        MetricDescription("litemaas_worker_running_jobs", help: "Jobs that run in this process now."),
        MetricDescription(
            "litemaas_listener_gaps_total",
            help: "Times at which notifications may have been lost, the first connection included."),
    ]

    private struct Attempt: Hashable {
        var kind: String
        var outcome: String
    }

    private struct Instruments {
        var attempts: [Attempt: Counter] = [:]
        var durations: [String: Timer] = [:]
        var delays: [Int16: Timer] = [:]
        var clockOffset = 0.0
    }

    private let factory: any MetricsFactory
    private let instruments = Mutex(Instruments())
    private let claimDuration: Timer
    private let claimBatch: Recorder
    private let finishDuration: Timer
    private let finishBatch: Recorder
    private let stale: Counter
    private let running: Gauge
    private let gaps: Counter

    init(factory: any MetricsFactory) {
        self.factory = factory
        claimDuration = Timer(label: "litemaas_job_claim_duration_seconds", dimensions: [], factory: factory)
        claimBatch = Recorder(
            label: "litemaas_job_claim_batch_jobs", dimensions: [], aggregate: true, factory: factory)
        finishDuration = Timer(label: "litemaas_job_finish_duration_seconds", dimensions: [], factory: factory)
        finishBatch = Recorder(
            label: "litemaas_job_finish_batch_jobs", dimensions: [], aggregate: true, factory: factory)
        stale = Counter(label: "litemaas_job_stale_finishes_total", dimensions: [], factory: factory)
        running = Gauge(label: "litemaas_worker_running_jobs", dimensions: [], factory: factory)
        gaps = Counter(label: "litemaas_listener_gaps_total", dimensions: [], factory: factory)
    }

    /// How many jobs of each upstream class may run here now.
    func upstreamLimits(_ limits: [String: Int]) {
        for (name, limit) in limits {
            Gauge(
                label: "litemaas_upstream_concurrency_limit", dimensions: [("upstream", name)], factory: factory
            ).record(limit)
        }
    }

    /// A claim round came back after `duration` with the jobs of its lanes.
    func claimed(_ counts: [Int], in duration: Duration) {
        claimDuration.recordSeconds(duration.inSeconds)
        for count in counts where count > 0 { claimBatch.record(count) }
    }

    /// A job's handler is about to start.
    func started(dueAt: Date, queueId: Int16, queue: @autoclosure () -> String) {
        let (known, clockOffset) = instruments.withLock { ($0.delays[queueId], $0.clockOffset) }
        let timer =
            known
            ?? Timer(label: "litemaas_job_start_delay_seconds", dimensions: [("queue", queue())], factory: factory)
        if known == nil { instruments.withLock { $0.delays[queueId] = timer } }
        timer.recordSeconds(max(0, Date().timeIntervalSince(dueAt) + clockOffset))
    }

    /// An attempt ended.
    func ended(kind: String, outcome: String, took: Duration) {
        let (counter, timer) = instruments.withLock { instruments in
            let attempt = Attempt(kind: kind, outcome: outcome)
            let counter =
                instruments.attempts[attempt]
                ?? Counter(
                    label: "litemaas_job_attempts_total", dimensions: [("kind", kind), ("outcome", outcome)],
                    factory: factory)
            let timer =
                instruments.durations[kind]
                ?? Timer(label: "litemaas_job_duration_seconds", dimensions: [("kind", kind)], factory: factory)
            instruments.attempts[attempt] = counter
            instruments.durations[kind] = timer
            return (counter, timer)
        }
        counter.increment()
        timer.recordSeconds(took.inSeconds)
    }

    /// A batch of outcomes was written.
    func flushed(_ count: Int, in duration: Duration) {
        finishDuration.recordSeconds(duration.inSeconds)
        finishBatch.record(count)
    }

    /// Outcomes came too late.
    func refused(_ count: Int) { stale.increment(by: count) }

    /// Jobs were taken back.
    func rescued(_ count: Int, _ cause: RescueCause) {
        guard count > 0 else { return }
        Counter(label: "litemaas_jobs_rescued_total", dimensions: [("cause", cause.rawValue)], factory: factory)
            .increment(by: count)
    }

    /// An attempt was charged though the upstream, not the job, is at fault.
    func burned(_ upstream: Upstream) {
        Counter(
            label: "litemaas_job_attempts_burned_total", dimensions: [("upstream", upstream.rawValue)],
            factory: factory
        ).increment()
    }

    /// This process changed a breaker.
    func changed(_ upstream: String, to state: String) {
        Counter(
            label: "litemaas_breaker_transitions_total", dimensions: [("upstream", upstream), ("to", state)],
            factory: factory
        ).increment()
    }

    /// So many jobs run here now.
    func running(_ count: Int) { running.record(count) }

    /// Notifications may have been lost.
    func missedNotifications() { gaps.increment() }

    /// The database's clock minus this machine's, in seconds: due times are the database's.
    func clock(offset seconds: Double) {
        instruments.withLock { $0.clockOffset = seconds }
    }
}
