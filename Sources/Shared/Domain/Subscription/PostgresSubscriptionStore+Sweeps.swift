package import Foundation

/// Reads that find and lock the next subscriptions a job has to move, in the order of their ids: jobs and requests
/// that lock several wait for each other and cannot block each other.
extension PostgresSubscriptionStore {
    // MARK: With the model

    /// Those that a restriction of their model takes back: active ones, and suspended ones whose suspension somebody
    /// else than an administrator may end. What an administrator has decided since `time` was decided in its knowledge.
    package func lockUnapproved(
        modelId: String, since time: Date, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where model_id = \(modelId)
                and (status = 'active'
                    or (status = 'suspended' and status_cause <> \(SubscriptionCause.administrator.rawValue)))
                and not (status_changed_at >= \(time)
                    and status_cause = any (\(SubscriptionCause.decisions.map(\.rawValue))))
            order by id limit \(limit) for no key update
            """
        ).map(Self.subscription)
    }

    /// Those that wait only for a restriction of their model, with what they were before it, and whether that was for
    /// want of quota.
    package func lockRestricted(
        modelId: String, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [(subscription: Subscription, before: SubscriptionTrigger.Restoration, byQuota: Bool)] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns), h.old_status, (
                select p.cause from subscription_status_history p
                where p.subscription_id = s.id and p.id < h.history_id order by p.id desc limit 1
            ) as old_cause
            from subscriptions s cross join lateral (
                select id as history_id, old_status from subscription_status_history
                where subscription_id = s.id and cause = \(SubscriptionCause.restriction.rawValue)
                order by id desc limit 1
            ) h
            where model_id = \(modelId) and status = 'pending'
                and status_cause = \(SubscriptionCause.restriction.rawValue)
            order by id limit \(limit) for no key update of s
            """
        ).map { row in
            let before: String? = try row.get("old_status")
            let cause: String? = try row.get("old_cause")
            return (
                try Self.subscription(row), before == "suspended" ? .suspended : .active,
                cause == SubscriptionCause.quota.rawValue
            )
        }
    }

    /// Those that end with their model.
    package func lockRetirable(
        modelId: String, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where model_id = \(modelId) and status in ('pending', 'active', 'suspended')
            order by id limit \(limit) for no key update
            """
        ).map(Self.subscription)
    }

    /// How many subscriptions of the model a job has moved.
    package func countMoved(by jobId: Int64, modelId: String, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            select count(*) from subscriptions s where s.model_id = \(modelId) and exists (
                select from subscription_status_history h where h.subscription_id = s.id and h.job_id = \(jobId))
            """
        ).one(Int.self)
    }

    // MARK: With time

    /// Those whose time is over. Ones that somebody is changing are left for the next sweep.
    package func lockExpired(limit: Int, in transaction: PostgresTransaction) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where expires_at <= now() and status in ('pending', 'active', 'suspended')
            order by id limit \(limit) for no key update skip locked
            """
        ).map(Self.subscription)
    }

    /// Those whose use is to start anew. Ones that somebody is changing are left for the next sweep.
    package func lockDueForReset(limit: Int, in transaction: PostgresTransaction) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions where reset_at <= now()
            order by id limit \(limit) for no key update skip locked
            """
        ).map(Self.subscription)
    }

    /// A user's subscriptions to these models.
    package func lock(
        ofUser userId: UUID, models: [String], in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where user_id = \(userId) and model_id = any (\(models)) order by id for no key update
            """
        ).map(Self.subscription)
    }

    /// All subscriptions of a user, locked.
    package func lock(ofUser userId: UUID, in transaction: PostgresTransaction) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions where user_id = \(userId)
            order by id for no key update
            """
        ).map(Self.subscription)
    }

    /// How many subscriptions a reset of everybody's use reaches.
    package func count(except exempt: UUID?, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            "select count(*) from subscriptions where user_id is distinct from \(exempt)::uuid"
        ).one(Int.self)
    }

    /// Those whose use a job has not forgiven yet, but for those of `exempt`.
    package func lockNotForgiven(
        by jobId: Int64, except exempt: UUID?, limit: Int, in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions s
            where user_id is distinct from \(exempt)::uuid
                and id > coalesce((
                    select h.subscription_id from subscription_status_history h where h.job_id = \(jobId)
                    order by h.subscription_id desc limit 1), '00000000-0000-0000-0000-000000000000')
            order by id limit \(limit) for no key update of s
            """
        ).map(Self.subscription)
    }

    /// How many subscriptions' use a job has forgiven.
    package func countForgiven(by jobId: Int64, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            select count(*) from subscription_status_history
            where job_id = \(jobId) and old_status = new_status
            """
        ).one(Int.self)
    }

    /// Begins the use of locked rows anew, until the first of the next month.
    package func beginPeriod(_ ids: [UUID], in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update subscriptions set used_requests = 0, used_tokens = 0, usage_taken_at = null, updated_at = now(),
                reset_at = (date_trunc('month', now() at time zone 'UTC') + interval '1 month') at time zone 'UTC'
            where id = any (\(ids))
            """)
    }

    /// Forgives what was used of locked rows up to and including today, UTC: the daily figures know no smaller part. The
    /// history says so with an entry that leaves the status as it is.
    package func forgiveUse(
        _ ids: [UUID], by userId: UUID?, jobId: Int64? = nil, in transaction: PostgresTransaction
    ) async throws {
        try await beginPeriod(ids, in: transaction)
        try await transaction.query(
            """
            insert into subscription_status_history (
                subscription_id, old_status, new_status, cause, changed_by, job_id)
            select id, status, status, \(SubscriptionCause.quotaReset.rawValue), \(userId)::uuid, \(jobId)::bigint
            from subscriptions where id = any (\(ids)) order by id
            """)
    }

    // MARK: Use

    /// What the people and models of a day have used in the present period, by the daily figures: from the first of the
    /// month, UTC, or from the day after an administrator forgave what was used.
    ///
    /// - Parameter ids: only of these subscriptions; nil for all.
    package func uses(
        on day: UTCDay, of ids: [UUID]? = nil, in executor: any PostgresExecutor
    ) async throws -> [SubscriptionUse] {
        let chosen: PostgresFragment = ids.map { "s.id = any (\($0))" } ?? "true"
        return try await executor.query(
            """
            select s.user_id, s.model_id, coalesce(sum(d.successful_requests), 0)::bigint as requests,
                coalesce(sum(d.total_tokens), 0)::bigint as tokens
            from (
                select distinct user_id, model_id from usage_daily
                where day = \(day.description)::date and day >= \(unescaped: Self.monthStart) and user_id is not null
            ) u
            join subscriptions s on s.user_id = u.user_id and s.model_id = u.model_id
                and s.status in ('pending', 'active', 'suspended') and s.reset_at > now()
                and \(chosen)
            left join lateral (
                select max((h.changed_at at time zone 'UTC')::date) as day from subscription_status_history h
                where h.subscription_id = s.id and h.old_status = h.new_status
                    and h.cause = \(SubscriptionCause.quotaReset.rawValue)
            ) f on true
            left join usage_daily d on d.user_id = s.user_id and d.model_id = s.model_id
                and d.day >= greatest(\(unescaped: Self.monthStart), f.day + 1)
            group by s.id order by s.id
            """
        ).map { row in
            SubscriptionUse(
                userId: try row.get("user_id"), modelId: try row.get("model_id"), requests: try row.get("requests"),
                tokens: try row.get("tokens"))
        }
    }

    /// Locks the subscriptions that these uses belong to and that still count them.
    package func lock(
        usedBy uses: [SubscriptionUse], in transaction: PostgresTransaction
    ) async throws -> [Subscription] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from subscriptions
            where (user_id, model_id) in (
                    select * from unnest(\(uses.map(\.userId)), \(uses.map(\.modelId))::text[]))
                and status in ('pending', 'active', 'suspended') and reset_at > now()
            order by id for no key update
            """
        ).map(Self.subscription)
    }

    /// Writes the use of locked rows.
    package func storeUse(_ subscriptions: [Subscription], in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update subscriptions s set used_requests = u.requests, used_tokens = u.tokens, usage_taken_at = now()
            from unnest(
                \(subscriptions.map(\.id)), \(subscriptions.map(\.used.requests)), \(subscriptions.map(\.used.tokens))
            ) as u (id, requests, tokens)
            where s.id = u.id
            """)
    }
}

/// What somebody has used of a model in the present period, in all.
package struct SubscriptionUse: Sendable, Equatable {
    package var userId: UUID
    package var modelId: String
    /// Answered ones.
    package var requests: Int
    package var tokens: Int

    package init(userId: UUID, modelId: String, requests: Int, tokens: Int) {
        self.userId = userId
        self.modelId = modelId
        self.requests = requests
        self.tokens = tokens
    }
}
