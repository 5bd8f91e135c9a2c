/// When a breaker changes its state: pure, so that every transition can be tested. Times are the database's.
struct BreakerPolicy: Sendable {
    enum State: Int16, Sendable {
        case closed = 0
        case open = 1
        /// One probe is in flight in the fleet.
        case halfOpen = 2
        /// Calls flow again, a few at a time.
        case ramping = 3
        /// By a person.
        case forcedOpen = 8
        /// By a person: never opens by itself.
        case forcedClosed = 9

        /// Whether ordinary jobs may be claimed and calls may start.
        var admits: Bool {
            switch self {
            case .closed, .ramping, .forcedClosed: true
            case .open, .halfOpen, .forcedOpen: false
            }
        }
    }

    /// The fleet's counts since the last change of state, at most one window old.
    struct Window: Sendable, Equatable {
        var succeeded = 0
        var failed = 0
        /// Different jobs among the failures, as far as processes can tell.
        var failedJobs = 0
    }

    /// A breaker row as read, with the times turned into distances on the database's clock.
    struct Snapshot: Sendable, Equatable {
        var state: State
        var epoch: Int64 = 0
        var consecutiveOpens = 0
        var concurrency: Int?
        /// Until ``Transition`` to half-open; negative when it has passed. Nil when not open.
        var untilRetry: Duration?
        /// Until the probe's permit expires; nil when there is none.
        var untilProbeExpires: Duration?
        var sinceChange: Duration = .zero
    }

    enum Transition: Sendable, Equatable {
        case open(for: Duration, reason: String)
        /// Take the one permit to probe.
        case probe
        case ramp(concurrency: Int)
        case close

        /// The state it leads to, as operators see it.
        var name: String {
            switch self {
            case .open: State.open.name
            case .probe: State.halfOpen.name
            case .ramp: State.ramping.name
            case .close: State.closed.name
            }
        }
    }

    /// Failures in a window before it may open.
    var minimumFailures = 5
    /// The part of calls that must fail.
    var failureRatio = 0.5
    /// Different jobs that must be among the failures: one poisonous job alone opens nothing.
    var minimumFailedJobs = 2
    var firstOpen: Duration = .seconds(1)
    var longestOpen: Duration = .seconds(30)
    /// Jobs at once after a good probe.
    var rampStart = 4
    /// The limit at which it is closed again.
    var rampEnd = 64
    /// The shortest time between two steps of the ramp.
    var rampInterval: Duration = .milliseconds(250)

    /// What a flush or a tick calls for, given the row and the window.
    func decide(_ breaker: Snapshot, window: Window) -> Transition? {
        switch breaker.state {
        case .closed:
            return failing(window) ? open(breaker, reason: reason(window)) : nil
        case .open:
            return (breaker.untilRetry ?? .zero) <= .zero ? .probe : nil
        case .halfOpen:
            // The prober died: its permit has run out and somebody else probes.
            return (breaker.untilProbeExpires ?? .zero) <= .zero ? .probe : nil
        case .ramping:
            if failing(window) { return open(breaker, reason: reason(window)) }
            guard breaker.sinceChange >= rampInterval else { return nil }
            let limit = breaker.concurrency ?? rampStart
            if window.failed > 0 {
                return window.failed > window.succeeded && limit > 1 ? .ramp(concurrency: max(1, limit / 2)) : nil
            }
            guard window.succeeded > 0 else { return nil }
            return limit * 2 >= rampEnd ? .close : .ramp(concurrency: limit * 2)
        case .forcedOpen, .forcedClosed:
            return nil
        }
    }

    /// What a failure that speaks for the whole upstream (refused, no database, master key) calls for.
    func trip(_ breaker: Snapshot, reason: String, retryAfter: Duration?) -> Transition? {
        switch breaker.state {
        case .closed, .ramping: open(breaker, reason: reason, atLeast: retryAfter)
        case .open, .halfOpen, .forcedOpen, .forcedClosed: nil
        }
    }

    /// What the end of a probe calls for.
    func probed(_ breaker: Snapshot, succeeded: Bool, reason: String, retryAfter: Duration?) -> Transition {
        succeeded ? .ramp(concurrency: rampStart) : open(breaker, reason: reason, atLeast: retryAfter)
    }

    private func failing(_ window: Window) -> Bool {
        window.failed >= minimumFailures && window.failedJobs >= minimumFailedJobs
            && Double(window.failed) >= failureRatio * Double(window.failed + window.succeeded)
    }

    private func reason(_ window: Window) -> String {
        "\(window.failed) of \(window.failed + window.succeeded) calls failed"
    }

    private func open(_ breaker: Snapshot, reason: String, atLeast: Duration? = nil) -> Transition {
        let doublings = min(breaker.consecutiveOpens, 20)
        let wait = min(firstOpen * (1 << doublings), longestOpen)
        return .open(for: max(wait, min(atLeast ?? .zero, .seconds(300))), reason: reason)
    }
}
