package import Foundation

/// Finds the people behind credentials, many in one query, and notes when credentials were last used.
package struct PostgresCallerStore: Sendable {
    /// A store without state.
    package init() {}

    /// The users of live sessions, by session; whether a user is active is for the caller to judge.
    package func users(ofSessions ids: [UUID], in executor: any PostgresExecutor) async throws -> [UUID: User] {
        let rows = try await executor.query(
            """
            select s.session_id, \(unescaped: PostgresUserStore.columns)
            from (
                select id as session_id, user_id as owner_id from auth_sessions
                where id = any (\(ids)) and revoked_at is null and expires_at > now()
            ) s join users on users.id = s.owner_id
            """)
        return Dictionary(
            try rows.map { (try $0.get("session_id"), try PostgresUserStore.user($0)) },
            uniquingKeysWith: { first, _ in first })
    }

    /// Somebody who shows an API key.
    package struct KeyHolder: Sendable {
        package var keyId: UUID
        package var user: User
    }

    /// The holders of keys that are neither revoked, deleted nor expired, by the keys' hashes; one that was rotated out
    /// counts until its grace is over.
    package func holders(ofKeys hashes: [String], in executor: any PostgresExecutor) async throws -> [String: KeyHolder]
    {
        let rows = try await executor.query(
            """
            select k.key_id, k.key_hash, \(unescaped: PostgresUserStore.columns)
            from (
                select a.id as key_id, h.key_hash, a.user_id as owner_id
                from api_key_hashes h join api_keys a on a.id = h.api_key_id
                where h.key_hash = any (\(hashes)) and a.is_active and a.revoke_requested_at is null
                    and a.deleted_at is null and (a.expires_at is null or a.expires_at > now()) and h.gone_at is null
                    and (h.role = 'current' or (h.role = 'old' and h.retire_at > now()))
            ) k join users on users.id = k.owner_id
            """)
        return Dictionary(
            try rows.map {
                (
                    try $0.get("key_hash"),
                    KeyHolder(keyId: try $0.get("key_id"), user: try PostgresUserStore.user($0))
                )
            }, uniquingKeysWith: { first, _ in first })
    }

    /// Notes the last uses of sessions, keys and service tokens; an older moment than known changes nothing. Rows that
    /// somebody else holds are passed over: the next use says the same.
    package func note(_ uses: CredentialUses, in executor: any PostgresExecutor) async throws {
        try await note(uses.sessions, table: "auth_sessions", column: "last_seen_at", in: executor)
        try await note(uses.keys, table: "api_keys", column: "last_used_at", in: executor)
        try await note(uses.serviceTokens, table: "service_tokens", column: "last_used_at", in: executor)
    }

    private func note(
        _ uses: [UUID: Date], table: StaticString, column: StaticString, in executor: any PostgresExecutor
    ) async throws {
        guard !uses.isEmpty else { return }
        let (ids, times) = (Array(uses.keys), Array(uses.values))
        try await executor.query(
            """
            update \(unescaped: table) set \(unescaped: column) = greatest(\(unescaped: column), u.at)
            from unnest(\(ids), \(times)) as u (used, at)
            where id = u.used and id in (
                select id from \(unescaped: table) where id = any (\(ids)) order by id
                for no key update skip locked)
            """)
    }
}

/// When credentials were last used, by their rows.
package struct CredentialUses: Sendable {
    package var sessions: [UUID: Date] = [:]
    package var keys: [UUID: Date] = [:]
    package var serviceTokens: [UUID: Date] = [:]

    package init() {}

    package var count: Int { sessions.count + keys.count + serviceTokens.count }
}
