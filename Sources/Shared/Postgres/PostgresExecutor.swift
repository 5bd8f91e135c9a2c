/// What statements can be run on: a client, a leased connection, a transaction.
package protocol PostgresExecutor: Sendable {
    /// Runs one statement in one round trip.
    ///
    /// Throws `PostgresError`. Cancelling the task cancels the statement on the server.
    @discardableResult
    func query(_ query: PostgresQuery) async throws -> PostgresRows

    /// Runs statements in one round trip and gives their results in order.
    ///
    /// When one fails, the ones after it are skipped and its error is thrown. Outside an explicit transaction they are
    /// one implicit transaction: all of them take effect or none.
    @discardableResult
    func pipeline(_ queries: [PostgresQuery]) async throws -> [PostgresRows]
}
