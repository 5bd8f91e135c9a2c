/// The SQL of `oauth_states`. Any process can end what another one began.
package struct PostgresOAuthStateStore: Sendable {
    package init() {}

    /// Remembers a sign-in under its state, of which only the hash is stored, and drops some that have expired.
    ///
    /// - Parameters:
    ///   - stateHash: SHA-256 of the state, in hexadecimal.
    ///   - lifetime: how long the callback may take.
    package func insert(
        _ state: OAuthState, stateHash: String, lifetime: Duration, in executor: any PostgresExecutor
    ) async throws {
        try await executor.pipeline([
            """
            delete from oauth_states where state_hash in (
                select state_hash from oauth_states where expires_at < now() order by expires_at limit 20
                for update skip locked)
            """,
            """
            insert into oauth_states (
                state_hash, provider, origin, pkce_verifier, nonce, wants_refresh, expires_at)
            values (
                \(stateHash), \(state.provider), \(state.origin), \(state.pkceVerifier), \(state.nonce),
                \(state.wantsRefresh), now() + \(lifetime.inSeconds) * interval '1 second')
            """,
        ])
    }

    /// Takes the sign-in out; nil when the state is unknown, was used before or has expired.
    package func take(stateHash: String, in executor: any PostgresExecutor) async throws -> OAuthState? {
        let rows = try await executor.query(
            """
            delete from oauth_states where state_hash = \(stateHash) and expires_at > now()
            returning provider, origin, pkce_verifier, nonce, wants_refresh
            """)
        return try rows.first.map { row in
            OAuthState(
                provider: try row.get("provider"), origin: try row.get("origin"),
                pkceVerifier: try row.get("pkce_verifier"), nonce: try row.get("nonce"),
                wantsRefresh: try row.get("wants_refresh"))
        }
    }
}
