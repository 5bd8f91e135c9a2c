import Shared

/// Where in a lane's index the next claim begins. The entries of jobs that have gone stay in the index until the
/// server cleans up, which it cannot while any old transaction is open; a claim that began at the start would walk
/// them all, each time. So it begins at the start only now and then, or when told that something came back there.
struct ClaimPosition: Sendable {
    typealias Cursor = PostgresJobStore.ClaimCursor

    /// How late a transaction may commit and its jobs still be found by the next claim.
    static let lag: Duration = .seconds(1)
    /// How often the start is looked at.
    private static let fullEvery: Duration = .seconds(1)
    /// The same when something is known to have come back there.
    private static let fullWhenAsked: Duration = .milliseconds(5)
    /// The most of a lane's time that is spent on it, as 1 / n.
    private static let share = 10

    private var cursor = Cursor.start
    /// What had been claimed by when, oldest first.
    private var marks: [(at: ContinuousClock.Instant, cursor: Cursor)] = []
    private var scannedAt: ContinuousClock.Instant?
    private var scanTook: Duration = .zero
    private var isAsked = false
    /// Whether a claim began beyond the start since that was looked at.
    private var hasSkipped = false

    /// Whether there was more than the last claims could take.
    private(set) var isBehind = false

    /// Something before the cursor may be ready: a retry, a job whose object became free.
    mutating func lookBack() { isAsked = true }

    /// New jobs came in. In a backlog of less urgent ones they may stand before the cursor.
    mutating func newJobs() { if cursor.priority > 0 { isAsked = true } }

    /// When the start is to be looked at, without a further reason; nil for at any time.
    private var dueAt: ContinuousClock.Instant? {
        scannedAt.map { $0 + max(isAsked ? Self.fullWhenAsked : Self.fullEvery, scanTook * Self.share) }
    }

    /// How long until the start has to be looked at: what was asked for, or what commits later than expected; nil when
    /// the last look is enough.
    func wait(at now: ContinuousClock.Instant) -> Duration? {
        guard isAsked || hasSkipped else { return nil }
        return dueAt.map { max($0 - now, .zero) } ?? .zero
    }

    /// Where to begin. A look at the start answers what was asked for until now.
    mutating func begin(at now: ContinuousClock.Instant) -> Cursor {
        if let dueAt, dueAt > now, cursor != .start {
            hasSkipped = true
            return cursor
        }
        isAsked = false
        hasSkipped = false
        return .start
    }

    /// Takes in what a claim found: `last` is the last job's place, nil when it found none.
    mutating func advance(
        from begin: Cursor, to last: Cursor?, isFull: Bool, began: ContinuousClock.Instant, now: ContinuousClock.Instant
    ) {
        if begin == .start {
            scannedAt = now
            scanTook = now - began
        } else if last == nil {
            // Something rang: it stands before the cursor, or somebody else took it.
            isAsked = true
        }
        isBehind = isFull && last != nil
        if let last, isFull {
            // A backlog: straight on.
            cursor = last
            return
        }
        // Nothing left behind the last one: what commits from now on may have a lower number, but not much lower.
        if let last {
            marks.append((now, Cursor(priority: min(last.priority, 0), id: last.id)))
        }
        var passed = 0
        while passed + 1 < marks.count, marks[passed + 1].at <= now - Self.lag { passed += 1 }
        if passed > 0 { marks.removeFirst(passed) }
        if let oldest = marks.first, oldest.at <= now - Self.lag {
            cursor = oldest.cursor
        } else {
            cursor = .start
        }
    }
}
