import Foundation
import Logging
import Shared
import Synchronization

/// This process's share of the fleet's breakers: counts the outcomes of calls, flushes them every few hundred
/// milliseconds, applies the policy's transitions and runs the probe when it wins the permit.
final class BreakerService: Sendable {
    private struct Local {
        var states: [Int16: BreakerPolicy.Snapshot] = [:]
        var reasons: [Int16: String] = [:]
        var deltas: [Int16: PostgresBreakerStore.Delta] = [:]
        var failedJobs: [Int16: Set<Int64>] = [:]
        var trips: [Int16: (reason: String, retryAfter: Duration?)] = [:]
        /// The class this process may probe now, by its permit.
        var probing: Set<Int16> = []
    }

    private let local = Mutex(Local())
    private let policy: BreakerPolicy
    private let store = PostgresBreakerStore()
    private let database: PostgresClient
    private let worker: UUID
    private let probeLimit: Duration
    private let metrics: EngineMetrics
    private let logger: Logger
    /// Rings when a flush should not wait for the next tick.
    let urgent = WakeSignal()
    /// Rings the claimers when a class admits calls again.
    private let reopened: @Sendable () -> Void

    init(
        database: PostgresClient, worker: UUID, policy: BreakerPolicy, probeLimit: Duration, metrics: EngineMetrics,
        logger: Logger, reopened: @escaping @Sendable () -> Void
    ) {
        self.database = database
        self.worker = worker
        self.policy = policy
        self.probeLimit = probeLimit
        self.metrics = metrics
        self.logger = logger
        self.reopened = reopened
    }

    /// Whether a call may start now, as far as this process knows; the reason when not.
    func refusal(_ upstream: Upstream, isProbe: Bool) -> String? {
        local.withLock { local in
            let code = upstream.code
            guard let breaker = local.states[code] else { return nil }
            if breaker.state.admits { return local.trips[code]?.reason }
            if isProbe, local.probing.contains(code) { return nil }
            return local.reasons[code] ?? "the breaker is \(breaker.state.name)"
        }
    }

    /// Counts the outcome of a call. Only upstream trouble counts as a failure.
    func record(_ upstream: Upstream, error: LiteLLMError?, jobId: Int64, slow: Bool) {
        let isUrgent = local.withLock { local -> Bool in
            let code = upstream.code
            var delta = local.deltas[code] ?? .init(upstream: code)
            if slow { delta.slow += 1 }
            if let error, error.countsForBreaker {
                delta.failed += 1
                if local.failedJobs[code, default: []].insert(jobId).inserted { delta.failedJobs += 1 }
            } else if error == nil {
                delta.succeeded += 1
            }
            local.deltas[code] = delta
            guard let error, error.opensEveryClass else { return delta.failed >= 3 }
            for class_ in Upstream.allCases { local.trips[class_.code] = (error.code, error.retryAfter) }
            return true
        }
        if isUrgent { urgent.ring() }
    }

    /// Writes the counts, reads the fleet's view, and applies what the policy calls for.
    ///
    /// - Returns: the classes this process has just won the permit to probe.
    func tick() async throws -> [Upstream] {
        let (deltas, trips) = local.withLock { local in
            defer {
                local.deltas = [:]
                local.failedJobs = [:]
            }
            return (Array(local.deltas.values), local.trips)
        }
        var readings = try await store.flush(deltas, in: database)
        var won: [Upstream] = []
        var changed = false
        for reading in readings {
            guard let upstream = Upstream(code: reading.upstream) else { continue }
            let transition =
                trips[reading.upstream].flatMap {
                    policy.trip(reading.breaker, reason: $0.reason, retryAfter: $0.retryAfter)
                } ?? policy.decide(reading.breaker, window: reading.window)
            guard let transition else { continue }
            if try await apply(transition, reading) {
                changed = true
                if transition == .probe { won.append(upstream) }
            }
        }
        if changed { readings = try await store.flush([], in: database) }
        learn(readings, seen: trips, won: won)
        return won
    }

    /// Tells the fleet how a probe ended.
    func probeEnded(_ upstream: Upstream, error: LiteLLMError?) async throws {
        let code = upstream.code
        let readings = try await store.flush([], in: database)
        local.withLock { _ = $0.probing.remove(code) }
        guard let reading = readings.first(where: { $0.upstream == code }), reading.breaker.state == .halfOpen else {
            return
        }
        let transition = policy.probed(
            reading.breaker, succeeded: !(error?.speaksAgainstUpstream ?? false), reason: error?.code ?? "",
            retryAfter: error?.retryAfter)
        _ = try await apply(transition, reading)
        learn(try await store.flush([], in: database), seen: [:], won: [])
    }

    private func apply(_ transition: BreakerPolicy.Transition, _ reading: PostgresBreakerStore.Reading) async throws
        -> Bool
    {
        let won = try await store.apply(
            transition, upstream: reading.upstream, epoch: reading.breaker.epoch, worker: worker,
            probeLimit: probeLimit, in: database)
        if won {
            let name = Upstream(code: reading.upstream)?.rawValue ?? "\(reading.upstream)"
            logger.notice("breaker changed", metadata: ["upstream": "\(name)", "transition": "\(transition)"])
            metrics.changed(name, to: transition.name)
        }
        return won
    }

    private func learn(
        _ readings: [PostgresBreakerStore.Reading], seen trips: [Int16: (reason: String, retryAfter: Duration?)],
        won: [Upstream]
    ) {
        let opened = local.withLock { local -> Bool in
            var opened = false
            for reading in readings {
                let before = local.states[reading.upstream]?.state
                if before?.admits == false, reading.breaker.state.admits { opened = true }
                if reading.breaker.state == .ramping { opened = true }
                local.states[reading.upstream] = reading.breaker
                local.reasons[reading.upstream] = reading.reason
            }
            // A trip noted while the flush was under way is for the next one.
            for (code, _) in trips { local.trips[code] = nil }
            for upstream in won { local.probing.insert(upstream.code) }
            return opened
        }
        if opened { reopened() }
    }
}
