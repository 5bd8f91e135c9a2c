import Shared

/// Where in a lane's index the next claim begins. The entries of jobs that have gone stay in the index until the
/// server cleans up, which it cannot while any old transaction is open; a claim that began at the start would walk
/// them all, each time. So claims go on where the last one ended, and the start is looked at between them, the more
/// rarely the more that costs beyond a claim like the others: jobs that committed late, came back or are more urgent
/// stand there.
struct ClaimPosition: Sendable {
    typealias Cursor = PostgresJobStore.ClaimCursor

    /// How late a transaction may commit and its jobs still be found by the next claim, without a backlog.
    static let lag: Duration = .seconds(1)
    /// The start is looked at no more often than this.
    private static let least: Duration = .milliseconds(5)
    /// The most of a lane's time that looking there may cost, as 1 / n.
    private static let share = 10
    /// A search this short may happen at each claim.
    private static let quick: Duration = .milliseconds(20)
    /// What a claim of nothing takes, in jobs.
    private static let overhead = 20.0

    private var cursor = Cursor.start
    /// What had been claimed by when, oldest first.
    private var marks: [(at: ContinuousClock.Instant, cursor: Cursor)] = []
    /// When the start may be looked at again; nil for at any time.
    private var dueAt: ContinuousClock.Instant?
    /// Whether something may stand there that nobody else will ring for.
    private var mustLook = false
    /// Seconds a job in claims that began at the cursor, of late.
    private var usual: Double?
    /// When less urgent jobs that have waited long get their share again.
    private var agedDueAt: ContinuousClock.Instant?

    /// Whether there was more than the last claims could take.
    private(set) var isBehind = false
    /// The priority that a backlog has come to.
    var level: Int16 { cursor.priority }

    /// Something before the cursor may be ready: a retry, a job whose object became free.
    mutating func lookBack() { mustLook = true }

    /// How long until the start has to be looked at; nil when the last look is enough.
    func wait(at now: ContinuousClock.Instant) -> Duration? {
        guard mustLook else { return nil }
        return dueAt.map { max($0 - now, .zero) } ?? .zero
    }

    /// Where to begin. A look at the start answers what was asked for until now.
    mutating func begin(at now: ContinuousClock.Instant) -> Cursor {
        if let dueAt, dueAt > now, cursor != .start {
            mustLook = true
            return cursor
        }
        mustLook = false
        return .start
    }

    /// Takes in what a claim found: `count` jobs, of which `last` stands last.
    mutating func advance(
        from begin: Cursor, to last: Cursor?, count: Int, isFull: Bool, began: ContinuousClock.Instant,
        now: ContinuousClock.Instant
    ) {
        let weight = Double(count) + Self.overhead
        let took = (now - began).inSeconds
        if begin == .start {
            let more = took - (usual ?? 0) * weight
            dueAt = now + max(Self.least, .seconds(more * Double(Self.share)))
        } else {
            usual = usual.map { $0 + (took / weight - $0) * 0.1 } ?? took / weight
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

    // MARK: The share of the oldest

    func isAgedDue(at now: ContinuousClock.Instant) -> Bool { isBehind && agedDueAt.map { $0 <= now } ?? true }

    /// The share was claimed and found so many: there may be more at once, but a slow search is rare, and one in vain.
    mutating func notedAged(_ count: Int, took: Duration, now: ContinuousClock.Instant) {
        agedDueAt = now + (count == 0 ? .seconds(1) : took < Self.quick ? .zero : took * Self.share)
    }
}
