package import Foundation

/// Changes of keys by people, and what LiteLLM tells of their use.
extension PostgresAPIKeyStore {
    /// Stores a key as it is wanted now, with its models.
    ///
    /// - Parameter jobId: the job that is to bring it to LiteLLM; nil when that need not hear of it.
    package func store(_ key: APIKey, jobId: Int64?, in transaction: PostgresTransaction) async throws {
        let limits = key.limits
        try await transaction.query(
            """
            update api_keys set name = \(key.name), metadata = \(key.metadata), tags = \(key.tags),
                permissions = \(key.permissions), max_budget = \(limits.spending.maxBudget),
                soft_budget = \(limits.softBudget), budget_duration = \(limits.spending.budgetDuration),
                tpm_limit = \(limits.spending.tpmLimit), rpm_limit = \(limits.spending.rpmLimit),
                max_parallel_requests = \(limits.maxParallelRequests), model_max_budget = \(limits.modelMaxBudget),
                model_rpm_limit = \(limits.modelRpmLimit), model_tpm_limit = \(limits.modelTpmLimit),
                expires_at = \(key.expiresAt), updated_at = now()
            where id = \(key.id)
            """)
        try await transaction.query(
            """
            with gone as (
                delete from api_key_models where api_key_id = \(key.id) and model_id <> all (\(key.modelIds))
            )
            insert into api_key_models (api_key_id, model_id) select \(key.id), id from unnest(\(key.modelIds)) as m (id)
            on conflict do nothing
            """)
        guard let jobId else { return }
        try await transaction.query(
            """
            update api_keys set version_wanted = version_wanted + 1, sync_status = 'pending', sync_error = null,
                last_job_id = case when version_applied > 0 then \(jobId) else last_job_id end
            where id = \(key.id)
            """)
    }

    /// Stores what LiteLLM says a key has spent.
    package func noteSpend(
        _ id: UUID, _ spend: Decimal, budgetResetAt: Date?, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update api_keys set current_spend = \(spend), spend_taken_at = clock_timestamp(),
                budget_reset_at = \(budgetResetAt)
            where id = \(id)
            """)
    }

    /// Stores what LiteLLM said at `time` of the use of keys, by their present secrets. Gives how many were ours; keys
    /// whose spend is known from later are left out.
    package func noteUse(_ uses: [APIKeyUse], at time: Date, in transaction: PostgresTransaction) async throws -> Int {
        guard !uses.isEmpty else { return 0 }
        return try await transaction.query(
            """
            with told as (
                select * from unnest(
                    \(uses.map(\.hash))::text[], \(uses.map { "\($0.spend)" })::text[],
                    \(uses.map(\.budgetResetAt))::timestamptz[], \(uses.map(\.lastActive))::timestamptz[]
                ) as t (hash, spend, reset_at, last_active)
            ), meant as (
                select k.id, t.spend::numeric as spend, t.reset_at, t.last_active
                from told t join api_keys k on k.key_hash = t.hash
                where k.spend_taken_at is null or k.spend_taken_at < \(time)
                order by k.id for no key update of k
            )
            update api_keys k set current_spend = m.spend, spend_taken_at = \(time), budget_reset_at = m.reset_at,
                last_used_at = greatest(k.last_used_at, m.last_active)
            from meant m where k.id = m.id
            """
        ).affectedRows
    }

    /// Keys whose time was over before `time` and that nobody took away yet: at most `limit`, by id after `last`.
    package func expired(
        before time: Date, after last: UUID?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [UUID] {
        try await executor.query(
            """
            select id from api_keys
            where is_active and expires_at < \(time) and (\(last)::uuid is null or id > \(last)::uuid)
            order by id limit \(limit)
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// The database's present time.
    package func now(in executor: any PostgresExecutor) async throws -> Date {
        try await executor.query("select clock_timestamp()").one(Date.self)
    }
}

/// What LiteLLM tells of the use of a key.
package struct APIKeyUse: Sendable, Equatable {
    /// SHA-256 of the secret in hexadecimal.
    package var hash: String
    /// Dollars in the current budget period.
    package var spend: Decimal
    /// When that starts anew.
    package var budgetResetAt: Date?
    /// The last use.
    package var lastActive: Date?

    /// A use.
    package init(hash: String, spend: Decimal, budgetResetAt: Date?, lastActive: Date?) {
        self.hash = hash
        self.spend = spend
        self.budgetResetAt = budgetResetAt
        self.lastActive = lastActive
    }
}
