/// What went wrong in the PostgreSQL layer.
///
/// Safe to log and to keep: it carries the SQLSTATE and the names of the objects the server mentions, never a bound
/// value, a row's content, the connection string or the password.
package struct PostgresError: Error, Sendable, Equatable {
    /// The kinds of failure.
    package enum Code: String, Sendable {
        /// The server refused a statement; `sqlState` says why.
        case server
        /// The connection could not be made or was lost. A statement that was under way may have taken effect.
        case connection
        /// A time limit ran out: of connecting, of waiting for a pooled connection or of a statement.
        case timeout
        /// The Swift task was cancelled, and the statement with it.
        case cancelled
        /// A value could not be read as the type asked for.
        case decode
        /// A value cannot be sent, for example text with a NUL character.
        case encode
        /// Too many callers wait for a connection already.
        case poolExhausted = "pool_exhausted"
        /// The client is closed.
        case closed
        /// COMMIT answered with a rollback, since a statement had failed before and its error was caught.
        case transactionAborted = "transaction_aborted"
        /// The layer was used in a way that cannot work, such as a transaction after its closure ended.
        case misuse
    }

    /// The kind of failure.
    package var code: Code
    /// The five-character SQLSTATE of the server, where it said one.
    package var sqlState: String?
    /// One line, safe to show to an operator.
    package var message: String
    /// The violated constraint.
    package var constraint: String?
    /// The table concerned.
    package var table: String?
    /// The column concerned: of a table when the server says so, of the result when decoding failed.
    package var column: String?
    /// The function of the server that raised the error; tells errors with one SQLSTATE apart.
    var routine: String?

    init(_ code: Code, _ message: String, sqlState: String? = nil) {
        self.code = code
        self.message = message
        self.sqlState = sqlState
    }
}

extension PostgresError {
    /// Whether a unique or exclusion constraint refused the row; with a name, whether that one did.
    package func isUniqueViolation(_ constraint: String? = nil) -> Bool {
        guard sqlState == "23505" || sqlState == "23P01" else { return false }
        return constraint == nil || constraint == self.constraint
    }

    /// Whether a foreign key refused the change; with a name, whether that one did.
    package func isForeignKeyViolation(_ constraint: String? = nil) -> Bool {
        sqlState == "23503" && (constraint == nil || constraint == self.constraint)
    }

    /// Whether a check constraint refused the row; with a name, whether that one did.
    package func isCheckViolation(_ constraint: String? = nil) -> Bool {
        sqlState == "23514" && (constraint == nil || constraint == self.constraint)
    }

    /// Whether the transaction could not be ordered after the ones beside it (40001).
    package var isSerializationFailure: Bool { sqlState == "40001" }

    /// Whether the transaction was chosen as a deadlock's victim (40P01).
    package var isDeadlock: Bool { sqlState == "40P01" }

    /// Whether the connection is gone. What was under way may or may not have taken effect.
    package var isConnectionLoss: Bool {
        guard let sqlState else { return code == .connection }
        return sqlState.hasPrefix("08") || sqlState.hasPrefix("57P") || code == .connection
    }

    /// Whether the server is not (or no longer) the primary, so that all its connections should be given up:
    /// shutdown and crash (class 57P), read-only (25006), connection loss.
    var meansFailover: Bool {
        isConnectionLoss || sqlState == "25006"
    }

    /// Whether a kept plan became unusable by a change of schema, or a kept statement is gone.
    var isStaleStatement: Bool {
        sqlState == "26000" || (sqlState == "0A000" && routine == "RevalidateCachedQuery")
    }

    /// Whether trying the transaction again can help.
    var isRetryable: Bool {
        isSerializationFailure || isDeadlock || isStaleStatement
    }
}

extension PostgresError: CustomStringConvertible {
    /// Code, SQLSTATE and message in one line.
    package var description: String {
        var text = "postgres \(code.rawValue)"
        if let sqlState { text += " \(sqlState)" }
        text += ": \(message)"
        if let constraint { text += " (constraint \(constraint))" }
        if let table { text += " (table \(table))" }
        if let column { text += " (column \(column))" }
        return text
    }
}

/// Makes a server's message safe to keep.
enum PostgresServerMessage {
    /// The primary message, unless the SQLSTATE is of a kind whose messages quote data: then the condition's name.
    static func safe(_ message: String, sqlState: String) -> String {
        quotesData(sqlState) ? conditionName(sqlState) : oneLine(message)
    }

    /// On one line and of bounded length.
    static func oneLine(_ message: String) -> String {
        let line = message.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return line.count > 500 ? line.prefix(500) + "…" : line
    }

    // Data exceptions quote the value; messages of functions written in SQL may say anything.
    private static func quotesData(_ sqlState: String) -> Bool {
        ["22", "2F", "38", "39", "HV", "P0"].contains { sqlState.hasPrefix($0) }
    }

    private static func conditionName(_ sqlState: String) -> String {
        switch sqlState {
        case "22001": "string data right truncation: a value is too long for its column"
        case "22003": "numeric value out of range"
        case "22004": "null value not allowed"
        case "22007": "invalid datetime format"
        case "22008": "datetime field overflow"
        case "22012": "division by zero"
        case "22021": "character not in repertoire"
        case "22023": "invalid parameter value"
        case "22026": "string data length mismatch"
        case "22P02": "invalid text representation: a value does not have the form of its type"
        case "22P03": "invalid binary representation"
        case "22P05": "untranslatable character"
        case "P0001": "raised by a function of the database"
        case "P0002": "no data found"
        case "P0003": "too many rows"
        default: sqlState.hasPrefix("22") ? "data exception" : "error raised inside a function of the database"
        }
    }
}
