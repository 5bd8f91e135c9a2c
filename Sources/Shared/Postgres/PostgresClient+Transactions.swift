import Logging
import Synchronization

extension PostgresClient {
    /// The transactions that the current task is inside of.
    @TaskLocal private static var open: [PostgresLease] = []

    /// How long ROLLBACK may take before the connection is closed instead.
    private static let rollbackTimeout: Duration = .seconds(5)

    /// Runs a closure in a transaction: committed when it returns, rolled back when it throws.
    ///
    /// - Parameters:
    ///   - retries: how often the closure may be run again after a serialization failure or a deadlock; only for
    ///     closures whose effects are all inside the transaction.
    ///   - body: gets the transaction, which ends with it. Statements of the client itself run outside of it.
    ///
    /// Throws what the closure throws, or `PostgresError`: with code `transactionAborted` when the closure returned
    /// although a statement had failed, `misuse` when called inside a transaction of the same client. After an error
    /// with `isConnectionLoss` or a time limit from COMMIT nobody knows whether it took effect.
    @discardableResult
    package func withTransaction<T: Sendable>(
        isolation: PostgresIsolation = .readCommitted, readOnly: Bool = false, retries: Int = 0,
        _ body: @Sendable (PostgresTransaction) async throws -> T
    ) async throws -> T {
        guard !Self.open.contains(where: { $0.isActive && $0.session.loop === pool.loop }) else {
            throw PostgresError(
                .misuse, "withTransaction inside withTransaction: hand the transaction on instead of beginning another")
        }
        let beginning = readOnly ? isolation.readOnlyBeginning : isolation.beginning
        let backoff = Backoff(initial: .milliseconds(10), cap: .milliseconds(200))
        var attempt = 0
        while true {
            do {
                return try await runTransaction(beginning, readOnly: readOnly, body)
            } catch let error as PostgresError where error.isRetryable && attempt < retries {
                attempt += 1
                logger.debug("a transaction is tried again", metadata: ["error": "\(error)", "retry": "\(attempt)"])
                try await Task.sleep(for: backoff.delay(afterAttempt: attempt))
            }
        }
    }

    private func runTransaction<T: Sendable>(
        _ beginning: PostgresQuery, readOnly: Bool, _ body: @Sendable (PostgresTransaction) async throws -> T
    ) async throws -> T {
        let opening = PostgresOpening([beginning] + (settings.transactionSetUp.map { [$0] } ?? []))
        let lease = PostgresLease(
            try await pool.lease(), settings, opening: opening, expectsReadOnly: readOnly)
        let hooks = PostgresCommitHooks()
        let value: T
        do {
            let transaction = PostgresTransaction(lease: lease, hooks: hooks)
            value = try await Self.$open.withValue(Self.open + [lease]) { try await body(transaction) }
            try await commit(lease)
        } catch {
            await rollBack(lease)
            pool.release(lease.session, lease.end())
            throw error
        }
        pool.release(lease.session, lease.end())
        await hooks.run()
        return value
    }

    /// Ends the transaction. Not cancellable: a cancelled COMMIT would leave the outcome open.
    private func commit(_ lease: PostgresLease) async throws {
        guard let opening = lease.opening, opening.isSent.load(ordering: .relaxed) else { return }
        let rows = try await lease.run(["commit"], timeout: settings.statementTimeout, isCancellable: false)
        guard rows.first?.command.hasPrefix("COMMIT") ?? false else {
            throw PostgresError(
                .transactionAborted, "COMMIT became ROLLBACK: a statement of the transaction failed before")
        }
    }

    private func rollBack(_ lease: PostgresLease) async {
        guard lease.session.condition.load(ordering: .relaxed) == .inTransaction else { return }
        do {
            _ = try await lease.run(["rollback"], timeout: Self.rollbackTimeout, isCancellable: false)
        } catch {
            logger.warning("a transaction could not be rolled back", metadata: ["error": "\(error)"])
            lease.session.close()
        }
    }
}
