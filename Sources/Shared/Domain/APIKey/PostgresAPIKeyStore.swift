package import Foundation

/// The tables `api_keys`, `api_key_models` and `api_key_hashes`.
package struct PostgresAPIKeyStore: Sendable {
    /// A store without state.
    package init() {}

    // MARK: Reading

    /// The key with this id, revoked and deleted ones included.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> APIKey? {
        try await executor.query(
            "select \(unescaped: Self.columns), \(unescaped: Self.models), \(unescaped: Self.grantedModels) from api_keys k where k.id = \(id)"
        ).first.map(Self.key)
    }

    /// The key that has, or once had, the secret with this hash.
    package func find(hash: String, in executor: any PostgresExecutor) async throws -> APIKey? {
        try await executor.query(
            """
            select \(unescaped: Self.columns), \(unescaped: Self.models), \(unescaped: Self.grantedModels) from api_keys k
            where k.id = (select api_key_id from api_key_hashes where key_hash = \(hash))
            """
        ).first.map(Self.key)
    }

    /// Reads and locks the row until the transaction ends.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> APIKey? {
        try await transaction.query(
            """
            select \(unescaped: Self.columns), \(unescaped: Self.models), \(unescaped: Self.grantedModels) from api_keys k where k.id = \(id)
            for no key update of k
            """
        ).first.map(Self.key)
    }

    /// One page of keys, newest first.
    package func list(_ filter: APIKeyFilter, in executor: any PostgresExecutor) async throws -> Page<APIKey> {
        let models: [String]? = filter.modelIds.isEmpty ? nil : filter.modelIds
        let labels: [String]? = filter.labels.isEmpty ? nil : filter.labels
        let rows = try await executor.query(
            """
            select \(unescaped: Self.columns), \(unescaped: Self.models), \(unescaped: Self.grantedModels), count(*) over () as total
            from api_keys k
            where (\(filter.userId)::uuid is null or k.user_id = \(filter.userId)::uuid)
                and (\(filter.userIds)::uuid[] is null or k.user_id = any (\(filter.userIds)::uuid[]))
                and (\(filter.subscriptionId)::uuid is null or k.subscription_id = \(filter.subscriptionId)::uuid)
                and (\(filter.includesDeleted) or k.revoke_reason is distinct from 'deleted')
                and (\(filter.isActive)::boolean is null or (\(unescaped: Self.isListedActive)) = \(filter.isActive)::boolean)
                and (\(models)::text[] is null or exists (
                    select from api_key_models m where m.api_key_id = k.id and m.model_id = any (\(models)::text[])))
                and (\(labels)::text[] is null or k.labels @> \(labels)::text[])
            order by k.created_at desc, k.id
            limit \(filter.page.size) offset \(filter.page.offset)
            """)
        guard let first = rows.first else {
            return Page(items: [], total: filter.page.number > 1 ? try await count(filter, in: executor) : 0)
        }
        return Page(items: try rows.map(Self.key), total: try first.get("total"))
    }

    // A page past the end has no row that could tell the total.
    private func count(_ filter: APIKeyFilter, in executor: any PostgresExecutor) async throws -> Int {
        var firstOne = filter
        firstOne.page = PageRequest(number: 1, size: 1)
        return try await list(firstOne, in: executor).total
    }

    /// How many usable keys a user has; exact while the user's row is locked.
    package func usableCount(ofUser userId: UUID, in executor: any PostgresExecutor) async throws -> Int {
        try Self.count(await executor.query(usableCountQuery(ofUser: userId)))
    }

    /// The statement of ``usableCount(ofUser:in:)``, for a pipeline; its rows are read by ``count(_:)``.
    package func usableCountQuery(ofUser userId: UUID) -> PostgresQuery {
        "select count(*) as n from api_keys k where k.user_id = \(userId) and \(unescaped: Self.isUsable)"
    }

    /// Reads the number that a counting statement of this store gives.
    package static func count(_ rows: PostgresRows) throws -> Int {
        try rows.one(Int.self)
    }

    // MARK: Changing the wish

    /// Stores a new key with its models and its hash, for a pipeline; its rows are read by ``key(_:)``.
    package func insertQuery(_ new: NewAPIKey) -> PostgresQuery {
        """
        with k as (
            insert into api_keys (
                id, user_id, team_id, name, key_hash, key_prefix, litellm_alias, metadata, tags, labels, permissions,
                max_budget, soft_budget, budget_duration, tpm_limit, rpm_limit, max_parallel_requests,
                model_max_budget, model_rpm_limit, model_tpm_limit, expires_at, subscription_id, last_job_id)
            values (
                \(new.id), \(new.userId), \(new.teamId), \(new.name), \(new.hash), \(new.prefix), \(new.alias),
                \(new.metadata), \(new.tags), \(new.labels), \(new.permissions), \(new.limits.spending.maxBudget),
                \(new.limits.softBudget), \(new.limits.spending.budgetDuration), \(new.limits.spending.tpmLimit),
                \(new.limits.spending.rpmLimit), \(new.limits.maxParallelRequests), \(new.limits.modelMaxBudget),
                \(new.limits.modelRpmLimit), \(new.limits.modelTpmLimit), \(new.expiresAt), \(new.subscriptionId),
                \(new.jobId))
            returning *
        ), models as (
            insert into api_key_models (api_key_id, model_id) select k.id, m.id from k, unnest(\(new.modelIds)) as m (id)
        ), hashes as (
            insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix)
            select k.key_hash, k.id, k.litellm_alias, k.key_prefix from k
        )
        select \(unescaped: Self.columns), \(new.modelIds)::text[] as model_ids,
            \(new.modelIds)::text[] as granted_model_ids from k
        """
    }

    /// Refuses the key from now on: `revoked_at` follows once LiteLLM was read back.
    package func requestRevoke(
        _ id: UUID, reason: RevokeReason, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update api_keys set is_active = false, revoke_requested_at = coalesce(revoke_requested_at, now()),
                revoke_reason = \(reason.rawValue), version_wanted = version_wanted + is_active::int,
                sync_status = 'pending', sync_error = null, last_job_id = \(jobId), updated_at = now()
            where id = \(id)
            """)
    }

    /// Notes why it was taken away, for a key that is revoked already.
    package func setRevokeReason(
        _ id: UUID, _ reason: RevokeReason, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            "update api_keys set revoke_reason = \(reason.rawValue), updated_at = now() where id = \(id)")
    }

    // MARK: Noting the facts

    /// Notes that a create attempt may reach LiteLLM during the next `time`. Gives the database's present time; nil,
    /// and nothing noted, when the key is no longer wanted: then it must not be sent.
    package func beginCreate(
        _ id: UUID, within time: Duration, in transaction: PostgresTransaction
    ) async throws -> Date? {
        try await transaction.query(
            """
            update api_keys set create_deadline_at = greatest(
                create_deadline_at, clock_timestamp() + make_interval(secs => \(time.inSeconds)))
            where id = \(id) and is_active
            returning clock_timestamp() as now
            """
        ).first?.get("now")
    }

    /// When the last create attempt ends at the latest, and the database's time of asking.
    package func createWindow(_ id: UUID, in executor: any PostgresExecutor) async throws -> CreateWindow? {
        try await executor.query(
            "select create_deadline_at, clock_timestamp() as now from api_keys where id = \(id)"
        ).first.map { row in CreateWindow(deadline: try row.get("create_deadline_at"), now: try row.get("now")) }
    }

    /// Notes that a failed synchronisation is tried again.
    package func expectSync(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update api_keys set last_job_id = \(jobId), sync_status = 'pending', sync_error = null, updated_at = now()
            where id = \(id) and sync_status = 'failed'
            """)
    }

    /// Notes that LiteLLM was read back and has `version`. An older version than known changes nothing.
    package func markSynced(
        _ id: UUID, version: Int64, warnings: [APIKeyWarning], jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update api_keys set version_applied = \(version), last_job_id = \(jobId), sync_error = null,
                warnings = \(Self.json(warnings)), updated_at = now(),
                sync_status = case when version_wanted <= \(version) then 'synced' else 'pending' end
            where id = \(id) and version_applied <= \(version)
            """)
    }

    /// Notes that LiteLLM was read back and refuses the key, or, with `isGone`, does not have it at all.
    package func markRevoked(
        _ id: UUID, isGone: Bool, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update api_keys set revoked_at = coalesce(revoked_at, clock_timestamp()),
                deleted_at = case when \(isGone) then coalesce(deleted_at, clock_timestamp()) else deleted_at end,
                sync_status = 'synced', version_applied = version_wanted, sync_error = null, last_job_id = \(jobId),
                updated_at = now()
            where id = \(id) and not is_active
            """)
    }

    /// Notes that LiteLLM was read back and no longer has the key.
    package func markDeleted(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update api_keys set deleted_at = coalesce(deleted_at, clock_timestamp()), updated_at = now()
            where id = \(id) and not is_active
            """)
    }

    /// Notes that the synchronisation was given up. Nothing happens when a newer job is to do it, or when LiteLLM was
    /// seen to have the newest version.
    package func markFailed(
        _ id: UUID, error: SyncError, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update api_keys set sync_status = 'failed', updated_at = now(),
                sync_error = \(error.json) || jsonb_build_object('at', now())
            where id = \(id) and last_job_id = \(jobId)
                and (sync_status <> 'synced' or version_applied < version_wanted)
            """)
    }

    // MARK: Rows

    static let columns: StaticString = """
        k.id, k.user_id, k.team_id, k.name, k.key_hash, k.key_prefix, k.litellm_alias, k.metadata, k.tags,
        k.labels, k.permissions, k.max_budget, k.soft_budget, k.budget_duration, k.tpm_limit, k.rpm_limit,
        k.max_parallel_requests, k.model_max_budget, k.model_rpm_limit, k.model_tpm_limit, k.current_spend,
        k.spend_taken_at, k.expires_at, k.is_active, k.revoke_requested_at, k.revoke_reason, k.revoked_at,
        k.deleted_at, k.blocked_at, k.create_deadline_at, k.rotated_at, k.budget_reset_at, k.subscription_id,
        k.last_used_at, k.sync_status, k.version_wanted, k.version_applied,
        k.sync_error, k.warnings, k.last_job_id, k.created_at, k.updated_at
        """

    static let models: StaticString =
        "array(select m.model_id from api_key_models m where m.api_key_id = k.id order by m.model_id) as model_ids"

    static let isUsable: StaticString = """
        k.is_active and not (k.sync_status = 'failed' and k.version_applied = 0)
        and (k.expires_at is null or k.expires_at > now())
        """

    // What clients see as active. A key without anything to use counts towards the limit of keys all the same, as it
    // may get its models back.
    static let isListedActive: StaticString = """
        k.is_active and not (k.sync_status = 'failed' and k.version_applied = 0)
        and (k.expires_at is null or k.expires_at > now())
        and exists (
            select from api_key_models m
            join subscriptions s on s.user_id = k.user_id and s.model_id = m.model_id and s.status = 'active'
            where m.api_key_id = k.id)
        """

    /// Reads one row of this store's statements.
    package static func key(_ row: PostgresRow) throws(PostgresError) -> APIKey {
        let reason: String? = try row.get("revoke_reason")
        return APIKey(
            id: try row.get("id"), userId: try row.get("user_id"), teamId: try row.get("team_id"),
            name: try row.get("name"), hash: try row.get("key_hash"), prefix: try row.get("key_prefix"),
            alias: try row.get("litellm_alias"), modelIds: try row.get("model_ids"),
            grantedModelIds: try row.get("granted_model_ids"), subscriptionId: try row.get("subscription_id"),
            metadata: try row.get("metadata"), tags: try row.get("tags"),
            labels: try row.get("labels"), permissions: try row.get("permissions"),
            limits: try limits(row), currentSpend: try row.get("current_spend"),
            spendTakenAt: try row.get("spend_taken_at"), expiresAt: try row.get("expires_at"),
            isActive: try row.get("is_active"), revokeRequestedAt: try row.get("revoke_requested_at"),
            // A reason of a newer version still means that the key was taken away.
            revokeReason: reason.map { RevokeReason(rawValue: $0) ?? .revoked },
            revokedAt: try row.get("revoked_at"), deletedAt: try row.get("deleted_at"),
            blockedAt: try row.get("blocked_at"), createDeadlineAt: try row.get("create_deadline_at"),
            rotatedAt: try row.get("rotated_at"), budgetResetAt: try row.get("budget_reset_at"),
            lastUsedAt: try row.get("last_used_at"),
            sync: try SyncState(row: row), warnings: warnings(try row.get("warnings")),
            createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }

    private static func limits(_ row: PostgresRow) throws(PostgresError) -> APIKeyLimits {
        APIKeyLimits(
            spending: try SpendingLimits(row: row), softBudget: try row.get("soft_budget"),
            maxParallelRequests: try row.get("max_parallel_requests"),
            modelMaxBudget: try row.get("model_max_budget"), modelRpmLimit: try row.get("model_rpm_limit"),
            modelTpmLimit: try row.get("model_tpm_limit"))
    }

    private static func json(_ warnings: [APIKeyWarning]) -> JSONValue {
        .array(
            warnings.map { warning in
                [
                    "code": .string(warning.code), "field": .string(warning.field),
                    "message": .string(warning.message),
                ]
            })
    }

    private static func warnings(_ json: JSONValue) -> [APIKeyWarning] {
        (json.arrayValue ?? []).compactMap { entry in
            guard let code = entry["code"]?.stringValue, let field = entry["field"]?.stringValue,
                let message = entry["message"]?.stringValue
            else { return nil }
            return APIKeyWarning(code: code, field: field, message: message)
        }
    }
}
