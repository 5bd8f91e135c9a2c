import Shared

/// Stands before every LiteLLM call of one attempt: the breaker must admit it, and the lease must outlast the call,
/// so that no call of a lost attempt can still arrive once the job is somebody else's.
struct JobCallGate: LiteLLMCallGate {
    static let leaseMargin: Duration = .seconds(1)
    static let slowCall: Duration = .seconds(10)

    let jobId: Int64
    let isProbe: Bool
    let breaker: BreakerService
    let adaptive: AdaptiveConcurrency
    let running: RunningJobs
    let lease: WorkerLease
    /// Called with the outcome of each call of a probe job; the first one decides.
    let probed: (@Sendable (LiteLLMError?) async -> Void)?

    func admit(_ upstream: Upstream, timeLimit: Duration) async throws {
        try Task.checkCancellation()
        guard lease.remaining > timeLimit + Self.leaseMargin else {
            throw UpstreamRefused(upstream: upstream, reason: "the lease would not outlast the call")
        }
        if let reason = breaker.refusal(upstream, isProbe: isProbe) {
            throw UpstreamRefused(upstream: upstream, reason: reason)
        }
    }

    func finished(_ upstream: Upstream, error: LiteLLMError?, duration: Duration) async {
        breaker.record(upstream, error: error, jobId: jobId, slow: duration >= Self.slowCall)
        adaptive.record(
            upstream, error: error, duration: duration, running: running.count(upstream: upstream.code))
        await probed?(error)
    }
}
