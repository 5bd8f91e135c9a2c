import CLibPQ
import Foundation
import Synchronization

/// Where and how to connect.
struct PostgresConnectOptions: Sendable {
    var url: Secret
    /// Another database than that of the connection string.
    var database: String?
    var applicationName: String
    /// The limit for each host of the connection string.
    var timeout: Duration
    /// Seconds of silence before the kernel asks whether the peer is alive.
    var keepaliveIdle = 30
}

/// Opens connections. Name look-up inside libpq blocks, so each attempt has a thread of its own; whoever waits for it
/// is released at the deadline even if the thread is not.
enum LibPQConnector {
    /// Connects; throws `PostgresError` with code `connection` or `timeout`, or `server` for a refusal with SQLSTATE.
    static func connect(
        _ options: PostgresConnectOptions, loop: PostgresEventLoop
    ) async throws(PostgresError) -> sending Opened {
        let limit = options.timeout * max(hostCount(options.url), 1)
        let outcome = await withCheckedContinuation { continuation in
            let attempt = Attempt(continuation)
            loop.schedule(at: .now + limit) {
                let message = "no connection after \(limit.inMilliseconds) ms"
                attempt.finish(.failure(PostgresError(.timeout, message)))
            }
            let thread = Thread {
                attempt.finish(open(options))
            }
            thread.name = "postgres-connect"
            thread.start()
        }
        return try outcome.get()
    }

    /// A connection on its way from the thread that opened it to the event loop.
    ///
    /// `@unchecked Sendable`: it is handed on exactly once and touched by nobody else before or after.
    final class Opened: @unchecked Sendable {
        let connection: LibPQConnection

        init(_ connection: LibPQConnection) {
            self.connection = connection
        }
    }

    /// Resumes its waiter once: with the outcome, or with the deadline. A connection that comes too late is closed.
    private final class Attempt: Sendable {
        private let continuation: Mutex<CheckedContinuation<Result<Opened, PostgresError>, Never>?>

        init(_ continuation: CheckedContinuation<Result<Opened, PostgresError>, Never>) {
            self.continuation = Mutex(continuation)
        }

        func finish(_ outcome: Result<Opened, PostgresError>) {
            continuation.withLock { $0.take() }?.resume(returning: outcome)
        }
    }

    /// Blocks.
    private static func open(_ options: PostgresConnectOptions) -> Result<Opened, PostgresError> {
        if let problem = problem(with: options.url) {
            return .failure(PostgresError(.connection, "the connection string is wrong: \(problem)"))
        }
        let seconds = Int(options.timeout.inSeconds.rounded(.up))
        // What stands before the connection string are defaults that it may override, what stands behind overrides it.
        var settings: [(String, String)] = [
            ("fallback_application_name", options.applicationName),
            ("keepalives_idle", String(options.keepaliveIdle)),
            ("keepalives_interval", "5"),
            ("keepalives_count", "3"),
            ("tcp_user_timeout", "30000"),
            ("dbname", options.url.reveal()),
            ("connect_timeout", String(max(seconds, 2))),
            ("client_encoding", "UTF8"),
        ]
        // Of several `dbname` only the first one is taken for a connection string.
        if let database = options.database { settings.append(("dbname", database)) }
        let pointer = unsafe withCStrings(settings.map(\.0)) { keywords in
            unsafe withCStrings(settings.map(\.1)) { values in
                unsafe PQconnectdbParams(keywords, values, 1)
            }
        }
        guard let pointer = unsafe pointer else {
            return .failure(PostgresError(.connection, "libpq has no memory for a connection"))
        }
        guard unsafe PQstatus(pointer) == CONNECTION_OK else {
            defer { unsafe PQfinish(pointer) }
            return .failure(unsafe refusal(pointer))
        }
        guard let connection = unsafe LibPQConnection(pointer) else {
            return .failure(PostgresError(.connection, "the server does not speak protocol version 3"))
        }
        return .success(Opened(connection))
    }

    private static func refusal(_ pointer: OpaquePointer) -> PostgresError {
        var message = unsafe PQerrorMessage(pointer).map { unsafe String(cString: $0) } ?? "unknown reason"
        if let password = unsafe PQpass(pointer).map({ unsafe String(cString: $0) }), !password.isEmpty {
            message = message.replacing(password, with: "redacted")
        }
        // libpq 15 does not tell the SQLSTATE of a refused connection, only the text.
        return PostgresError(.connection, PostgresServerMessage.oneLine(message))
    }

    private static func withCStrings<R>(
        _ strings: [String], _ body: (UnsafePointer<UnsafePointer<CChar>?>?) -> R
    ) -> R {
        let copies = unsafe strings.map { unsafe strdup($0) }
        defer { unsafe copies.forEach { unsafe free($0) } }
        let pointers = unsafe copies.map { unsafe UnsafePointer($0) } + [nil]
        return unsafe pointers.withUnsafeBufferPointer { unsafe body($0.baseAddress) }
    }

    // MARK: Checking a connection string

    /// What is wrong with a connection string, in words that quote nothing of it; nil when libpq can use it.
    static func problem(with url: Secret) -> String? {
        guard let options = parse(url) else {
            return "libpq cannot parse it; it has the form postgres://user:password@host:5432/database?sslmode=require"
        }
        let ports = (options["port"] ?? "").split(separator: ",")
        guard ports.allSatisfy({ UInt16($0) ?? 0 > 0 }) else {
            return "the port is no number from 1 to 65535; a password with special characters is percent-encoded"
        }
        guard !["host", "dbname"].contains(where: { options[$0]?.contains("@") ?? false }) else {
            return "host or database contain an @; a password with special characters is percent-encoded"
        }
        return nil
    }

    static func hostCount(_ url: Secret) -> Int {
        guard let options = parse(url) else { return 1 }
        return (options["host"] ?? options["hostaddr"] ?? "").split(separator: ",").count
    }

    private static func parse(_ url: Secret) -> [String: String]? {
        var error: UnsafeMutablePointer<CChar>?
        let parsed = unsafe PQconninfoParse(url.reveal(), &error)
        if let error = unsafe error { unsafe PQfreemem(error) }
        guard let first = unsafe parsed else { return nil }
        defer { unsafe PQconninfoFree(first) }
        var options: [String: String] = [:]
        var option = unsafe first
        while let keyword = unsafe option.pointee.keyword {
            if let value = unsafe option.pointee.val {
                unsafe options[String(cString: keyword)] = String(cString: value)
            }
            unsafe option += 1
        }
        return options
    }
}
