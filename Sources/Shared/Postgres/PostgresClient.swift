package import Logging
import ServiceLifecycle

/// The way to the database: a pool of connections, all served by one event-loop thread.
///
/// Connections are opened when needed; `run()` keeps the minimum, closes idle and old ones and checks the rest, but
/// statements can be run without it. Every wait has a limit of `PostgresSettings`.
package final class PostgresClient: PostgresExecutor, Service {
    /// The settings it was made with.
    package let settings: PostgresSettings
    let pool: PostgresPool
    let logger: Logger

    /// How long `close` waits for connections that are in use.
    private static let closeGrace: Duration = .seconds(5)

    /// Makes a client; nothing is opened yet.
    package init(settings: PostgresSettings, logger: Logger) {
        self.settings = settings
        self.logger = logger
        pool = PostgresPool(settings: settings, loop: PostgresEventLoop(name: "postgres"), logger: logger)
    }

    // MARK: Statements

    /// Runs one statement on any connection. See `PostgresExecutor.query`.
    @discardableResult
    package func query(_ query: PostgresQuery) async throws -> PostgresRows {
        try await run([query], setUp: settings.transactionSetUp)[0]
    }

    /// Runs statements in one round trip as one transaction. See `PostgresExecutor.pipeline`.
    @discardableResult
    package func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows] {
        try await run(queries, setUp: settings.transactionSetUp)
    }

    /// Runs one statement and, after its commit, an announcement that travels with it. Returns once the statement is
    /// committed.
    package func query(_ query: PostgresQuery, announcing announcement: PostgresAnnouncement) async throws
        -> PostgresRows
    {
        try await run([query], setUp: settings.transactionSetUp, announcement: announcement)[0]
    }

    /// Runs statements in one round trip as one transaction under run-time parameters that hold for it alone.
    ///
    /// This is how planner settings work behind a pooler in transaction mode.
    @discardableResult
    package func pipeline(
        _ queries: [PostgresQuery], localSettings: [String: String]
    ) async throws -> [PostgresRows] {
        let isSession = settings.poolMode == .session
        let values = isSession ? localSettings : settings.sessionSettings.merging(localSettings) { $1 }
        return try await run(queries, setUp: PostgresSettings.setting(values, isLocal: true))
    }

    private func run(
        _ queries: [PostgresQuery], setUp: PostgresQuery?, announcement: PostgresAnnouncement? = nil
    ) async throws -> [PostgresRows] {
        guard !queries.isEmpty else { return [] }
        let work: PostgresRequest.Work =
            if let setUp {
                .statements([setUp] + queries, hidden: 1, announcement: announcement)
            } else {
                .statements(queries, announcement: announcement)
            }
        let session = try await pool.lease()
        do {
            let rows = try await session.run(PostgresRequest(work, timeout: settings.statementTimeout))
            pool.release(session)
            return rows
        } catch {
            pool.release(session, error.meansFailover ? .recycle : .reuse)
            throw error
        }
    }

    /// Runs a statement that cannot be in a transaction or takes long, such as VACUUM, with a limit of its own that
    /// holds on the server too.
    package func maintain(_ statement: PostgresQuery, timeout: Duration) async throws {
        let lease = PostgresLease(try await pool.lease(), settings)
        defer { pool.release(lease.session, lease.end()) }
        guard settings.poolMode == .session, let setUp = settings.sessionSetUp else {
            _ = try await lease.run(alone: statement, timeout: timeout)
            return
        }
        let limit = ["statement_timeout": "\(PostgresSettings.serverLimit(for: timeout))"]
        if let raise = PostgresSettings.setting(limit, isLocal: false) {
            _ = try await lease.run(alone: raise, timeout: settings.statementTimeout)
        }
        let outcome: Result<Void, PostgresError>
        do {
            _ = try await lease.run(alone: statement, timeout: timeout)
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        do {
            _ = try await lease.run(alone: setUp, timeout: settings.statementTimeout, isCancellable: false)
        } catch {
            // A connection with another limit than the rest must not go back.
            lease.session.close()
        }
        try outcome.get()
    }

    // MARK: Connections

    /// Lends a connection to a closure. In transaction mode each round trip may reach another server connection.
    ///
    /// Throws what the closure throws, or `PostgresError` when no connection can be had. A transaction that the closure
    /// begins by hand and does not end costs the connection.
    @discardableResult
    package func withConnection<T: Sendable>(
        _ body: @Sendable (PostgresConnection) async throws -> T
    ) async throws -> T {
        let lease = PostgresLease(try await pool.lease(), settings)
        defer { pool.release(lease.session, lease.end()) }
        return try await body(PostgresConnection(lease: lease))
    }

    // MARK: Life

    /// Maintains the pool until graceful shutdown or cancellation, then closes it.
    package func run() async throws {
        await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                self.pool.tick()
                do {
                    try await Task.sleep(for: .seconds(1), tolerance: .milliseconds(200))
                } catch {
                    break
                }
            }
        }
        await close()
    }

    /// Refuses further use, waits a little for connections in use to come back, and closes them all.
    package func close() async {
        await pool.close(grace: Self.closeGrace)
    }

    /// What the pool holds and has done.
    package var statistics: PostgresPoolStatistics { pool.statistics }
}
