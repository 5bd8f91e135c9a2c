import Synchronization

/// One piece of work for a connection, from the caller to the event loop.
final class PostgresRequest: Sendable {
    /// What there is to do.
    enum Work: Sendable {
        /// Statements in one round trip. The results of the first `hidden` ones are checked but not returned. The
        /// opening goes before them unless an earlier request has sent it. The announcement goes behind them, in a
        /// transaction of its own.
        case statements(
            [PostgresQuery], hidden: Int = 0, opening: PostgresOpening? = nil, announcement: PostgresAnnouncement? = nil
        )
        /// Text of any number of statements, by the simple protocol.
        case script(String)
        /// The start of a COPY; the connection then waits for data.
        case copyIn(String)
    }

    let work: Work
    /// How long the work may take, waiting for earlier work on the same connection included; nil is no limit.
    let timeout: Duration?
    /// Set by the caller's task; the loop may get to see the cancellation before the request.
    let isCancelled = Atomic<Bool>(false)

    init(_ work: Work, timeout: Duration?) {
        self.work = work
        self.timeout = timeout
    }
}

/// What begins a transaction. It travels with the first request of the transaction, so that it costs no round trip;
/// the event loop, where requests are in their final order, decides which one is the first.
final class PostgresOpening: Sendable {
    let queries: [PostgresQuery]
    let isSent = Atomic<Bool>(false)

    init(_ queries: [PostgresQuery]) {
        self.queries = queries
    }
}

/// A statement that goes to the server together with others but runs after their commit, whether they succeed or not,
/// and on which nobody waits: a notification.
package struct PostgresAnnouncement: Sendable {
    let query: PostgresQuery
    let onFailure: @Sendable (PostgresError) -> Void

    /// - Parameter onFailure: hears, on the event loop, when the statement failed or was given up.
    package init(_ query: PostgresQuery, onFailure: @escaping @Sendable (PostgresError) -> Void) {
        self.query = query
        self.onFailure = onFailure
    }
}

typealias PostgresOutcome = Result<[PostgresRows], PostgresError>
typealias PostgresContinuation = CheckedContinuation<PostgresOutcome, Never>

/// What a pipeline's results stand for, in the order in which they will come.
enum PostgresStep: Sendable {
    /// Giving up a kept statement by its name on the server.
    case deallocate(name: String)
    /// Keeping a statement.
    case prepare(PostgresStatementKey)
    /// Running a statement; its rows are returned or only checked.
    case run(isReturned: Bool)
}

/// Why a statement is being cancelled.
enum PostgresCancelReason: Sendable {
    case task, timeout

    func error(limit: Duration?) -> PostgresError {
        switch self {
        case .task: return PostgresError(.cancelled, "the task was cancelled")
        case .timeout:
            let milliseconds = limit.map { " of \($0.inMilliseconds) ms" } ?? ""
            return PostgresError(.timeout, "the statement ran into its time limit\(milliseconds)")
        }
    }
}
