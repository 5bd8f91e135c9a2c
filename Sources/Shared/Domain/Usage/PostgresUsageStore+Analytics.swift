import Foundation

/// One look at usage, from every side at once.
extension PostgresUsageStore {
    /// Adds up what the filter lets through, by everything there is, beside as many days before.
    ///
    /// All parts of one state: run it in `consistently`.
    package func analytics(
        _ filter: UsageFilter, in executor: any PostgresExecutor
    ) async throws -> UsageAnalytics {
        let results = try await executor.pipeline([
            Self.sharesQuery(filter),
            Self.daysQuery(filter),
            "select \(unescaped: Self.sums) from (\(Self.days(of: filter.previous))) as used",
            """
            select count(user_id)::bigint
            from (select user_id from (\(Self.used(filter.previous))) as used group by user_id) as by_user
            """,
            Self.freshnessQuery(filter),
            Self.freshnessQuery(filter.previous),
            "select count(*) from users where id <> \(User.systemId)",
        ])
        var analytics = UsageAnalytics()
        analytics.freshness = try Self.freshness(results[4])
        try Self.readShares(results[0], into: &analytics)
        try Self.readDays(results[1], into: &analytics)
        analytics.previousTotals = try UsageTotals(row: results[2][0])
        analytics.previousActiveUsers = try results[3].one(Int.self)
        analytics.previousFreshness = try Self.freshness(results[5])
        analytics.registeredUsers = try results[6].one(Int.self)
        return analytics
    }

    // The sides are added up from one intermediate sum, which is as small as there are keys and models.
    private static func sharesQuery(_ filter: UsageFilter) -> PostgresQuery {
        """
        with cells as materialized (\(cells(filter))), shares as (
            select case grouping(user_id, api_key_id, model_id, provider)
                    when 15 then 'all' when 14 then 'provider' when 12 then 'model' when 7 then 'user' else 'key'
                end as side,
                user_id, api_key_id, model_id, provider, count(distinct user_id)::bigint as users, \(unescaped: sums)
            from cells
            group by grouping sets ((), (provider), (model_id, provider), (user_id), (user_id, api_key_id))
        ), ranked as (
            select *, row_number() over (
                partition by side, api_key_id is null, user_id is null
                order by spend desc, total_tokens desc, model_id, provider, user_id, api_key_id) as position
            from shares
        )
        select r.*, m.name as model_name, k.litellm_alias, coalesce(p.username, 'unknown') as username,
            coalesce(p.email, '') as email, p.roles[1] as role
        from ranked r
        left join models m on r.side = 'model' and m.id = r.model_id
        left join api_keys k on r.side = 'key' and k.id = r.api_key_id
        left join users p on p.id = r.user_id
        where case r.side
            when 'key' then r.api_key_id is not null and r.position = 1
            when 'user' then r.position <= \(UsageAnalytics.userLimit) else true end
        order by r.side, r.position
        """
    }

    private static func readShares(_ rows: PostgresRows, into analytics: inout UsageAnalytics) throws {
        for row in rows {
            let totals = try UsageTotals(row: row)
            let users: Int = try row.get("users")
            let userId: UUID? = try row.get("user_id")
            switch try row.get("side") as String {
            case "provider":
                analytics.providers.append(UsageShare(part: try row.get("provider"), totals: totals, users: users))
            case "model":
                analytics.models.append(UsageShare(part: try model(row), totals: totals, users: users))
            case "user":
                guard let userId else {
                    analytics.unattributed = totals
                    continue
                }
                analytics.users.append(UsageShare(part: try user(row, userId), totals: totals, users: users))
            case "key":
                guard let userId else { continue }
                let key = UsageKey(
                    id: try row.get("api_key_id"), alias: try row.get("litellm_alias") ?? "unknown",
                    user: try user(row, userId))
                analytics.topKey = UsageShare(part: key, totals: totals, users: users)
            default:
                analytics.totals = totals
                analytics.activeUsers = users
            }
        }
        analytics.otherUsers = analytics.users.reduce(analytics.totals - analytics.unattributed) { $0 - $1.totals }
    }

    private static func daysQuery(_ filter: UsageFilter) -> PostgresQuery {
        """
        select s.*, m.name as model_name from (
            select day, model_id, provider, grouping(model_id) = 0 as by_model, \(unescaped: sums)
            from (\(days(of: filter))) as used group by grouping sets ((day), (day, model_id, provider))
        ) s left join models m on m.id = s.model_id
        order by s.day, by_model, s.spend desc, s.total_tokens desc, s.model_id, s.provider
        """
    }

    private static func readDays(_ rows: PostgresRows, into analytics: inout UsageAnalytics) throws {
        var used: [UTCDay: UsageAnalytics.ModelDay] = [:]
        for row in rows {
            let day = try day(row)
            let totals = try UsageTotals(row: row)
            if try row.get("by_model") {
                used[day]?.models.append(UsageShare(part: try model(row), totals: totals, users: 0))
            } else {
                used[day] = UsageAnalytics.ModelDay(day: day, models: [], totals: totals)
            }
        }
        analytics.days = analytics.freshness.takenDays.map {
            used[$0] ?? UsageAnalytics.ModelDay(day: $0, models: [], totals: .zero)
        }
    }

    static func model(_ row: PostgresRow) throws -> UsageModel {
        let id: String = try row.get("model_id")
        return UsageModel(id: id, name: try row.get("model_name") ?? id, provider: try row.get("provider"))
    }

    static func user(_ row: PostgresRow, _ id: UUID) throws -> UsageUser {
        UsageUser(
            id: id, username: try row.get("username"), email: try row.get("email"), role: try row.get("role"))
    }
}
