package import Foundation

/// A secret that LiteLLM lists, and the key of ours that has it or once had it.
package struct ListedAPIKey: Sendable {
    /// As LiteLLM knows the key by that secret.
    package var key: APIKey
    /// What the secret is to its key.
    package var token: APIKeyToken
    /// Whether its owner may sign in.
    package var ownerIsActive: Bool

    /// Whether LiteLLM is to take the secret at all.
    package var isWanted: Bool { key.isActive && token.isLive }

    /// Whether LiteLLM is to refuse a key that nobody revoked.
    package var isHeld: Bool { !ownerIsActive || key.grantedModelIds.isEmpty }
}

/// What comparing keys with LiteLLM needs.
extension PostgresAPIKeyStore {
    /// The keys that have, or once had, the secrets with these hashes.
    package func listed(hashes: [String], in executor: any PostgresExecutor) async throws -> [ListedAPIKey] {
        try await listed("h.key_hash = any (\(hashes))", in: executor)
    }

    /// Every secret that a key ever had, those included that LiteLLM was seen to have let go.
    package func listed(of id: UUID, in executor: any PostgresExecutor) async throws -> [ListedAPIKey] {
        try await listed("h.api_key_id = \(id)", in: executor)
    }

    private func listed(
        _ condition: PostgresFragment, in executor: any PostgresExecutor
    ) async throws -> [ListedAPIKey] {
        // The token's columns have names that the key's have too.
        let keys = try await executor.query(
            """
            select \(unescaped: Self.columns), \(unescaped: Self.models), \(unescaped: Self.grantedModels),
                u.is_active as owner_is_active
            from api_keys k join users u on u.id = k.user_id
            where k.id in (select h.api_key_id from api_key_hashes h where \(condition))
            """
        ).map { row in (key: try Self.key(row), ownerIsActive: try row.get("owner_is_active", as: Bool.self)) }
        let byId = Dictionary(keys.map { ($0.key.id, $0) }, uniquingKeysWith: { first, _ in first })
        return try await executor.query(
            """
            select h.api_key_id, \(unescaped: Self.tokenColumns)
            from api_key_hashes h join api_keys k on k.id = h.api_key_id where \(condition)
            order by h.created_at, h.key_hash
            """
        ).compactMap { row in
            guard let owner = byId[try row.get("api_key_id", as: UUID.self)] else { return nil }
            let token = try Self.token(row)
            return ListedAPIKey(key: owner.key.known(by: token), token: token, ownerIsActive: owner.ownerIsActive)
        }
    }

    /// Notes that LiteLLM was seen to have changed the key, and which job sets it right.
    package func markDrifted(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update api_keys set sync_status = 'drifted', last_job_id = \(jobId), updated_at = now()
            where id = \(id) and is_active
            """)
    }

    /// Notes that LiteLLM does not have the key any more and cannot be given it again.
    package func markLost(_ id: UUID, error: SyncError, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update api_keys set sync_status = 'failed', updated_at = now(),
                sync_error = \(error.json) || jsonb_build_object('at', now())
            where id = \(id) and is_active and sync_status = 'synced'
            """)
    }

    /// Notes that LiteLLM has a secret that it was seen to have let go.
    package func reopen(_ hash: String, of id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query("update api_key_hashes set gone_at = null where key_hash = \(hash)")
        try await transaction.query(
            "update api_keys set deleted_at = null, updated_at = now() where id = \(id) and not is_active")
    }

    /// Notes that a row just stored is of a key that LiteLLM has already, without our marker.
    package func markAdopted(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update api_keys set sync_status = 'drifted', version_applied = 1, version_wanted = 2 where id = \(id)
            """)
    }
}
