import Synchronization

/// How far a transaction is kept apart from the ones beside it.
package enum PostgresIsolation: Sendable {
    /// Each statement sees what was committed before it.
    case readCommitted
    /// All statements see what was committed before the first one; conflicting writes fail with 40001.
    case repeatableRead
    /// As if transactions ran one after another; those that cannot fail with 40001.
    case serializable

    var beginning: PostgresQuery {
        switch self {
        case .readCommitted: "begin isolation level read committed"
        case .repeatableRead: "begin isolation level repeatable read"
        case .serializable: "begin isolation level serializable"
        }
    }

    var readOnlyBeginning: PostgresQuery {
        switch self {
        case .readCommitted: "begin isolation level read committed read only"
        case .repeatableRead: "begin isolation level repeatable read read only"
        case .serializable: "begin isolation level serializable read only"
        }
    }
}

/// A transaction under way; see `PostgresClient.withTransaction`. It ends with the closure it was given to.
package struct PostgresTransaction: PostgresExecutor {
    let lease: PostgresLease
    let hooks: PostgresCommitHooks

    /// Runs one statement. The first one takes BEGIN along in the same round trip. See `PostgresExecutor.query`.
    @discardableResult
    package func query(_ query: PostgresQuery) async throws -> PostgresRows {
        try await self.query(query, timeout: lease.settings.statementTimeout)
    }

    /// Runs one statement with a limit of its own; nil is no limit on this side. In session mode the server's limit, a
    /// second above that of the settings, still holds unless the transaction begins with `set local statement_timeout`.
    @discardableResult
    package func query(_ query: PostgresQuery, timeout: Duration?) async throws -> PostgresRows {
        try await lease.run([query], timeout: timeout)[0]
    }

    /// Runs statements in one round trip. After an error the transaction can only be rolled back.
    @discardableResult
    package func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
        try await lease.run(queries, timeout: lease.settings.statementTimeout)
    }

    /// Has something done once after COMMIT has succeeded, before `withTransaction` returns; never after a rollback.
    /// Actions run in the order in which they were added.
    package func afterCommit(_ action: @escaping @Sendable () async -> Void) {
        hooks.add(action)
    }
}

/// What waits for a transaction's commit.
final class PostgresCommitHooks: Sendable {
    private let actions = Mutex<[@Sendable () async -> Void]>([])

    func add(_ action: @escaping @Sendable () async -> Void) {
        actions.withLock { $0.append(action) }
    }

    func run() async {
        for action in actions.withLock({ $0 }) { await action() }
    }
}
