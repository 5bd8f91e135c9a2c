package import Foundation

/// The tables `subscriptions` and `subscription_status_history`.
package struct PostgresSubscriptionStore: Sendable {
    /// A store without state.
    package init() {}

    // MARK: Reading

    /// The subscription with this id.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> Subscription? {
        try await executor.query("select \(unescaped: Self.columns) from subscriptions where id = \(id)")
            .first.map(Self.subscription)
    }

    /// Reads and locks the row until the transaction ends.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> Subscription? {
        try await transaction.query(
            "select \(unescaped: Self.columns) from subscriptions where id = \(id) for no key update"
        ).first.map(Self.subscription)
    }

    /// The same by whom it belongs to.
    package func lock(
        userId: UUID, modelId: String, in transaction: PostgresTransaction
    ) async throws -> Subscription? {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where user_id = \(userId) and model_id = \(modelId) for no key update
            """
        ).first.map(Self.subscription)
    }

    /// The model, which nobody changes until the transaction ends: whether it needs an approval, and whether it is
    /// there, stays true until then.
    package func holdModel(_ id: String, in transaction: PostgresTransaction) async throws -> Model? {
        try await transaction.query("select from models where id = \(id) for share")
        // A statement of its own: its snapshot is taken after the lock was got.
        return try await PostgresModelStore().find(id, in: transaction)
    }

    /// What the administrators' newest decision made of it; nil when there was none.
    package func lastDecision(on id: UUID, in executor: any PostgresExecutor) async throws -> SubscriptionStatus? {
        try await executor.query(
            """
            select new_status from subscription_status_history
            where subscription_id = \(id) and cause = any (\(SubscriptionCause.decisions.map(\.rawValue)))
            order by id desc limit 1
            """
        ).first.map { try $0.decode(SubscriptionStatus.self) }
    }

    // MARK: Making and moving

    /// Stores a new subscription with the first entry of its history. Nil when the person has one for the model.
    package func insert(
        userId: UUID, modelId: String, quotas: SubscriptionQuotas, expiresAt: Date?, metadata: JSONValue,
        _ move: SubscriptionMove, in transaction: PostgresTransaction
    ) async throws -> Subscription? {
        try await transaction.query(
            """
            with made as (
                insert into subscriptions (
                    user_id, model_id, status, status_cause, status_reason, status_changed_by, quota_requests,
                    quota_tokens, expires_at, metadata)
                values (
                    \(userId), \(modelId), \(move.status.rawValue), \(move.cause.rawValue), \(move.reason),
                    \(move.changedBy), \(quotas.requests), \(quotas.tokens), \(expiresAt), \(metadata))
                on conflict (user_id, model_id) do nothing
                returning *
            ), noted as (
                insert into subscription_status_history (
                    subscription_id, new_status, cause, reason, changed_by, job_id)
                select id, status, status_cause, status_reason, status_changed_by, \(move.jobId)::bigint from made
            )
            select \(unescaped: Self.columns) from made
            """
        ).first.map(Self.subscription)
    }

    /// Moves subscriptions that the transaction has locked, each with its entry in the history; by id.
    package func move(
        _ ids: [UUID], _ move: SubscriptionMove, in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            with old as (
                select id, status from subscriptions where id = any (\(ids))
            ), moved as (
                update subscriptions s set status = \(move.status.rawValue), status_cause = \(move.cause.rawValue),
                    status_reason = \(move.reason), status_changed_at = clock_timestamp(),
                    status_changed_by = \(move.changedBy), updated_at = clock_timestamp()
                from old where s.id = old.id
                returning s.*, old.status as old_status
            ), noted as (
                insert into subscription_status_history (
                    subscription_id, old_status, new_status, cause, reason, changed_by, job_id)
                select id, old_status, status, status_cause, status_reason, status_changed_by, \(move.jobId)::bigint
                from moved order by id
            )
            select \(unescaped: Self.columns) from moved order by id
            """
        ).map(Self.subscription)
    }

    /// Writes quotas, expiry and metadata of a row that the transaction has locked.
    package func store(_ subscription: Subscription, in transaction: PostgresTransaction) async throws -> Subscription {
        let rows = try await transaction.query(
            """
            update subscriptions set quota_requests = \(subscription.quotas.requests),
                quota_tokens = \(subscription.quotas.tokens), expires_at = \(subscription.expiresAt),
                metadata = \(subscription.metadata), updated_at = clock_timestamp()
            where id = \(subscription.id) returning \(unescaped: Self.columns)
            """)
        return try Self.subscription(rows[0])
    }

    /// Deletes the row and its history.
    package func delete(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query("delete from subscriptions where id = \(id)")
    }

    // MARK: Rows

    static let columns: StaticString = """
        id, user_id, model_id, status, status_cause, status_reason, status_changed_at, status_changed_by,
        quota_requests, quota_tokens, used_requests, used_tokens, usage_taken_at, reset_at, expires_at, metadata,
        created_at, updated_at
        """

    static func subscription(_ row: PostgresRow) throws(PostgresError) -> Subscription {
        Subscription(
            id: try row.get("id"), userId: try row.get("user_id"), modelId: try row.get("model_id"),
            status: try row.get("status"), cause: try row.get("status_cause"), reason: try row.get("status_reason"),
            statusChangedAt: try row.get("status_changed_at"), statusChangedBy: try row.get("status_changed_by"),
            quotas: SubscriptionQuotas(requests: try row.get("quota_requests"), tokens: try row.get("quota_tokens")),
            used: SubscriptionQuotas(requests: try row.get("used_requests"), tokens: try row.get("used_tokens")),
            usageTakenAt: try row.get("usage_taken_at"), resetAt: try row.get("reset_at"),
            expiresAt: try row.get("expires_at"), metadata: try row.get("metadata"),
            createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }
}
