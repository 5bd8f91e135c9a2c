package import Foundation

/// The tables `auth_sessions` and `refresh_tokens`.
package struct PostgresSessionStore: Sendable {
    /// A store without state.
    package init() {}

    /// Stores a sign-in, and drops some that ended long ago.
    package func insert(_ new: NewSession, in transaction: PostgresTransaction) async throws -> Session {
        var statements: [PostgresQuery] = [
            """
            delete from auth_sessions where id in (
                select id from auth_sessions where expires_at < now() - interval '1 day' order by expires_at limit 20
                for update skip locked)
            """,
            """
            insert into auth_sessions (id, user_id, provider, ip_address, user_agent, expires_at)
            values (
                \(new.id), \(new.userId), \(new.provider), \(new.ipAddress), \(new.userAgent),
                now() + \(new.lifetime.inSeconds) * interval '1 second')
            returning \(unescaped: Self.columns)
            """,
        ]
        if let hash = new.refreshHash {
            statements.append("insert into refresh_tokens (token_hash, session_id) values (\(hash), \(new.id))")
        }
        return try Self.session(try await transaction.pipeline(statements)[1][0])
    }

    /// The live sessions of a user, the newest first; at most 200.
    package func live(of userId: UUID, in executor: any PostgresExecutor) async throws -> [Session] {
        try await executor.query(
            """
            select \(unescaped: Self.columns) from auth_sessions
            where user_id = \(userId) and revoked_at is null and expires_at > now()
            order by created_at desc, id limit 200
            """
        ).map(Self.session)
    }

    /// The session with this id, ended ones included.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> Session? {
        try await executor.query("select \(unescaped: Self.columns) from auth_sessions where id = \(id)")
            .first.map(Self.session)
    }

    /// Ends sessions of a user that are live: one of them, or all.
    ///
    /// - Returns: how many were live.
    package func revoke(
        _ id: UUID? = nil, of userId: UUID, reason: String, in executor: any PostgresExecutor
    ) async throws -> Int {
        try await executor.query(
            """
            update auth_sessions set revoked_at = now(), revoke_reason = \(reason)
            where user_id = \(userId) and (\(id)::uuid is null or id = \(id)) and revoked_at is null
                and expires_at > now()
            """
        ).affectedRows
    }

    /// Exchanges a refresh token for its successor. A token that was used before ends its session.
    ///
    /// - Parameters:
    ///   - hash: SHA-256 of the token, in hexadecimal.
    ///   - sessionId: the session it is said to belong to, if that is said.
    ///   - next: SHA-256 of its successor.
    package func refresh(
        _ hash: String, of sessionId: UUID?, next: String, in transaction: PostgresTransaction
    ) async throws -> RefreshOutcome {
        // The session's row is locked first, so that two uses of one token come one after the other.
        let found = try await transaction.query(
            """
            select \(unescaped: Self.columns)
            from auth_sessions join (select token_hash, session_id from refresh_tokens) t on t.session_id = id
            where t.token_hash = \(hash) and (\(sessionId)::uuid is null or id = \(sessionId)) and revoked_at is null
                and expires_at > now()
            for update of auth_sessions
            """)
        guard let row = found.first else { return .refused }
        let session = try Self.session(row)
        let used = try await transaction.query(
            "update refresh_tokens set used_at = now() where token_hash = \(hash) and used_at is null")
        guard used.affectedRows == 1 else {
            _ = try await revoke(session.id, of: session.userId, reason: "refresh_token_reused", in: transaction)
            return .reused(session)
        }
        try await transaction.pipeline([
            "insert into refresh_tokens (token_hash, session_id) values (\(next), \(session.id))",
            "update auth_sessions set last_seen_at = now() where id = \(session.id)",
        ])
        return .rotated(session)
    }

    private static let columns: StaticString =
        "id, user_id, provider, ip_address, user_agent, created_at, last_seen_at, expires_at"

    private static func session(_ row: PostgresRow) throws(PostgresError) -> Session {
        Session(
            id: try row.get("id"), userId: try row.get("user_id"), provider: try row.get("provider"),
            ipAddress: try row.get("ip_address"), userAgent: try row.get("user_agent"),
            createdAt: try row.get("created_at"), lastSeenAt: try row.get("last_seen_at"),
            expiresAt: try row.get("expires_at"))
    }
}
