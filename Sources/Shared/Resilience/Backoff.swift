/// How long to wait before the next attempt: exponential with a cap and full jitter.
///
/// Full jitter (anything between nothing and the ceiling) spreads callers that failed together over the whole
/// interval, which is what lets a service that just came back breathe.
package struct Backoff: Sendable, Equatable, Hashable {
    /// The ceiling before the second attempt.
    package var initial: Duration
    /// By how much the ceiling grows with every further attempt; at least 1.
    package var factor: Double
    /// The ceiling never grows beyond this.
    package var cap: Duration

    /// Negative durations count as zero, a factor below 1 as 1.
    package init(initial: Duration, factor: Double = 2, cap: Duration) {
        self.initial = max(initial, .zero)
        self.factor = max(factor, 1)
        self.cap = max(cap, .zero)
    }

    /// The longest wait after attempt number `attempt` (1 is the first) has failed.
    package func ceiling(afterAttempt attempt: Int) -> Duration {
        var ceiling = min(initial, cap)
        var remaining = max(attempt, 1) - 1
        while remaining > 0 && ceiling < cap && ceiling > .zero && factor > 1 {
            ceiling = ceiling > cap / factor ? cap : ceiling * factor
            remaining -= 1
        }
        return ceiling
    }

    /// The wait after attempt number `attempt` (1 is the first) has failed.
    ///
    /// - Parameter random: gives a number from 0 up to, not including, 1; a test passes a constant.
    package func delay(
        afterAttempt attempt: Int, random: () -> Double = { Double.random(in: 0..<1) }
    ) -> Duration {
        ceiling(afterAttempt: attempt) * min(max(random(), 0), 1)
    }
}
