/// The rules of the pool: who gets which connection, when one is opened, closed or checked. Pure: it is told what
/// happened and what time it is, and answers with what to do.
///
/// Waiting is first come, first served: nobody overtakes. While connecting fails, one attempt at a time is made, with
/// growing pauses; when it has failed for as long as anybody would wait, callers are refused at once with the reason.
struct PostgresPoolMachine: Sendable {
    typealias Instant = ContinuousClock.Instant

    struct Limits: Sendable {
        var maxConnections = 20
        var minConnections = 0
        var maxWaiting = 1000
        var leaseTimeout: Duration = .seconds(5)
        var idleTimeout: Duration = .seconds(30)
        var maxAge: Duration = .seconds(1800)
        /// A connection idle for longer is checked before it is lent, and now and then while it is idle.
        var checkAfter: Duration = .seconds(20)
        var backoff = Backoff(initial: .milliseconds(100), cap: .seconds(2))
    }

    /// What the shell has to do now, outside its lock.
    struct Actions: Sendable {
        var connect: [Int] = []
        var close: [Int] = []
        var check: [Int] = []
        var lend: [Loan] = []
        var fail: [Failure] = []
        /// When `tick` has to be called at the latest; nil when nothing is due.
        var wakeAt: Instant?
    }

    struct Loan: Sendable, Equatable {
        let waiter: Int
        let connection: Int
        /// It was idle for long: check it first.
        let needsCheck: Bool
    }

    struct Failure: Sendable {
        let waiter: Int
        let error: PostgresError
    }

    /// What to do with a connection that comes back.
    enum Verdict: Sendable {
        case reuse
        case close
        /// The server went away or changed its role: close this one and all others of its generation.
        case recycle
    }

    private enum Use: Sendable {
        case connecting, idle(since: Instant), leased
    }

    private struct Connection: Sendable {
        var use: Use
        let generation: Int
        var openedAt: Instant
    }

    private struct Failing: Sendable {
        var since: Instant
        var attempts: Int
        var retryAt: Instant
        var error: PostgresError
    }

    private struct Waiter: Sendable {
        let id: Int
        let deadline: Instant
    }

    private let limits: Limits
    private var connections: [Int: Connection] = [:]
    /// The most recently used one is last, and is lent first, so that the others can grow old.
    private var idle: [Int] = []
    private var queue: [Waiter] = []
    private var queueHead = 0
    private var waiting: Set<Int> = []
    private var lastID = 0
    private var failing: Failing?
    private(set) var generation = 0
    private(set) var isClosed = false

    init(limits: Limits) {
        self.limits = limits
    }

    // MARK: Leasing

    /// A connection for a caller who need not wait; nil when there is none, or others wait already.
    mutating func tryLease(at now: Instant) -> (connection: Int, needsCheck: Bool)? {
        guard !isClosed, waiting.isEmpty, let id = idle.popLast(), let connection = connections[id] else { return nil }
        connections[id]?.use = .leased
        return (id, needsCheck(connection, at: now))
    }

    /// Somebody wants a connection: it is lent, promised, or refused.
    mutating func lease(_ waiter: Int, at now: Instant) -> Actions {
        var actions = Actions()
        if isClosed {
            actions.fail.append(Failure(waiter: waiter, error: Self.closedError))
        } else if waiting.count >= limits.maxWaiting {
            let error = PostgresError(.poolExhausted, "\(waiting.count) callers wait for a connection already")
            actions.fail.append(Failure(waiter: waiter, error: error))
        } else if let failing, isHopeless(failing, at: now), now < failing.retryAt {
            actions.fail.append(Failure(waiter: waiter, error: failing.error))
        } else {
            waiting.insert(waiter)
            queue.append(Waiter(id: waiter, deadline: now + limits.leaseTimeout))
            proceed(&actions, at: now)
        }
        return actions
    }

    /// A caller gives up waiting. False when it does not wait (any more).
    mutating func cancel(_ waiter: Int) -> Bool {
        waiting.remove(waiter) != nil
    }

    // MARK: Connections

    /// A connection is open.
    mutating func connected(_ id: Int, at now: Instant) -> Actions {
        var actions = Actions()
        failing = nil
        guard let connection = connections[id] else { return actions }
        connections[id]?.openedAt = now
        if isClosed || connection.generation != generation {
            remove(id, &actions)
        } else {
            park(id, at: now)
        }
        proceed(&actions, at: now)
        return actions
    }

    /// A connection could not be opened.
    mutating func connectFailed(_ id: Int, _ error: PostgresError, at now: Instant) -> Actions {
        var actions = Actions()
        connections[id] = nil
        let attempts = (failing?.attempts ?? 0) + 1
        failing = Failing(
            since: failing?.since ?? now, attempts: attempts,
            retryAt: now + limits.backoff.ceiling(afterAttempt: attempts), error: error)
        if let failing, isHopeless(failing, at: now) {
            failWaiters(with: error, &actions)
        }
        proceed(&actions, at: now)
        return actions
    }

    /// A connection comes back from its user, or from a check.
    mutating func returned(_ id: Int, _ verdict: Verdict, at now: Instant) -> Actions {
        var actions = Actions()
        guard let connection = connections[id] else { return actions }
        if case .recycle = verdict { recycle(connection.generation, &actions) }
        if case .reuse = verdict, !isClosed, connection.generation == generation, !isOld(id, connection, at: now) {
            park(id, at: now)
        } else {
            remove(id, &actions)
        }
        proceed(&actions, at: now)
        return actions
    }

    /// A connection ended by itself. One that is lent stays counted until it comes back.
    mutating func died(_ id: Int, at now: Instant) -> Actions {
        var actions = Actions()
        guard let connection = connections[id], case .idle = connection.use else { return actions }
        remove(id, &actions)
        recycle(connection.generation, &actions)
        proceed(&actions, at: now)
        return actions
    }

    // MARK: Time

    /// Does what is due: waiters out of time, idle and old connections, the minimum, checks.
    mutating func tick(at now: Instant) -> Actions {
        var actions = Actions()
        while let waiter = firstWaiter, waiter.deadline <= now {
            waiting.remove(waiter.id)
            queueHead += 1
            actions.fail.append(Failure(waiter: waiter.id, error: timeoutError))
        }
        for id in idle {
            guard let connection = connections[id], case .idle(let since) = connection.use else { continue }
            let isSpare = connections.count > limits.minConnections
            if isOld(id, connection, at: now) || (isSpare && now - since >= limits.idleTimeout) {
                remove(id, &actions)
            } else if needsCheck(connection, at: now) {
                idle.removeAll { $0 == id }
                connections[id]?.use = .leased
                actions.check.append(id)
            }
        }
        proceed(&actions, at: now)
        return actions
    }

    /// Lends nothing more. Connections that are lent are closed when they come back.
    mutating func close() -> Actions {
        var actions = Actions()
        isClosed = true
        failWaiters(with: Self.closedError, &actions)
        for id in idle { remove(id, &actions) }
        return actions
    }

    // MARK: Numbers

    var counts: (total: Int, idle: Int, connecting: Int, waiting: Int) {
        (connections.count, idle.count, connectingCount, waiting.count)
    }

    // MARK: Inside

    private static let closedError = PostgresError(.closed, "the database client is closed")

    private var connectingCount: Int {
        connections.values.count { if case .connecting = $0.use { true } else { false } }
    }

    private var timeoutError: PostgresError {
        let limit = "no free connection within \(limits.leaseTimeout.inMilliseconds) ms"
        guard let failing else { return PostgresError(.timeout, limit) }
        return PostgresError(.connection, "\(limit); connecting fails: \(failing.error.message)")
    }

    private func isHopeless(_ failing: Failing, at now: Instant) -> Bool {
        connections.values.allSatisfy { if case .connecting = $0.use { true } else { false } }
            && now - failing.since >= limits.leaseTimeout
    }

    private func needsCheck(_ connection: Connection, at now: Instant) -> Bool {
        guard case .idle(let since) = connection.use else { return false }
        return now - since >= limits.checkAfter
    }

    // Connections opened together do not grow old together: up to 15 % earlier, by number.
    private func isOld(_ id: Int, _ connection: Connection, at now: Instant) -> Bool {
        now - connection.openedAt >= limits.maxAge * (1 - Double(id % 16) / 100)
    }

    private var firstWaiter: Waiter? {
        mutating get {
            while queueHead < queue.count, !waiting.contains(queue[queueHead].id) { queueHead += 1 }
            if queueHead == queue.count {
                queue.removeAll(keepingCapacity: true)
                queueHead = 0
                return nil
            }
            if queueHead > 256, queueHead > queue.count / 2 {
                queue.removeFirst(queueHead)
                queueHead = 0
            }
            return queue[queueHead]
        }
    }

    private mutating func park(_ id: Int, at now: Instant) {
        connections[id]?.use = .idle(since: now)
        idle.append(id)
    }

    private mutating func remove(_ id: Int, _ actions: inout Actions) {
        connections[id] = nil
        idle.removeAll { $0 == id }
        actions.close.append(id)
    }

    // Several connections of one generation report the same event; only the first report counts.
    private mutating func recycle(_ seen: Int, _ actions: inout Actions) {
        guard seen == generation else { return }
        generation += 1
        for id in idle { remove(id, &actions) }
    }

    private mutating func failWaiters(with error: PostgresError, _ actions: inout Actions) {
        actions.fail += waiting.sorted().map { Failure(waiter: $0, error: error) }
        waiting = []
    }

    /// Lends what is idle to who waits, opens what is missing, and says when to look again.
    private mutating func proceed(_ actions: inout Actions, at now: Instant) {
        while !idle.isEmpty, let waiter = firstWaiter, let id = idle.popLast(), let connection = connections[id] {
            waiting.remove(waiter.id)
            queueHead += 1
            let needsCheck = needsCheck(connection, at: now)
            connections[id]?.use = .leased
            actions.lend.append(Loan(waiter: waiter.id, connection: id, needsCheck: needsCheck))
        }
        guard !isClosed else { return }
        openMissing(&actions, at: now)
        actions.wakeAt = firstWaiter?.deadline
        if let retryAt = failing?.retryAt, retryAt > now, !waiting.isEmpty {
            actions.wakeAt = min(actions.wakeAt ?? retryAt, retryAt)
        }
    }

    private mutating func openMissing(_ actions: inout Actions, at now: Instant) {
        let connecting = connectingCount
        var missing = max(waiting.count - connecting, limits.minConnections - connections.count)
        missing = min(missing, limits.maxConnections - connections.count)
        if let failing {
            missing = now < failing.retryAt ? 0 : min(missing, 1 - connecting)
        }
        guard missing > 0 else { return }
        for _ in 0..<missing {
            lastID += 1
            connections[lastID] = Connection(use: .connecting, generation: generation, openedAt: now)
            actions.connect.append(lastID)
        }
    }
}
