/// A setting that cannot be used: which one, why, and what to write instead. Quotes no connection string.
package struct PostgresSettingsError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The environment variable.
    package let variable: String
    /// What is wrong with it.
    package let problem: String
    /// What to do.
    package let fix: String

    /// Variable, problem and fix in one line.
    package var description: String { "\(variable) \(problem): \(fix)" }
}

extension PostgresSettings {
    /// Reads the settings from environment variables; an empty variable counts as absent.
    ///
    /// - `DATABASE_URL`: required, the connection string.
    /// - `DATABASE_DIRECT_URL`: past the pooler; required when `DATABASE_POOL_MODE` is `transaction`.
    /// - `DATABASE_POOL_SIZE`, else `DB_MAX_CONNECTIONS`: 1 to 1000, default 20.
    /// - `DATABASE_POOL_MIN`: 0 to the size, default 0.
    /// - `DATABASE_POOL_MODE`: `session` (default) or `transaction`.
    /// - `DATABASE_PREPARED_STATEMENTS`: `true` (default) or `false`.
    /// - `DATABASE_MAX_WAITING`: 1 to 1000000, default 1000.
    /// - in milliseconds: `DB_IDLE_TIMEOUT` (30000), `DB_CONNECTION_TIMEOUT` (5000), `DATABASE_LEASE_TIMEOUT` (5000),
    ///   `DATABASE_STATEMENT_TIMEOUT` (30000), `DATABASE_MAX_AGE` (1800000).
    ///
    /// Throws `PostgresSettingsError` for the first variable that cannot be used.
    package init(environment: [String: String]) throws(PostgresSettingsError) {
        let reader = EnvironmentReader(values: environment)
        guard let url = try reader.url("DATABASE_URL") else {
            throw PostgresSettingsError(
                variable: "DATABASE_URL", problem: "is missing",
                fix: "set it to postgres://user:password@host:5432/database")
        }
        self.init(url: url, directURL: try reader.url("DATABASE_DIRECT_URL"))
        let sizeVariable = reader.value("DATABASE_POOL_SIZE") == nil ? "DB_MAX_CONNECTIONS" : "DATABASE_POOL_SIZE"
        maxConnections = try reader.number(sizeVariable, 1...1000) ?? maxConnections
        minConnections = try reader.number("DATABASE_POOL_MIN", 0...maxConnections) ?? minConnections
        maxWaiting = try reader.number("DATABASE_MAX_WAITING", 1...1_000_000) ?? maxWaiting
        idleTimeout = try reader.milliseconds("DB_IDLE_TIMEOUT", 1000...86_400_000) ?? idleTimeout
        connectTimeout = try reader.milliseconds("DB_CONNECTION_TIMEOUT", 100...600_000) ?? connectTimeout
        leaseTimeout = try reader.milliseconds("DATABASE_LEASE_TIMEOUT", 10...600_000) ?? leaseTimeout
        statementTimeout = try reader.milliseconds("DATABASE_STATEMENT_TIMEOUT", 10...86_400_000) ?? statementTimeout
        maxAge = try reader.milliseconds("DATABASE_MAX_AGE", 10_000...604_800_000) ?? maxAge
        try readPoolMode(reader)
    }

    private mutating func readPoolMode(_ reader: EnvironmentReader) throws(PostgresSettingsError) {
        if let text = reader.value("DATABASE_POOL_MODE") {
            guard let mode = PostgresPoolMode(rawValue: text.lowercased()) else {
                throw PostgresSettingsError(
                    variable: "DATABASE_POOL_MODE", problem: "is none of the known modes",
                    fix: "use session, or transaction behind PgBouncer in transaction mode")
            }
            poolMode = mode
        }
        let wantsPrepared = try reader.boolean("DATABASE_PREPARED_STATEMENTS")
        preparedStatements = wantsPrepared ?? (poolMode == .session)
        guard poolMode == .transaction else { return }
        if wantsPrepared == true {
            throw PostgresSettingsError(
                variable: "DATABASE_PREPARED_STATEMENTS", problem: "cannot be true in transaction mode",
                fix: "remove it, or set DATABASE_POOL_MODE=session")
        }
        if reader.value("DATABASE_DIRECT_URL") == nil {
            throw PostgresSettingsError(
                variable: "DATABASE_DIRECT_URL", problem: "is missing although DATABASE_POOL_MODE is transaction",
                fix: "set it to a connection string of PostgreSQL itself: LISTEN and migrations need a session")
        }
    }
}

private struct EnvironmentReader {
    let values: [String: String]

    func value(_ variable: String) -> String? {
        guard let value = values[variable], !value.isEmpty else { return nil }
        return value
    }

    func url(_ variable: String) throws(PostgresSettingsError) -> Secret? {
        guard let url = value(variable).map(Secret.init) else { return nil }
        if let problem = LibPQConnector.problem(with: url) {
            throw PostgresSettingsError(
                variable: variable, problem: "is no usable connection string", fix: problem)
        }
        return url
    }

    func number(_ variable: String, _ range: ClosedRange<Int>) throws(PostgresSettingsError) -> Int? {
        guard let text = value(variable) else { return nil }
        guard let number = Int(text), range.contains(number) else {
            throw PostgresSettingsError(
                variable: variable, problem: "is no whole number in its range",
                fix: "use \(range.lowerBound) to \(range.upperBound)")
        }
        return number
    }

    func milliseconds(_ variable: String, _ range: ClosedRange<Int>) throws(PostgresSettingsError) -> Duration? {
        guard value(variable) != nil else { return nil }
        do {
            return try number(variable, range).map { .milliseconds($0) }
        } catch {
            throw PostgresSettingsError(
                variable: variable, problem: error.problem, fix: "\(error.fix) (milliseconds)")
        }
    }

    func boolean(_ variable: String) throws(PostgresSettingsError) -> Bool? {
        switch value(variable)?.lowercased() {
        case nil: return nil
        case "true", "1", "yes", "on": return true
        case "false", "0", "no", "off": return false
        default:
            throw PostgresSettingsError(
                variable: variable, problem: "is neither true nor false", fix: "use true or false")
        }
    }
}
