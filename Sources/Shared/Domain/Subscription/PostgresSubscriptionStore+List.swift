package import Foundation

extension PostgresSubscriptionStore {
    /// One page, the newest first.
    package func list(
        _ filter: SubscriptionFilter, in executor: any PostgresExecutor
    ) async throws -> Page<Subscription> {
        let condition = Self.condition(filter)
        let results = try await executor.pipeline([
            """
            select \(unescaped: Self.columns) from subscriptions where \(condition)
            order by created_at desc, id limit \(filter.page.size) offset \(filter.page.offset)
            """,
            "select count(*) from subscriptions where \(condition)",
        ])
        return Page(items: try results[0].map(Self.subscription), total: try results[1].one(Int.self))
    }

    private static func condition(_ filter: SubscriptionFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = []
        if !filter.userIds.isEmpty { conditions.append("user_id = any (\(filter.userIds))") }
        if !filter.modelIds.isEmpty { conditions.append("model_id = any (\(filter.modelIds))") }
        if !filter.statuses.isEmpty {
            conditions.append("status = any (\(filter.statuses.map(\.rawValue)))")
        } else if filter.hidesInactive {
            conditions.append("status <> 'inactive'")
        }
        if let from = filter.from { conditions.append("created_at >= \(from)") }
        if let before = filter.before { conditions.append("created_at < \(before)") }
        return .joined(conditions, separator: " and ", empty: "true")
    }

    /// What goes with these in answers.
    package func extras(
        of ids: [UUID], in executor: any PostgresExecutor
    ) async throws -> [UUID: SubscriptionExtras] {
        let rows = try await executor.query(
            """
            select s.id, k.sync_status, coalesce(d.spend, 0) as spend
            from subscriptions s
            cross join lateral (
                select case when bool_or(k.sync_status = 'failed') then 'failed'
                    when bool_or(k.sync_status = 'drifted') then 'drifted'
                    when bool_or(k.sync_status = 'pending') then 'pending' else 'synced' end as sync_status
                from api_keys k join api_key_models m on m.api_key_id = k.id and m.model_id = s.model_id
                where k.user_id = s.user_id and k.is_active and (k.expires_at is null or k.expires_at > now())
            ) k
            left join lateral (
                select sum(u.spend) as spend from usage_daily u
                where u.user_id = s.user_id and u.model_id = s.model_id and u.day >= \(unescaped: Self.monthStart)
            ) d on true
            where s.id = any (\(ids))
            """)
        var extras: [UUID: SubscriptionExtras] = [:]
        for row in rows {
            extras[try row.get("id")] = SubscriptionExtras(
                keySync: try row.get("sync_status"), monthSpend: try row.get("spend"))
        }
        return extras
    }

    /// The newest entries of each history, newest first; at most `limit` of each.
    package func history(
        of ids: [UUID], limit: Int, in executor: any PostgresExecutor
    ) async throws -> [SubscriptionHistoryEntry] {
        try await executor.query(
            """
            select h.* from unnest(\(ids)) as i (id) cross join lateral (
                select id, subscription_id, old_status, new_status, cause, reason, changed_by, changed_at
                from subscription_status_history where subscription_id = i.id order by id desc limit \(limit)
            ) h order by h.id desc
            """
        ).map { row in
            SubscriptionHistoryEntry(
                id: try row.get("id"), subscriptionId: try row.get("subscription_id"),
                oldStatus: try row.get("old_status"), newStatus: try row.get("new_status"),
                cause: try row.get("cause"), reason: try row.get("reason"), changedBy: try row.get("changed_by"),
                changedAt: try row.get("changed_at"))
        }
    }

    // MARK: Sums

    /// How many subscriptions a user has; given-up ones count only in the total.
    package func counts(ofUser userId: UUID, in executor: any PostgresExecutor) async throws -> SubscriptionCounts {
        let (total, active, suspended) = try await executor.query(
            """
            select count(*), count(*) filter (where status = 'active'), count(*) filter (where status = 'suspended')
            from subscriptions where user_id = \(userId)
            """
        )[0].decode(Int.self, Int.self, Int.self)
        return SubscriptionCounts(total: total, active: active, suspended: suspended)
    }

    /// Sums over a user's subscriptions; nil for everybody's.
    package func statistics(
        ofUser userId: UUID?, in executor: any PostgresExecutor
    ) async throws -> SubscriptionStatistics {
        let rows = try await executor.query(
            """
            select s.status, m.provider, count(*) as n, \(unescaped: Self.quotaSums)
            from subscriptions s join models m on m.id = s.model_id
            where \(userId)::uuid is null or s.user_id = \(userId)::uuid
            group by s.status, m.provider
            """)
        var found = SubscriptionStatistics(
            byStatus: [:], byProvider: [:], used: SubscriptionQuotas(requests: 0, tokens: 0),
            quotas: SubscriptionQuotas(requests: 0, tokens: 0))
        for row in rows {
            let count: Int = try row.get("n")
            found.byStatus[try row.get("status"), default: 0] += count
            found.byProvider[try row.get("provider"), default: 0] += count
            found.used.requests += try row.get("used_requests", as: Int.self)
            found.used.tokens += try row.get("used_tokens", as: Int.self)
            found.quotas.requests += try row.get("quota_requests", as: Int.self)
            found.quotas.tokens += try row.get("quota_tokens", as: Int.self)
        }
        return found
    }

    private static let quotaSums: StaticString = """
        coalesce(sum(used_requests) filter (where status in ('pending', 'active', 'suspended')), 0)::bigint
            as used_requests,
        coalesce(sum(used_tokens) filter (where status in ('pending', 'active', 'suspended')), 0)::bigint as used_tokens,
        coalesce(sum(quota_requests) filter (where status in ('pending', 'active', 'suspended')), 0)::bigint
            as quota_requests,
        coalesce(sum(quota_tokens) filter (where status in ('pending', 'active', 'suspended')), 0)::bigint
            as quota_tokens
        """

    /// What administrators have to do and did today.
    package func requestStatistics(in executor: any PostgresExecutor) async throws -> SubscriptionRequestStatistics {
        let (pending, approved, denied, total) = try await executor.query(
            """
            select count(*) filter (where status = 'pending'),
                count(*) filter (where status = 'active' and status_cause = 'approval' and status_changed_at >= d.start),
                count(*) filter (where status = 'denied' and status_changed_at >= d.start), count(*)
            from (select date_trunc('day', now() at time zone 'UTC') at time zone 'UTC' as start) d, subscriptions
            """
        )[0].decode(Int.self, Int.self, Int.self, Int.self)
        return SubscriptionRequestStatistics(
            pending: pending, approvedToday: approved, deniedToday: denied, total: total)
    }

    /// The first day of this month, UTC.
    static let monthStart: StaticString = "date_trunc('month', now() at time zone 'UTC')::date"
}
