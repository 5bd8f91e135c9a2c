import Shared
import Synchronization

/// The ``AdaptiveLimit`` of each upstream class in this process.
final class AdaptiveConcurrency: Sendable {
    private let limits: Mutex<[Int16: AdaptiveLimit]>
    private let fleetLimit: Int
    private let latencyTarget: Duration

    /// - Parameters:
    ///   - fleetLimit: jobs of one class at once, all workers together.
    ///   - latencyTarget: calls that take longer count as overload.
    init(fleetLimit: Int, latencyTarget: Duration) {
        self.fleetLimit = fleetLimit
        self.latencyTarget = latencyTarget
        limits = Mutex(
            Dictionary(uniqueKeysWithValues: Upstream.allCases.map { ($0.code, AdaptiveLimit(ceiling: fleetLimit)) }))
    }

    /// How many more jobs of the class may start here; nil for jobs that call no upstream.
    func room(_ upstream: Int16, running: Int) -> Int? {
        limits.withLock { $0[upstream].map { max(0, $0.limit - running) } }
    }

    /// Learns from a call that has just ended. What failed for other reasons says nothing about load.
    func record(_ upstream: Upstream, error: LiteLLMError?, duration: Duration, running: Int) {
        let isSlow = duration > latencyTarget || error?.code == LiteLLMError.Code.timeout
        let isOverload = isSlow || error?.code == LiteLLMError.Code.rateLimited
        guard isOverload || error == nil else { return }
        let now = ContinuousClock.now
        limits.withLock { limits in
            limits[upstream.code]?.learn(
                startedAt: now - duration, isOverload: isOverload, running: running, now: now)
        }
    }

    /// Shares the fleet's limit evenly among its workers.
    func share(workers: Int) {
        let ceiling = (fleetLimit + max(1, workers) - 1) / max(1, workers)
        limits.withLock { limits in
            for code in limits.keys { limits[code]?.share(ceiling) }
        }
    }

    /// The limits now, by the name of the class; for the worker's row and the metrics.
    var snapshot: [String: Int] {
        let values = limits.withLock { $0.mapValues(\.limit) }
        return Dictionary(
            uniqueKeysWithValues: Upstream.allCases.compactMap { upstream in
                values[upstream.code].map { (upstream.rawValue, $0) }
            })
    }
}
