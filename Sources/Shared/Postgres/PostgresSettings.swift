/// How the client behaves towards the server or a pooler before it.
package enum PostgresPoolMode: String, Sendable, CaseIterable {
    /// The connection is ours alone: the server itself, or a pooler in session mode.
    case session
    /// A pooler such as PgBouncer hands out a server connection for each transaction: nothing may be kept on it, so
    /// there are no prepared statements, and session settings are applied to each transaction anew.
    case transaction
}

/// How to reach PostgreSQL and the limits of the client.
///
/// TLS is libpq's: `sslmode`, `sslrootcert` and the rest stand in the connection string.
package struct PostgresSettings: Sendable {
    /// The connection string, `postgres://user:password@host:5432/database?sslmode=verify-full`; several hosts are
    /// tried in order, with `target_session_attrs=read-write` until the primary is found.
    package var url: Secret
    /// A connection string past any pooler, for what needs a session: LISTEN, migrations. The same as `url` by default.
    package var directURL: Secret
    /// The most connections in the pool.
    package var maxConnections = 20
    /// Connections that are kept open when idle; needs `PostgresClient.run()`.
    package var minConnections = 0
    /// Connections above the minimum that are idle for longer are closed; needs `PostgresClient.run()`.
    package var idleTimeout: Duration = .seconds(30)
    /// Connections are replaced at this age, spread over its last 15 %.
    package var maxAge: Duration = .seconds(1800)
    /// The limit for connecting, for each host.
    package var connectTimeout: Duration = .seconds(5)
    /// The limit for waiting for a connection of the pool.
    package var leaseTimeout: Duration = .seconds(5)
    /// How many callers may wait for a connection; further ones are refused at once.
    package var maxWaiting = 1000
    /// The limit for a round trip: a statement, a pipeline, a commit. Nil is no limit.
    package var statementTimeout: Duration? = .seconds(30)
    /// Whether statements are prepared once for each connection; never in transaction mode.
    package var preparedStatements = true
    /// How many prepared statements each connection keeps.
    package var statementCacheSize = 256
    /// What the pool talks to.
    package var poolMode = PostgresPoolMode.session
    /// The name shown in `pg_stat_activity`, unless the connection string has one.
    package var applicationName = "litemaas"
    /// Run-time parameters (`jit`, `search_path`, …): set once for each connection in session mode, for each
    /// transaction, in the same round trip, in transaction mode.
    package var sessionSettings: [String: String] = [:]

    /// Another database than that of the connection string.
    var database: String?

    /// The given server with default limits.
    package init(url: Secret, directURL: Secret? = nil) {
        self.url = url
        self.directURL = directURL ?? url
    }
}

extension PostgresSettings {
    /// The same server and account with another database, for direct connections too.
    package func inDatabase(_ name: String) -> PostgresSettings {
        func renamed(_ url: Secret) -> Secret {
            let text = url.reveal()
            guard text.contains("://") else { return Secret("\(text) dbname=\(name)") }
            return Secret("\(text)\(text.contains("?") ? "&" : "?")dbname=\(name)")
        }
        var settings = self
        settings.url = renamed(url)
        settings.directURL = renamed(directURL)
        return settings
    }

    var poolLimits: PostgresPoolMachine.Limits {
        var limits = PostgresPoolMachine.Limits()
        limits.maxConnections = max(maxConnections, 1)
        limits.minConnections = min(minConnections, limits.maxConnections)
        limits.maxWaiting = maxWaiting
        limits.leaseTimeout = leaseTimeout
        limits.idleTimeout = idleTimeout
        limits.maxAge = maxAge
        return limits
    }

    var connectOptions: PostgresConnectOptions {
        PostgresConnectOptions(
            url: url, database: database, applicationName: applicationName, timeout: connectTimeout)
    }

    var sessionOptions: PostgresSession.Options {
        let keepsStatements = preparedStatements && poolMode == .session
        return PostgresSession.Options(statementCacheSize: keepsStatements ? statementCacheSize : 0)
    }

    /// What a new connection is set up with; nil when a pooler would not keep it.
    ///
    /// The server's own limits back up the client's, which end a statement a second earlier and say so better; they
    /// also end what a killed process left behind.
    var sessionSetUp: PostgresQuery? {
        guard poolMode == .session else { return nil }
        var values = sessionSettings
        if let statementTimeout {
            let milliseconds = Self.serverLimit(for: statementTimeout)
            values["statement_timeout"] = values["statement_timeout"] ?? "\(milliseconds)"
            values["idle_in_transaction_session_timeout"] =
                values["idle_in_transaction_session_timeout"] ?? "\(max(milliseconds * 2, 60_000))"
        }
        return Self.setting(values, isLocal: false)
    }

    /// The server's limit in milliseconds that backs up one of ours.
    static func serverLimit(for timeout: Duration) -> Int64 {
        (timeout + .seconds(1)).inMilliseconds
    }

    /// What each transaction begins with in transaction mode; nil when there is nothing to set.
    var transactionSetUp: PostgresQuery? {
        poolMode == .transaction ? Self.setting(sessionSettings, isLocal: true) : nil
    }

    /// Sets run-time parameters, for the session or until the end of the transaction; nil for none.
    static func setting(_ values: [String: String], isLocal: Bool) -> PostgresQuery? {
        guard !values.isEmpty else { return nil }
        let calls = values.sorted { $0.key < $1.key }.map { name, value -> PostgresFragment in
            isLocal
                ? "pg_catalog.set_config(\(name), \(value), true)"
                : "pg_catalog.set_config(\(name), \(value), false)"
        }
        return "select \(PostgresFragment.joined(calls, separator: ", "))"
    }
}
