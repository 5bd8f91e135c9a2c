import Synchronization

/// This incarnation's lease as it knows it, on its own monotonic clock, counted from before the beat was sent:
/// so it always ends here no later than in the database.
final class WorkerLease: Sendable {
    private let validUntil = Mutex<ContinuousClock.Instant>(.now)

    func extend(from sentAt: ContinuousClock.Instant, by lease: Duration) {
        validUntil.withLock { $0 = max($0, sentAt + lease) }
    }

    func lose() { validUntil.withLock { $0 = .now - .seconds(1) } }

    /// How long everything this worker does is still its own.
    var remaining: Duration { validUntil.withLock { $0 } - .now }
}
