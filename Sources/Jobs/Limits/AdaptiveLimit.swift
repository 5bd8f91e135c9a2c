/// How many jobs one process lets use an upstream at once: grows by one for each round of calls that went well while
/// the limit was in use, shrinks by a quarter when the upstream shows that it has too much to do (additive increase,
/// multiplicative decrease). Pure; the caller says what time it is.
struct AdaptiveLimit: Sendable {
    static let decrease = 0.75
    static let start = 32.0

    /// This process's share of the fleet's limit.
    private(set) var ceiling: Double
    private(set) var value: Double
    private var lastDecrease: ContinuousClock.Instant?

    init(ceiling: Int) {
        self.ceiling = Double(max(1, ceiling))
        value = min(Self.start, self.ceiling)
    }

    /// Whole jobs; never less than one, or nothing would ever find out that the upstream has recovered.
    var limit: Int { max(1, Int(value)) }

    /// Follows a change of the fleet: fewer workers leave more for each.
    mutating func share(_ ceiling: Int) {
        self.ceiling = Double(max(1, ceiling))
        value = min(value, self.ceiling)
    }

    /// Learns from a call.
    ///
    /// - Parameters:
    ///   - startedAt: calls that started before the last decrease say nothing new: they are from the same overload.
    ///   - isOverload: refused for being too many, or slow.
    ///   - running: jobs of the class in this process, this one included.
    mutating func learn(
        startedAt: ContinuousClock.Instant, isOverload: Bool, running: Int, now: ContinuousClock.Instant
    ) {
        if isOverload {
            guard lastDecrease.map({ startedAt > $0 }) ?? true else { return }
            value = max(1, value * Self.decrease)
            lastDecrease = now
        } else if Double(running) * 2 >= value {
            value = min(ceiling, value + 1 / value)
        }
    }
}
