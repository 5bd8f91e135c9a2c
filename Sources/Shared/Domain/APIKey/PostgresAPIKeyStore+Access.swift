package import Foundation

/// What LiteLLM should let a key do, and whether it was last seen to refuse it.
package struct APIKeyStanding: Sendable, Equatable {
    /// False from the moment somebody revokes it.
    package var isActive: Bool
    /// Whether its owner may sign in.
    package var ownerIsActive: Bool
    /// Models that the key names and its owner may use now, sorted.
    package var grantedModelIds: [String]
    /// Since when LiteLLM refuses it for the sake of its owner or for want of models.
    package var blockedAt: Date?
    /// The version that all this belongs to.
    package var version: Int64

    /// Whether LiteLLM has to refuse a key that nobody revoked: nobody may use it, or there is nothing to use it for.
    package var isHeld: Bool { !ownerIsActive || grantedModelIds.isEmpty }
}

extension PostgresAPIKeyStore {
    /// How a key stands; nil when there is none.
    package func standing(_ id: UUID, in executor: any PostgresExecutor) async throws -> APIKeyStanding? {
        try await executor.query(
            """
            select k.is_active, u.is_active as owner_is_active, k.blocked_at, k.version_wanted,
                \(unescaped: Self.grantedModels)
            from api_keys k join users u on u.id = k.user_id where k.id = \(id)
            """
        ).first.map { row in
            APIKeyStanding(
                isActive: try row.get("is_active"), ownerIsActive: try row.get("owner_is_active"),
                grantedModelIds: try row.get("granted_model_ids"), blockedAt: try row.get("blocked_at"),
                version: try row.get("version_wanted"))
        }
    }

    /// Those of the models that the user may use now, sorted: for which they have an active subscription.
    package func granted(
        _ modelIds: [String], to userId: UUID, in executor: any PostgresExecutor
    ) async throws -> [String] {
        try await executor.query(grantedQuery(modelIds, to: userId)).map { try $0.decode(String.self) }
    }

    /// The statement of ``granted(_:to:in:)``, for a pipeline.
    package func grantedQuery(_ modelIds: [String], to userId: UUID) -> PostgresQuery {
        """
        select model_id from subscriptions
        where user_id = \(userId) and model_id = any (\(modelIds)) and status = 'active' order by model_id
        """
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

    /// Notes that what the users may do with the model has changed: their keys that name it, and that nobody revoked,
    /// get a newer version. Gives their ids, sorted.
    package func expectGrants(
        ofUsers userIds: [UUID], modelId: String, in transaction: PostgresTransaction
    ) async throws -> [UUID] {
        try await transaction.query(
            """
            with meant as (
                select k.id from api_keys k
                where k.user_id = any (\(userIds)) and k.is_active and (k.expires_at is null or k.expires_at > now())
                    and exists (select from api_key_models m where m.api_key_id = k.id and m.model_id = \(modelId))
                order by k.id for no key update of k
            ), newer as (
                update api_keys k set version_wanted = version_wanted + 1, updated_at = now(),
                    sync_status = case when sync_status = 'synced' then 'pending' else sync_status end
                from meant where k.id = meant.id
            )
            select id from meant order by id
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Names the job that is to bring a key's grants to LiteLLM. A key that was never created keeps the job that does
    /// that, as its sealed secret lives as long.
    package func expectAccess(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update api_keys set last_job_id = \(jobId) where id = \(id) and version_applied > 0 and sync_status <> 'failed'"
        )
    }

    /// Notes whether LiteLLM refuses the key although nobody revoked it. False when that was known.
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

    /// Notes that a call which lets the key do more may reach LiteLLM until `grace` from now. Gives the end of that.
    package func expectLateCalls(
        _ id: UUID, within grace: Duration, in transaction: PostgresTransaction
    ) async throws -> Date? {
        try await transaction.query(
            """
            update api_keys set late_calls_until = greatest(
                late_calls_until, clock_timestamp() + make_interval(secs => \(grace.inSeconds)))
            where id = \(id) returning late_calls_until
            """
        ).first?.get("late_calls_until")
    }

    /// Until when such a call may still arrive; nil when none can any more.
    package func lateCalls(_ id: UUID, in executor: any PostgresExecutor) async throws -> Date? {
        try await executor.query(
            "select late_calls_until from api_keys where id = \(id) and late_calls_until > clock_timestamp()"
        ).first?.get("late_calls_until")
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

    static let grantedModels: StaticString = """
        array(select m.model_id from api_key_models m
            join subscriptions s on s.user_id = k.user_id and s.model_id = m.model_id and s.status = 'active'
            where m.api_key_id = k.id order by m.model_id) as granted_model_ids
        """
}
