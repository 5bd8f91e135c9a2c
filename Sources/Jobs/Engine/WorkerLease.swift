import Synchronization

/// This incarnation's lease as it knows it, on its own monotonic clock, counted from before the beat was sent:
/// so it always ends here no later than in the database.
final class WorkerLease: Sendable {
    private let validUntil = Mutex<ContinuousClock.Instant>(.now)

    /// A new incarnation's lease.
    func begin(from sentAt: ContinuousClock.Instant, by lease: Duration) {
        validUntil.withLock { $0 = sentAt + lease }
    }

    /// Returns false when it had run out here before the answer came: what it covered may have been stopped by then, so
    /// it is over, whatever the database says.
    func extend(from sentAt: ContinuousClock.Instant, by lease: Duration) -> Bool {
        validUntil.withLock { validUntil in
            guard validUntil > .now else { return false }
            validUntil = max(validUntil, sentAt + lease)
            return true
        }
    }

    func lose() { validUntil.withLock { $0 = .now - .seconds(1) } }

    /// How long everything this worker does is still its own.
    var remaining: Duration { validUntil.withLock { $0 } - .now }
}
