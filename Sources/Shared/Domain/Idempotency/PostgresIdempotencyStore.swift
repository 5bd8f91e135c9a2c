/// The table `idempotency_keys`.
package struct PostgresIdempotencyStore: Sendable {
    /// A store without state.
    package init() {}

    /// Claims a key in the change's own transaction. A second request waits here for the first one, at most `wait`.
    ///
    /// Throws ``IdempotencyInProgress`` when the first one is still being worked on; the transaction is then of no use.
    package func claim(
        _ scope: IdempotencyScope, bodyHash: String, wait: Duration, in transaction: PostgresTransaction
    ) async throws -> IdempotencyClaim {
        let results: [PostgresRows]
        do {
            results = try await transaction.pipeline([
                "select set_config('lock_timeout', \("\(max(wait.inMilliseconds, 1))ms"), true)",
                """
                insert into idempotency_keys (caller, method, path, key, body_hash)
                values (\(scope.caller), \(scope.method), \(scope.path), \(scope.key), \(bodyHash))
                on conflict do nothing
                returning key
                """,
                "set local lock_timeout to default",
            ])
        } catch let error as PostgresError where error.sqlState == "55P03" {
            throw IdempotencyInProgress()
        }
        guard results[1].isEmpty else { return .first }
        let row = try await transaction.query(
            """
            select body_hash, status, response, headers from idempotency_keys
            where caller = \(scope.caller) and method = \(scope.method) and path = \(scope.path)
                and key = \(scope.key)
            """
        ).first
        // Gone again: the purge took it between the two statements, so the next try will be the first one.
        guard let row else { throw IdempotencyInProgress() }
        let (storedHash, status, body, headers) = try row.decode(
            String.self, Int?.self, JSONValue?.self, JSONValue?.self)
        guard storedHash == bodyHash else { return .otherBody }
        // A row without an answer was committed by a change that gave none: its repetition cannot be served.
        guard let status else { throw IdempotencyInProgress() }
        let pairs = (headers?.objectValue ?? [:]).compactMapValues(\.stringValue)
        return .answered(StoredAnswer(status: status, body: body, headers: pairs))
    }

    /// Stores the answer of a claimed key, in the transaction that claimed it.
    package func store(
        _ answer: StoredAnswer, for scope: IdempotencyScope, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update idempotency_keys set status = \(answer.status), response = \(answer.body),
                headers = \(JSONValue.object(answer.headers.mapValues(JSONValue.string)))
            where caller = \(scope.caller) and method = \(scope.method) and path = \(scope.path)
                and key = \(scope.key)
            """)
    }

    /// Deletes up to `limit` keys that are older than `age`. Gives how many.
    package func purge(olderThan age: Duration, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            delete from idempotency_keys where (caller, method, path, key) in (
                select caller, method, path, key from idempotency_keys
                where created_at < now() - make_interval(secs => \(age.inSeconds))
                order by created_at limit \(limit) for update skip locked)
            """
        ).affectedRows
    }
}
