package import Foundation

/// The table `service_tokens`.
package struct PostgresServiceTokenStore: Sendable {
    /// A store without state.
    package init() {}

    /// Stores a token that was just minted.
    package func insert(
        name: String, secret: ServiceTokenSecret, scopes: [String], expiresAt: Date?, createdBy: String,
        creatorId: UUID? = nil, in executor: any PostgresExecutor
    ) async throws -> ServiceToken {
        let rows = try await executor.query(
            """
            insert into service_tokens (name, token_hash, token_prefix, scopes, created_by, created_by_id, expires_at)
            values (\(name), \(secret.hash), \(secret.prefix), \(scopes), \(createdBy), \(creatorId),
                \(expiresAt))
            returning \(unescaped: Self.columns)
            """)
        return try Self.token(rows[0])
    }

    /// Tokens, the newest first; revoked and expired ones too.
    package func list(_ page: PageRequest, in executor: any PostgresExecutor) async throws -> Page<ServiceToken> {
        let rows = try await executor.query(
            """
            select \(unescaped: Self.columns), count(*) over () as total from service_tokens
            order by created_at desc, id limit \(page.size) offset \(page.offset)
            """)
        // A page behind the last one has no rows to tell the total.
        let total: Int
        if let first = rows.first {
            total = try first.get("total")
        } else {
            total = try await executor.query("select count(*) from service_tokens").one(Int.self)
        }
        return Page(items: try rows.map(Self.token), total: total)
    }

    /// Refuses the token from now on; nil when there is none. One that was revoked before stays as it is.
    package func revoke(_ id: UUID, by person: String, in executor: any PostgresExecutor) async throws -> ServiceToken?
    {
        try await executor.query(
            """
            update service_tokens set revoked_at = coalesce(revoked_at, now()),
                revoked_by = case when revoked_at is null then \(person) else revoked_by end
            where id = \(id)
            returning \(unescaped: Self.columns)
            """
        ).first.map(Self.token)
    }

    /// The tokens with these hashes that are good now, by hash.
    package func good(_ hashes: [String], in executor: any PostgresExecutor) async throws -> [String: ServiceToken] {
        let rows = try await executor.query(
            """
            select token_hash, \(unescaped: Self.columns) from service_tokens
            where token_hash = any (\(hashes)) and revoked_at is null and (expires_at is null or expires_at > now())
            """)
        return Dictionary(
            try rows.map { (try $0.get("token_hash"), try Self.token($0)) }, uniquingKeysWith: { first, _ in first })
    }

    private static let columns: StaticString = """
        id, name, token_prefix, scopes, created_by, created_by_id, created_at, expires_at, last_used_at, revoked_at, revoked_by
        """

    private static func token(_ row: PostgresRow) throws(PostgresError) -> ServiceToken {
        ServiceToken(
            id: try row.get("id"), name: try row.get("name"), prefix: try row.get("token_prefix"),
            scopes: try row.get("scopes"), createdBy: try row.get("created_by"),
            creatorId: try row.get("created_by_id"), createdAt: try row.get("created_at"),
            expiresAt: try row.get("expires_at"), lastUsedAt: try row.get("last_used_at"),
            revokedAt: try row.get("revoked_at"), revokedBy: try row.get("revoked_by"))
    }
}
