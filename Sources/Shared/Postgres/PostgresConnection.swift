import Synchronization

/// A connection lent to one caller; every use of it ends with the closure it was lent to.
package struct PostgresConnection: PostgresExecutor {
    let lease: PostgresLease

    /// Runs one statement. See `PostgresExecutor.query`.
    @discardableResult
    package func query(_ query: PostgresQuery) async throws -> PostgresRows {
        try await self.query(query, timeout: lease.settings.statementTimeout)
    }

    /// Runs one statement with a limit of its own; nil is no limit on this side. In session mode the server's limit,
    /// a second above the setting, still holds.
    @discardableResult
    package func query(_ query: PostgresQuery, timeout: Duration?) async throws -> PostgresRows {
        try await lease.run([query], timeout: timeout)[0]
    }

    /// Runs statements in one round trip as one implicit transaction. See `PostgresExecutor.pipeline`.
    @discardableResult
    package func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
        try await lease.run(queries, timeout: lease.settings.statementTimeout)
    }

    /// Runs text of any number of statements that bind nothing and return nothing of interest, such as a migration.
    ///
    /// It is one implicit transaction unless it contains its own BEGIN and COMMIT.
    package func execute(_ script: PostgresQuery, timeout: Duration?) async throws {
        _ = try await lease.run(script: script, timeout: timeout)
    }

    /// Whether no transaction is open.
    var isOutsideTransaction: Bool {
        lease.session.condition.load(ordering: .relaxed) != .inTransaction
    }

    /// The process id of the server's backend that serves this connection.
    package var backendProcessID: Int32 { lease.session.processID }
}

/// The time during which a connection is lent, shared by everything that uses the loan.
final class PostgresLease: Sendable {
    let session: PostgresSession
    let settings: PostgresSettings
    /// Goes along with the first statements of a transaction.
    let opening: PostgresOpening?
    private let hasEnded = Atomic<Bool>(false)
    private let sawFailover = Atomic<Bool>(false)
    private let expectsReadOnly: Bool

    init(
        _ session: PostgresSession, _ settings: PostgresSettings, opening: PostgresOpening? = nil,
        expectsReadOnly: Bool = false
    ) {
        self.session = session
        self.settings = settings
        self.opening = opening
        self.expectsReadOnly = expectsReadOnly
    }

    var isActive: Bool { !hasEnded.load(ordering: .acquiring) }

    /// From now on every use is refused; says what to do with the connection.
    func end() -> PostgresPoolMachine.Verdict {
        hasEnded.store(true, ordering: .releasing)
        return sawFailover.load(ordering: .relaxed) ? .recycle : .reuse
    }

    func run(
        _ queries: [PostgresQuery], timeout: Duration?, isCancellable: Bool = true
    ) async throws(PostgresError) -> [PostgresRows] {
        // In transaction mode each round trip outside a transaction is a transaction.
        if opening == nil, let setUp = settings.transactionSetUp {
            return try await run(
                .statements([setUp] + queries, hidden: 1), timeout: timeout, isCancellable: isCancellable)
        }
        return try await run(
            .statements(queries, opening: opening), timeout: timeout, isCancellable: isCancellable)
    }

    /// One statement by itself, which in transaction mode takes no settings along.
    func run(
        alone query: PostgresQuery, timeout: Duration?, isCancellable: Bool = true
    ) async throws(PostgresError) -> [PostgresRows] {
        try await run(.statements([query]), timeout: timeout, isCancellable: isCancellable)
    }

    func run(script: PostgresQuery, timeout: Duration?) async throws(PostgresError) -> [PostgresRows] {
        guard script.parameters.list.isEmpty else {
            throw PostgresError(.misuse, "a script cannot bind values")
        }
        return try await run(.script(script.sql), timeout: timeout, isCancellable: true)
    }

    private func run(
        _ work: PostgresRequest.Work, timeout: Duration?, isCancellable: Bool
    ) async throws(PostgresError) -> [PostgresRows] {
        let request = PostgresRequest(work, timeout: timeout)
        return try await checked { () async throws(PostgresError) in
            try await session.run(request, isCancellable: isCancellable)
        }
    }

    // MARK: COPY

    func startCopy(_ sql: String, timeout: Duration?) async throws(PostgresError) -> PostgresRequest {
        let request = PostgresRequest(.copyIn(sql), timeout: timeout)
        _ = try await checked { () async throws(PostgresError) in try await session.run(request) }
        return request
    }

    func copyData(_ bytes: [UInt8], _ request: PostgresRequest) async throws(PostgresError) {
        try await checked { () async throws(PostgresError) in try await session.copyData(bytes, request) }
    }

    func endCopy(_ request: PostgresRequest) async throws(PostgresError) -> Int {
        let rows = try await checked { () async throws(PostgresError) in
            try await session.copyEnd(request, failure: nil).get()
        }
        return rows.last?.affectedRows ?? 0
    }

    /// Ends a COPY without effect. The server's answer says no more than that it was aborted.
    func abortCopy(_ request: PostgresRequest) async {
        _ = await session.copyEnd(request, failure: "aborted by the client")
    }

    private func checked<T: Sendable>(
        _ body: () async throws(PostgresError) -> T
    ) async throws(PostgresError) -> T {
        guard isActive else {
            throw PostgresError(.misuse, "the connection was used after the closure it was lent to had ended")
        }
        do {
            return try await body()
        } catch {
            note(error)
            throw error
        }
    }

    /// Remembers when an error says that the server is no longer the primary.
    private func note(_ error: PostgresError) {
        if error.meansFailover, !(expectsReadOnly && error.sqlState == "25006") {
            sawFailover.store(true, ordering: .relaxed)
        }
    }
}
