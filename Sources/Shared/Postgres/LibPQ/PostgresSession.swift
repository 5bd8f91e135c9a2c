import Synchronization

/// One connection on the event loop: sends requests one after another and matches what comes back.
///
/// Its executor is the event loop, so everything here runs on that one thread. Requests come in by `run`, from any
/// thread, with one hop there and one back.
actor PostgresSession: PostgresEventHandler {
    /// What a pool may do with the connection once nobody uses it.
    enum Condition: UInt8, AtomicRepresentable, Sendable {
        /// Between transactions: anybody may use it.
        case ready
        /// A transaction was left open.
        case inTransaction
        /// Closed, or to be closed.
        case broken
    }

    /// How a session behaves.
    struct Options: Sendable {
        /// How many prepared statements are kept; 0 is none.
        var statementCacheSize = 256
        /// How long a cancelled statement may take to end before the connection is closed.
        var cancelGrace: Duration = .seconds(3)
    }

    /// The request that is being carried out. A class, so that results are collected in place.
    final class Active {
        let request: PostgresRequest
        var continuation: PostgresContinuation?
        var deadline: ContinuousClock.Instant?
        var steps: [PostgresStep] = []
        var position = 0
        var rows: [PostgresRows] = []
        var error: PostgresError?
        var cancellation = Cancellation.none
        /// All results are in.
        var isDrained = false
        /// The server waits for COPY data; the request has no continuation then.
        var isCopying = false
        var wasRetried = false
        var announcement: PostgresAnnouncement?
        /// What is to come belongs to the announcement; if there is no error, the request has been answered.
        var isAnnouncing = false

        init(request: PostgresRequest, continuation: PostgresContinuation, deadline: ContinuousClock.Instant?) {
            self.request = request
            self.continuation = continuation
            self.deadline = deadline
        }

        /// Why it is being cancelled, if it is.
        var cancelReason: PostgresCancelReason? {
            switch cancellation {
            case .none: nil
            case .sending(let reason), .sent(let reason): reason
            }
        }

        var outcome: PostgresOutcome { error.map { .failure($0) } ?? .success(rows) }
    }

    /// A request that waits for the ones before it.
    struct Waiting {
        let request: PostgresRequest
        let continuation: PostgresContinuation
        let deadline: ContinuousClock.Instant?
    }

    enum Cancellation: Sendable {
        case none
        /// The cancel request is on its way on a thread of its own.
        case sending(PostgresCancelReason)
        /// The server has taken note of it.
        case sent(PostgresCancelReason)
    }

    nonisolated let id: Int
    nonisolated let loop: PostgresEventLoop
    nonisolated let condition = Atomic<Condition>(.ready)
    /// The process id of the server's backend.
    nonisolated let processID: Int32
    let options: Options
    let cancelHandle: LibPQCancel?
    private let onEnd: @Sendable (PostgresError?) -> Void
    private let onNotification: (@Sendable (String, String) -> Void)?

    var connection: LibPQConnection?
    var active: Active?
    var waiting: [Waiting] = []
    var statements: PostgresStatementCache
    /// Names to give up with the next request.
    var staleNames: [String] = []
    /// Who waits for a piece of COPY data to be sent.
    var copyWaiter: PostgresContinuation?
    /// What whoever goes on using the session after its end is told.
    private(set) var endReason: PostgresError?
    /// The request that was under way at the end, and why it failed, for a COPY whose caller comes back later.
    private(set) var lastFailure: (request: PostgresRequest, reason: PostgresError)?
    private var token: UInt64?
    private var isWatchingForRoom = false
    private var timer: ContinuousClock.Instant?

    nonisolated var unownedExecutor: UnownedSerialExecutor {
        unsafe loop.asUnownedSerialExecutor()
    }

    /// Takes over an open connection. `onEnd` is called once, on the loop, when the session is over: with the reason,
    /// or nil when it was closed on purpose.
    init(
        id: Int, opened: LibPQConnector.Opened, loop: PostgresEventLoop, options: Options,
        onNotification: (@Sendable (String, String) -> Void)? = nil,
        onEnd: @escaping @Sendable (PostgresError?) -> Void
    ) {
        self.id = id
        self.loop = loop
        self.options = options
        self.onEnd = onEnd
        self.onNotification = onNotification
        processID = opened.connection.processID
        cancelHandle = opened.connection.makeCancel()
        statements = PostgresStatementCache(capacity: options.statementCacheSize)
        connection = opened.connection
    }

    // MARK: From any thread

    /// Starts watching the socket; before the first request.
    nonisolated func start() {
        loop.submit { self.assumeIsolated { $0.watch() } }
    }

    /// Carries out a request. Cancelling the task cancels it on the server, unless `isCancellable` is false.
    nonisolated func run(
        _ request: PostgresRequest, isCancellable: Bool = true
    ) async throws(PostgresError) -> [PostgresRows] {
        let outcome = await perform(request, isCancellable: isCancellable) { session, continuation in
            session.accept(request, continuation)
        }
        return try outcome.get()
    }

    /// Hands one step of a request to the loop and waits for its outcome.
    nonisolated func perform(
        _ request: PostgresRequest, isCancellable: Bool,
        _ step: @escaping @Sendable (isolated PostgresSession, PostgresContinuation) -> Void
    ) async -> PostgresOutcome {
        func submit(_ continuation: PostgresContinuation) {
            loop.submit { self.assumeIsolated { step($0, continuation) } }
        }
        guard isCancellable else {
            return await withCheckedContinuation { submit($0) }
        }
        return await withTaskCancellationHandler {
            await withCheckedContinuation { submit($0) }
        } onCancel: {
            request.isCancelled.store(true, ordering: .relaxed)
            loop.submit { self.assumeIsolated { $0.cancel(request) } }
        }
    }

    /// Closes the connection; what is under way fails.
    nonisolated func close() {
        condition.store(.broken, ordering: .relaxed)
        loop.submit { self.assumeIsolated { $0.end(nil) } }
    }

    nonisolated func socketReady(readable: Bool, writable: Bool) {
        assumeIsolated { $0.ready(readable: readable, writable: writable) }
    }

    // MARK: Socket

    private func watch() {
        guard let connection else { return }
        token = loop.watch(connection.socket, self)
        if token == nil { end(PostgresError(.connection, "the socket cannot be watched")) }
    }

    private func ready(readable: Bool, writable: Bool) {
        guard let connection else { return }
        if readable {
            let isAlive = connection.consumeInput()
            receive()
            while let (channel, payload) = self.connection?.nextNotification() {
                onNotification?(channel, payload)
            }
            guard isAlive, !connection.isBroken else {
                end(active?.error ?? connection.lastError)
                return
            }
        }
        if writable { flush() }
    }

    /// Sends what is pending; watches for room while something is left. Reading goes on meanwhile: a server whose own
    /// output is stuck would not read on, and both sides would wait for ever.
    func flush() {
        guard let connection, let token else { return }
        let outcome = connection.flush()
        if outcome == .failed {
            // The reason is in what the server sent before it closed.
            _ = connection.consumeInput()
            receive()
            end(active?.error ?? connection.lastError)
            return
        }
        let isPending = outcome == .pending
        if isPending != isWatchingForRoom {
            isWatchingForRoom = isPending
            loop.setWritable(connection.socket, token: token, isPending)
        }
        if !isPending { copyWaiter.take()?.resume(returning: .success([])) }
    }

    // MARK: Timer

    /// Makes sure that `checkDeadline` runs when `deadline` has passed.
    func arm(_ deadline: ContinuousClock.Instant) {
        if let timer, timer <= deadline { return }
        timer = deadline
        loop.schedule(at: deadline) { [weak self] in
            self?.assumeIsolated { $0.timerFired() }
        }
    }

    private func timerFired() {
        timer = nil
        guard let deadline = active?.deadline else { return }
        guard deadline <= .now else {
            arm(deadline)
            return
        }
        deadlinePassed()
    }

    // MARK: End

    /// Ends the session: closes the connection and fails everything that waits for it.
    func end(_ reason: PostgresError?) {
        guard let connection else { return }
        condition.store(.broken, ordering: .relaxed)
        if let token { loop.unwatch(connection.socket, token: token) }
        self.connection = nil
        var error = reason ?? PostgresError(.closed, "the connection was closed")
        if let active {
            lastFailure = (active.request, fail(active, with: error))
            if active.cancelReason != nil {
                error = PostgresError(.closed, "the connection was closed with a statement that did not end in time")
            }
        }
        active = nil
        endReason = error
        copyWaiter.take()?.resume(returning: .failure(lastFailure?.reason ?? error))
        for waiting in waiting {
            waiting.continuation.resume(returning: .failure(error))
        }
        waiting = []
        onEnd(reason)
    }

    /// Fails a request because the connection ended: a cancellation or a deadline that led to it is the better reason.
    private func fail(_ active: Active, with error: PostgresError) -> PostgresError {
        if active.isDrained {
            active.continuation?.resume(returning: active.outcome)
            return error
        }
        let reason = active.cancelReason?.error(limit: active.request.timeout) ?? error
        active.announcement?.onFailure(reason)
        active.continuation?.resume(returning: .failure(reason))
        return reason
    }
}
