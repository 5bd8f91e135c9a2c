package import Foundation

/// Whether LiteLLM should take a key, and whether it was last seen to refuse it for its owner's sake.
package struct APIKeyStanding: Sendable, Equatable {
    /// SHA-256 of the secret in hexadecimal.
    package var hash: String
    /// False from the moment somebody revokes it.
    package var isActive: Bool
    /// Whether its owner may sign in.
    package var ownerIsActive: Bool
    /// Since when LiteLLM refuses it because its owner is deactivated.
    package var blockedAt: Date?
}

extension PostgresAPIKeyStore {
    /// How a key stands; nil when there is none.
    package func standing(_ id: UUID, in executor: any PostgresExecutor) async throws -> APIKeyStanding? {
        try await executor.query(
            """
            select k.key_hash, k.is_active, u.is_active as owner_is_active, k.blocked_at
            from api_keys k join users u on u.id = k.user_id where k.id = \(id)
            """
        ).first.map { row in
            APIKeyStanding(
                hash: try row.get("key_hash"), isActive: try row.get("is_active"),
                ownerIsActive: try row.get("owner_is_active"), blockedAt: try row.get("blocked_at"))
        }
    }

    /// Locks a user's keys that nobody revoked, and gives their ids. Expired ones are left out.
    package func lockLive(ofUser userId: UUID, in transaction: PostgresTransaction) async throws -> [UUID] {
        try await transaction.query(
            """
            select id from api_keys where user_id = \(userId) and is_active
                and (expires_at is null or expires_at > now())
            order by id for no key update
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Locks the keys of these users that name the model and that nobody revoked, and gives their ids, sorted.
    package func lockLive(
        ofUsers userIds: [UUID], modelId: String, in transaction: PostgresTransaction
    ) async throws -> [UUID] {
        try await transaction.query(
            """
            select k.id from api_keys k
            where k.user_id = any (\(userIds)) and k.is_active and (k.expires_at is null or k.expires_at > now())
                and exists (select from api_key_models m where m.api_key_id = k.id and m.model_id = \(modelId))
            order by k.id for no key update of k
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Notes whether LiteLLM refuses the key because its owner is deactivated. False when that was known.
    package func markBlocked(
        _ id: UUID, _ isBlocked: Bool, in transaction: PostgresTransaction
    ) async throws -> Bool {
        try await transaction.query(
            """
            update api_keys set blocked_at = case when \(isBlocked) then clock_timestamp() end
            where id = \(id) and (blocked_at is not null) <> \(isBlocked)
            """
        ).affectedRows > 0
    }

    /// How many keys a user has.
    package func counts(ofUser userId: UUID, in executor: any PostgresExecutor) async throws -> UserKeyCounts {
        let (total, active) = try await executor.query(
            """
            select count(*), count(*) filter (where \(unescaped: Self.isUsable)) from api_keys k
            where k.user_id = \(userId) and k.revoke_reason is distinct from 'deleted'
            """
        )[0].decode(Int.self, Int.self)
        return UserKeyCounts(total: total, active: active)
    }
}
