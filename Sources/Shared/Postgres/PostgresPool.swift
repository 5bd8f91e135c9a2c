import Logging
import Synchronization

/// The connections of a client: carries out what `PostgresPoolMachine` decides.
final class PostgresPool: Sendable {
    private typealias Waiter = CheckedContinuation<Result<Loan, PostgresError>, Never>

    private struct Loan: Sendable {
        let session: PostgresSession
        let needsCheck: Bool
    }

    private struct State: Sendable {
        var machine: PostgresPoolMachine
        var sessions: [Int: PostgresSession] = [:]
        var waiters: [Int: Waiter] = [:]
        var lastWaiter = 0
        var wakeAt: ContinuousClock.Instant?
        var failures = 0
        var totals = Totals()
        /// Who waits for the last connection to go.
        var onEmpty: [CheckedContinuation<Void, Never>] = []
    }

    private struct Totals: Sendable {
        var leases = 0
        var waits = 0
        var waitTime: Duration = .zero
        var refusals = 0
        var connects = 0
        var connectFailures = 0
    }

    /// How long the check of a long-idle connection may take.
    private static let checkTimeout: Duration = .seconds(2)

    let settings: PostgresSettings
    let loop: PostgresEventLoop
    private let logger: Logger
    private let state: Mutex<State>

    init(settings: PostgresSettings, loop: PostgresEventLoop, logger: Logger) {
        self.settings = settings
        self.loop = loop
        self.logger = logger
        state = Mutex(State(machine: PostgresPoolMachine(limits: settings.poolLimits)))
    }

    deinit {
        for session in state.withLock({ $0.sessions.values.map(\.self) }) { session.close() }
        loop.stop()
    }

    // MARK: Leasing

    /// A connection for the caller alone, until `release`.
    func lease() async throws(PostgresError) -> PostgresSession {
        let start = ContinuousClock.now
        while true {
            let loan: Loan
            if let idle = fastLease(at: .now) {
                loan = idle
            } else {
                loan = try await slowLease()
            }
            if loan.session.condition.load(ordering: .relaxed) == .ready {
                guard loan.needsCheck else { return loan.session }
                if await isHealthy(loan.session) { return loan.session }
            }
            release(loan.session, .recycle)
            if ContinuousClock.now - start >= settings.leaseTimeout {
                throw PostgresError(.connection, "idle connections turned out to be lost")
            }
        }
    }

    private func fastLease(at now: ContinuousClock.Instant) -> Loan? {
        state.withLock { state in
            guard let (id, needsCheck) = state.machine.tryLease(at: now), let session = state.sessions[id] else {
                return nil
            }
            state.totals.leases += 1
            return Loan(session: session, needsCheck: needsCheck)
        }
    }

    private func slowLease() async throws(PostgresError) -> Loan {
        let id = state.withLock { state in
            state.lastWaiter += 1
            return state.lastWaiter
        }
        let start = ContinuousClock.now
        let outcome = await withTaskCancellationHandler {
            await withCheckedContinuation { wait(id, $0) }
        } onCancel: {
            cancelWait(id)
        }
        let waited = ContinuousClock.now - start
        state.withLock { state in
            state.totals.waits += 1
            state.totals.waitTime += waited
            if case .success = outcome { state.totals.leases += 1 } else { state.totals.refusals += 1 }
        }
        return try outcome.get()
    }

    private func wait(_ id: Int, _ waiter: Waiter) {
        let actions = state.withLock { state -> PostgresPoolMachine.Actions in
            state.waiters[id] = waiter
            return state.machine.lease(id, at: .now)
        }
        perform(actions)
        // A cancellation before the line above found nobody to cancel.
        if Task.isCancelled { cancelWait(id) }
    }

    private func cancelWait(_ id: Int) {
        let waiter = state.withLock { state in
            state.machine.cancel(id) ? state.waiters.removeValue(forKey: id) : nil
        }
        waiter?.resume(returning: .failure(PostgresCancelReason.task.error(limit: nil)))
    }

    /// Takes a connection back.
    func release(_ session: PostgresSession, _ verdict: PostgresPoolMachine.Verdict = .reuse) {
        var verdict = verdict
        switch session.condition.load(ordering: .relaxed) {
        case .ready: break
        case .broken:
            if case .reuse = verdict { verdict = .close }
        case .inTransaction:
            if case .reuse = verdict {
                logger.warning("a connection came back with an open transaction and is closed")
                verdict = .close
            }
        }
        act { $0.returned(session.id, verdict, at: .now) }
    }

    private func isHealthy(_ session: PostgresSession) async -> Bool {
        let request = PostgresRequest(.statements(["select 1"]), timeout: Self.checkTimeout)
        do {
            _ = try await session.run(request, isCancellable: false)
            return true
        } catch {
            logger.debug("an idle connection did not pass its check", metadata: ["error": "\(error)"])
            return false
        }
    }

    // MARK: Carrying out

    private func act(_ event: (inout PostgresPoolMachine) -> PostgresPoolMachine.Actions) {
        perform(state.withLock { event(&$0.machine) })
    }

    private func perform(_ actions: PostgresPoolMachine.Actions) {
        for id in actions.connect {
            Task { await connect(id) }
        }
        for id in actions.check {
            Task { await check(id) }
        }
        for id in actions.close {
            state.withLock { $0.sessions.removeValue(forKey: id) }?.close()
        }
        for loan in actions.lend {
            let (waiter, session) = state.withLock { state in
                (state.waiters.removeValue(forKey: loan.waiter), state.sessions[loan.connection])
            }
            guard let session else {
                waiter?.resume(returning: .failure(PostgresError(.closed, "the database client is closed")))
                continue
            }
            waiter?.resume(returning: .success(Loan(session: session, needsCheck: loan.needsCheck)))
        }
        for failure in actions.fail {
            let waiter = state.withLock { $0.waiters.removeValue(forKey: failure.waiter) }
            waiter?.resume(returning: .failure(failure.error))
        }
        if let wakeAt = actions.wakeAt { wake(at: wakeAt) }
        resumeIfEmpty()
    }

    private func wake(at deadline: ContinuousClock.Instant) {
        let isNew = state.withLock { state in
            if let wakeAt = state.wakeAt, wakeAt <= deadline { return false }
            state.wakeAt = deadline
            return true
        }
        guard isNew else { return }
        loop.schedule(at: deadline) { [weak self] in
            guard let self else { return }
            state.withLock { $0.wakeAt = nil }
            tick()
        }
    }

    /// Does what is due by now: limits of waiting, idle and old connections, the minimum, checks.
    func tick() {
        act { $0.tick(at: .now) }
    }

    private func connect(_ id: Int) async {
        do {
            let session = try await open(id)
            let failures = state.withLock { state in
                defer { state.failures = 0 }
                state.sessions[id] = session
                state.totals.connects += 1
                return state.failures
            }
            if failures > 0 {
                logger.info("the database can be reached again", metadata: ["failedAttempts": "\(failures)"])
            }
            act { $0.connected(id, at: .now) }
        } catch {
            let failures = state.withLock { state in
                state.failures += 1
                state.totals.connectFailures += 1
                return state.failures
            }
            // The first failure, and then ever more rarely: 2nd, 4th, 8th, …
            if failures & (failures - 1) == 0 {
                logger.warning(
                    "connecting to the database failed",
                    metadata: ["error": "\(error)", "failedAttempts": "\(failures)"])
            }
            act { $0.connectFailed(id, error, at: .now) }
        }
    }

    private func open(_ id: Int) async throws(PostgresError) -> PostgresSession {
        let opened = try await LibPQConnector.connect(settings.connectOptions, loop: loop)
        let session = PostgresSession(id: id, opened: opened, loop: loop, options: settings.sessionOptions) {
            [weak self] reason in
            // Closed on purpose: the pool knows.
            if reason != nil { self?.act { $0.died(id, at: .now) } }
        }
        session.start()
        guard let setUp = settings.sessionSetUp else { return session }
        do {
            let request = PostgresRequest(.statements([setUp]), timeout: settings.connectTimeout)
            _ = try await session.run(request, isCancellable: false)
            return session
        } catch {
            session.close()
            throw error
        }
    }

    private func check(_ id: Int) async {
        guard let session = state.withLock({ $0.sessions[id] }) else { return }
        let isHealthy = await isHealthy(session)
        act { $0.returned(id, isHealthy ? .reuse : .recycle, at: .now) }
    }

    // MARK: Closing

    /// Lends nothing more, waits up to `grace` for lent connections to come back, then closes them.
    func close(grace: Duration) async {
        act { $0.close() }
        loop.schedule(at: .now + grace) { [weak self] in
            guard let self else { return }
            for session in state.withLock({ $0.sessions.values.map(\.self) }) { session.close() }
            resumeClosers()
        }
        await withCheckedContinuation { continuation in
            state.withLock { $0.onEmpty.append(continuation) }
            resumeIfEmpty()
        }
        loop.stop()
    }

    private func resumeIfEmpty() {
        let isEmpty = state.withLock { $0.machine.isClosed && $0.machine.counts.total == 0 }
        if isEmpty { resumeClosers() }
    }

    private func resumeClosers() {
        let waiting = state.withLock { state in
            defer { state.onEmpty = [] }
            return state.onEmpty
        }
        for continuation in waiting { continuation.resume() }
    }

    var statistics: PostgresPoolStatistics {
        state.withLock { state in
            let counts = state.machine.counts
            return PostgresPoolStatistics(
                total: counts.total, active: counts.total - counts.idle - counts.connecting, idle: counts.idle,
                connecting: counts.connecting, waiting: counts.waiting, leases: state.totals.leases,
                waits: state.totals.waits, waitTime: state.totals.waitTime, refusals: state.totals.refusals,
                connects: state.totals.connects, connectFailures: state.totals.connectFailures)
        }
    }
}

/// What the pool holds and has done since it was made.
package struct PostgresPoolStatistics: Sendable, Equatable {
    /// Connections open or being opened.
    package let total: Int
    /// Connections lent or being checked.
    package let active: Int
    /// Connections that wait for work.
    package let idle: Int
    /// Connections being opened.
    package let connecting: Int
    /// Callers that wait for a connection.
    package let waiting: Int
    /// Connections lent so far.
    package let leases: Int
    /// Callers that had to wait so far.
    package let waits: Int
    /// How long they waited in all.
    package let waitTime: Duration
    /// Callers that got no connection so far: time limit, too many waiting, connecting failed, cancelled.
    package let refusals: Int
    /// Connections opened so far.
    package let connects: Int
    /// Attempts to open one that failed so far.
    package let connectFailures: Int
}
