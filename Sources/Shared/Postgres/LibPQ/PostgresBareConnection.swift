import CLibPQ

/// One blocking connection of libpq with nothing of ours around it: no pool, no event loop, no retries. It is what
/// the speed of the rest is measured against; product code uses ``PostgresClient``.
///
/// Not Sendable, and every call blocks: it belongs to one thread that is not of Swift's cooperative pool.
@safe
package final class PostgresBareConnection {
    private let pointer: OpaquePointer
    private var prepared: Set<String> = []

    /// Connects to the server of `settings`. Throws `PostgresError`.
    package init(_ settings: PostgresSettings) throws(PostgresError) {
        guard let pointer = unsafe PQconnectdb(settings.url.reveal()) else {
            throw PostgresError(.connection, "libpq has no memory for a connection")
        }
        unsafe self.pointer = pointer
        unsafe clibpq_silence_notices(pointer)
        guard unsafe PQstatus(pointer) == CONNECTION_OK else { throw failure("cannot connect") }
        for (name, value) in settings.sessionSettings.sorted(by: { $0.key < $1.key }) {
            try execute("set \(identifier: name) = \(literal: value)")
        }
    }

    deinit {
        unsafe PQfinish(pointer)
    }

    /// Runs text of any number of statements that bind nothing.
    package func execute(_ script: PostgresQuery) throws(PostgresError) {
        _ = try unsafe checked(unsafe PQexec(pointer, script.sql))
    }

    /// Runs a statement, prepared under `name` when it comes for the first time.
    @discardableResult
    package func run(_ name: String, _ query: PostgresQuery) throws(PostgresError) -> PostgresRows {
        if prepared.insert(name).inserted {
            _ = try unsafe checked(
                unsafe query.parameters.withTypes { types, count in
                    unsafe PQprepare(pointer, name, query.sql, count, types)
                })
        }
        return PostgresRows(
            try unsafe checked(
                unsafe query.parameters.withValues { values, lengths, formats, count in
                    unsafe PQexecPrepared(pointer, name, count, values, lengths, formats, 1)
                }))
    }

    private func checked(_ result: OpaquePointer?) throws(PostgresError) -> LibPQResult {
        guard let result = unsafe result else { throw failure("connection lost") }
        let owned = unsafe LibPQResult(result)
        guard owned.status == .success else { throw owned.error }
        return owned
    }

    private func failure(_ what: String) -> PostgresError {
        let message = unsafe PQerrorMessage(pointer).map { unsafe String(cString: $0) } ?? ""
        return PostgresError(.connection, PostgresServerMessage.oneLine("\(what): \(message)"))
    }
}
