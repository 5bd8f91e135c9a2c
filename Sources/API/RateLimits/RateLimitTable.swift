import Foundation
import Shared

/// What a limit says about one request.
struct RateLimitDecision: Sendable, Equatable {
    var isAllowed: Bool
    var limit: Int
    /// Requests that are left in this window, as far as this process knows.
    var remaining: Int
    /// Until the window ends.
    var resetAfter: Duration
    /// Whether this is the refusal of the window that is written down.
    var isFirstRefusal = false
}

/// What this process holds of the limits: the requests it took out of the database and has not let through yet.
///
/// A key that has nothing left asks for the next chunk; callers that come meanwhile wait for it, in their order. What
/// is not used when a window ends is lost, at most one chunk for each process.
struct RateLimitTable<Waiter> {
    typealias Instant = ContinuousClock.Instant

    /// What a request has to do.
    enum Step {
        case decided(RateLimitDecision)
        /// It waits; `mustFetch` says that nobody is asking for a chunk yet.
        case wait(mustFetch: Bool)
    }

    /// Whom a chunk has served, and whether callers still wait for another one.
    struct Outcome {
        var served: [(waiter: Waiter, decision: RateLimitDecision)] = []
        var mustFetch = false
    }

    private struct Entry {
        let limit: Int
        var endsAt: Instant
        /// Taken and not let through yet.
        var allowance = 0
        /// By the whole fleet, as the last chunk said.
        var taken = 0
        /// Let through here in this window.
        var used = 0
        /// There is nothing more to be had in this window.
        var isSpent = false
        var isFetching = false
        var waiting: [Waiter] = []

        mutating func allow(_ now: Instant) -> RateLimitDecision {
            allowance -= 1
            used += 1
            return decision(true, now)
        }

        func decision(_ isAllowed: Bool, _ now: Instant) -> RateLimitDecision {
            RateLimitDecision(
                isAllowed: isAllowed, limit: limit, remaining: max(allowance, 0) + max(limit - taken, 0),
                resetAfter: max(endsAt - now, .milliseconds(1)))
        }
    }

    private static var window: Duration { .seconds(60) }

    private let capacity: Int
    private var entries: [RateLimitKey: Entry] = [:]

    /// - Parameter capacity: keys at once.
    init(capacity: Int) {
        self.capacity = capacity
    }

    var count: Int { entries.count }

    /// Counts a request if that can be decided at once; else it has to wait.
    mutating func decide(_ key: RateLimitKey, at now: Instant) -> RateLimitDecision? {
        guard var entry = entries[key], !entry.isFetching, now < entry.endsAt else { return nil }
        if entry.allowance > 0 {
            let decision = entry.allow(now)
            entries[key] = entry
            return decision
        }
        return entry.isSpent ? entry.decision(false, now) : nil
    }

    /// Decides like `decide`, or puts the caller behind those that wait for the next chunk.
    mutating func ask(_ key: RateLimitKey, limit: Int, at now: Instant, waiter: Waiter) -> Step {
        if let decision = decide(key, at: now) { return .decided(decision) }
        if entries[key] == nil { makeRoom(at: now) }
        var entry = entries[key] ?? Entry(limit: limit, endsAt: now)
        defer { entries[key] = entry }
        let mustFetch = !entry.isFetching
        entry.isFetching = true
        entry.waiting.append(waiter)
        return .wait(mustFetch: mustFetch)
    }

    /// A chunk has come. `sent` is when it was asked for: its window ends no later than counted from then.
    mutating func apply(_ grant: RateLimitGrant, to key: RateLimitKey, sent: Instant, now: Instant) -> Outcome {
        guard var entry = entries[key] else { return Outcome() }
        if sent >= entry.endsAt {
            entry.used = 0
            entry.allowance = 0
        }
        entry.endsAt = sent + grant.remaining
        entry.allowance += grant.granted
        entry.taken = grant.taken
        entry.isSpent = grant.granted == 0
        return serve(&entry, key, now: now, noteFirst: grant.isFirstRefusal)
    }

    /// The database did not answer: this process alone counts the rest of the window.
    mutating func applyLocally(to key: RateLimitKey, sent: Instant, now: Instant) -> Outcome {
        guard var entry = entries[key] else { return Outcome() }
        if sent >= entry.endsAt {
            entry.used = 0
            entry.endsAt = sent + Self.window
        }
        entry.allowance = max(entry.limit - entry.used, 0)
        // So that what is left is the allowance.
        entry.taken = entry.limit
        entry.isSpent = true
        return serve(&entry, key, now: now, noteFirst: false)
    }

    private mutating func serve(
        _ entry: inout Entry, _ key: RateLimitKey, now: Instant, noteFirst: Bool
    ) -> Outcome {
        var outcome = Outcome()
        let waiting = entry.waiting
        let allowed = min(entry.allowance, waiting.count)
        for waiter in waiting[..<allowed] { outcome.served.append((waiter, entry.allow(now))) }
        entry.waiting = Array(waiting[allowed...])
        if entry.isSpent {
            for (index, waiter) in entry.waiting.enumerated() {
                var decision = entry.decision(false, now)
                decision.isFirstRefusal = noteFirst && index == 0
                outcome.served.append((waiter, decision))
            }
            entry.waiting = []
        }
        outcome.mustFetch = !entry.waiting.isEmpty
        entry.isFetching = outcome.mustFetch
        entries[key] = entry
        return outcome
    }

    /// Drops windows that have ended; if these are too few, others, which then take a chunk again. The database
    /// remembers what they have used, so that no limit grows by it.
    private mutating func makeRoom(at now: Instant) {
        guard entries.count >= capacity else { return }
        entries = entries.filter { $0.value.isFetching || now < $0.value.endsAt }
        var surplus = entries.count - capacity + max(capacity / 10, 1)
        guard surplus > 0 else { return }
        for (key, entry) in entries where !entry.isFetching && surplus > 0 {
            entries[key] = nil
            surplus -= 1
        }
    }
}
