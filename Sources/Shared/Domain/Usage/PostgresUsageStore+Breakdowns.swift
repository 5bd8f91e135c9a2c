import Foundation

/// Usage by one thing, page by page. Ties are broken by ids, so that no item is on two pages.
extension PostgresUsageStore {
    /// Users with their models and keys. What belongs to nobody is in `unattributed`.
    package func byUser(
        _ filter: UsageFilter, _ order: UsageOrder, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> UsagePage<UserUsage> {
        let sorting = Self.sorting(order, name: "lower(username)")
        let results = try await executor.pipeline([
            """
            with cells as materialized (\(Self.cells(filter))), ranked as (
                select *, row_number() over (order by \(sorting), user_id) as position
                from (
                    select c.user_id, coalesce(min(p.username), 'unknown') as username, \(unescaped: Self.sums)
                    from cells c left join users p on p.id = c.user_id where c.user_id is not null group by c.user_id
                ) s
            ), parts as (
                select r.position, c.user_id, c.model_id, c.provider, c.api_key_id,
                    grouping(c.api_key_id, c.model_id) as side, null::bigint as total, \(unescaped: Self.sums)
                from (select user_id, position from ranked order by position limit \(page.size) offset \(page.offset)) r
                join cells c on c.user_id = r.user_id
                group by grouping sets (
                    (r.position, c.user_id), (r.position, c.user_id, c.model_id, c.provider),
                    (r.position, c.user_id, c.api_key_id))
                union all
                select 0, null, null, null, null, 0, (select count(*) from ranked), \(unescaped: Self.sums)
                from cells where user_id is null
            )
            select parts.*, coalesce(p.username, 'unknown') as username, coalesce(p.email, '') as email,
                p.roles[1] as role, m.name as model_name, k.litellm_alias,
                case when parts.side = 1 then (
                    select max(day) from usage_daily d
                    where d.api_key_id = parts.api_key_id
                        and day between \(filter.from.description)::date and \(filter.to.description)::date
                        and \(Self.condition(filter))
                ) end as last_day
            from parts left join users p on p.id = parts.user_id
            left join models m on m.id = parts.model_id left join api_keys k on k.id = parts.api_key_id
            order by parts.position, parts.side desc, total_tokens desc, parts.model_id, parts.provider, k.litellm_alias
            """,
            Self.freshnessQuery(filter),
        ])
        var found = UsagePage<UserUsage>()
        for row in results[0] { try Self.read(row, into: &found) }
        found.freshness = try Self.freshness(results[1])
        return found
    }

    private static func read(_ row: PostgresRow, into page: inout UsagePage<UserUsage>) throws {
        let totals = try UsageTotals(row: row)
        let userId: UUID? = try row.get("user_id")
        guard let userId else {
            page.total = try row.get("total")
            page.unattributed = totals
            return
        }
        let last = page.items.count - 1
        switch try row.get("side") as Int {
        case 1:
            let keyId: UUID? = try row.get("api_key_id")
            guard let keyId else { return }
            page.items[last].keys.append(
                UserUsage.Key(
                    id: keyId, alias: try row.get("litellm_alias") ?? "unknown", totals: totals,
                    lastUsed: (try row.get("last_day") as String?).flatMap { UTCDay($0) }))
        case 2: page.items[last].models.append(UsageShare(part: try model(row), totals: totals, users: 1))
        default: page.items.append(UserUsage(user: try user(row, userId), totals: totals))
        }
    }

    /// Models at their providers, foreign keys' usage included.
    package func byModel(
        _ filter: UsageFilter, _ order: UsageOrder, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> UsagePage<UsageShare<UsageModel>> {
        let sorting = Self.sorting(order, name: "lower(coalesce(model_name, model_id))")
        let results = try await executor.pipeline([
            """
            with parts as (
                select c.model_id, c.provider, min(m.name) as model_name, count(distinct c.user_id)::bigint as users,
                    \(unescaped: Self.sums)
                from (\(Self.cells(filter))) as c left join models m on m.id = c.model_id
                group by c.model_id, c.provider
            )
            select * from (select count(*) as total from parts) as all_parts left join (
                select *, row_number() over (order by \(sorting), model_id, provider) as position from parts
                order by position limit \(page.size) offset \(page.offset)
            ) as page on true order by position
            """,
            Self.freshnessQuery(filter),
        ])
        var found = UsagePage<UsageShare<UsageModel>>()
        for row in results[0] {
            found.total = try row.get("total")
            guard try row.get("position") as Int? != nil else { continue }
            found.items.append(
                UsageShare(part: try Self.model(row), totals: try UsageTotals(row: row), users: try row.get("users")))
        }
        found.freshness = try Self.freshness(results[1])
        return found
    }

    /// Providers, foreign keys' usage included.
    package func byProvider(
        _ filter: UsageFilter, _ order: UsageOrder, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> UsagePage<ProviderUsage> {
        let sorting = Self.sorting(order, name: "lower(provider)")
        let results = try await executor.pipeline([
            """
            with parts as (
                select provider, count(distinct model_id)::bigint as models, count(distinct user_id)::bigint as users,
                    \(unescaped: Self.sums)
                from (\(Self.cells(filter))) as c group by provider
            )
            select * from (select count(*) as total from parts) as all_parts left join (
                select *, row_number() over (order by \(sorting), provider) as position from parts
                order by position limit \(page.size) offset \(page.offset)
            ) as page on true order by position
            """,
            Self.freshnessQuery(filter),
        ])
        var found = UsagePage<ProviderUsage>()
        for row in results[0] {
            found.total = try row.get("total")
            guard try row.get("position") as Int? != nil else { continue }
            found.items.append(
                ProviderUsage(
                    provider: try row.get("provider"), models: try row.get("models"), users: try row.get("users"),
                    totals: try UsageTotals(row: row)))
        }
        found.freshness = try Self.freshness(results[1])
        return found
    }

    /// What was used in the range, to choose from: at most `limit` of each.
    package func choices(
        from: UTCDay, to: UTCDay, limit: Int, in executor: any PostgresExecutor
    ) async throws -> UsageChoices {
        let filter = UsageFilter(from: from, to: to)
        let results = try await executor.pipeline([
            """
            select d.model_id, d.provider, m.name as model_name
            from (select distinct model_id, provider from (\(Self.days(of: filter))) as used) d
            left join models m on m.id = d.model_id order by d.model_id, d.provider limit \(limit + 1)
            """,
            """
            select u.user_id, p.username, p.email, p.roles[1] as role
            from (select distinct user_id from (\(Self.used(filter))) as used) u join users p on p.id = u.user_id
            order by lower(p.username), u.user_id limit \(limit + 1)
            """,
        ])
        let models = try results[0].map { try Self.model($0) }
        let users = try results[1].map { try Self.user($0, try $0.get("user_id")) }
        return UsageChoices(
            models: Array(models.prefix(limit)), users: Array(users.prefix(limit)),
            providers: Set(models.prefix(limit).map(\.provider)).sorted(),
            isPartial: models.count > limit || users.count > limit)
    }

    /// One row for each user, key, model and provider: small enough to be added up again and again.
    static func cells(_ filter: UsageFilter) -> PostgresFragment {
        """
        select user_id, api_key_id, model_id, provider, \(unescaped: sums) from (\(used(filter))) as used
        group by user_id, api_key_id, model_id, provider
        """
    }

    private static func sorting(_ order: UsageOrder, name: PostgresFragment) -> PostgresFragment {
        let column: PostgresFragment =
            switch order.key {
            case .name: name
            case .requests: "requests"
            case .totalTokens: "total_tokens"
            case .promptTokens: "prompt_tokens"
            case .completionTokens: "completion_tokens"
            case .cost: "spend"
            case .users: "users"
            case .models: "models"
            case .successRate:
                "coalesce(successful_requests::numeric / nullif(successful_requests + failed_requests, 0), 0)"
            }
        return order.isDescending ? "\(column) desc" : "\(column) asc"
    }
}
