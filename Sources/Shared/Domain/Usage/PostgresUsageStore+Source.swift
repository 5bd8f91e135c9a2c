package import Foundation

/// Where sums of a range come from, and how far they can be relied on.
extension PostgresUsageStore {
    /// Runs several statements that see the same state, so that parts of an answer add up to its whole.
    package func consistently<Value: Sendable>(
        in database: PostgresClient, _ body: @Sendable (PostgresTransaction) async throws -> Value
    ) async throws -> Value {
        try await database.withTransaction(isolation: .repeatableRead, readOnly: true, body)
    }

    /// Rows that add up to the range, with the columns of users, keys, models and figures but without days: whole weeks
    /// from their sums, the days at the edges one by one.
    static func used(_ filter: UsageFilter) -> PostgresFragment {
        let condition = condition(filter)
        let from = filter.from.description
        let to = filter.to.description
        let firstWeek = filter.from.advanced(by: 6).startOfWeek
        let afterWeeks = filter.to.next.startOfWeek
        guard firstWeek < afterWeeks else {
            return """
                select \(unescaped: columns) from usage_daily
                where day between \(from)::date and \(to)::date and \(condition)
                """
        }
        let first = firstWeek.description
        let after = afterWeeks.description
        return """
            select \(unescaped: columns) from usage_weeks
            where week >= \(first)::date and week < \(after)::date and \(condition)
            union all
            select \(unescaped: columns) from usage_daily
            where (day >= \(from)::date and day < \(first)::date or day >= \(after)::date and day <= \(to)::date)
                and \(condition)
            """
    }

    /// Rows that add up to each day, with the columns of models and figures. Only users and keys need the days as they
    /// were told; everything else is there added up.
    static func days(of filter: UsageFilter) -> PostgresFragment {
        let from = filter.from.description
        let to = filter.to.description
        let condition = condition(filter)
        guard filter.userIds == nil, filter.apiKeyIds == nil else {
            return """
                select day, model_id, provider, \(unescaped: figures) from usage_daily
                where day between \(from)::date and \(to)::date and \(condition)
                """
        }
        return """
            select day, model_id, provider, \(unescaped: figures) from usage_day_models
            where day between \(from)::date and \(to)::date and \(condition)
            """
    }

    /// What the lists of the filter let through.
    static func condition(_ filter: UsageFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = []
        if let ids = filter.userIds { conditions.append("user_id = any (\(ids))") }
        if let ids = filter.modelIds { conditions.append("model_id = any (\(ids))") }
        if let ids = filter.providers { conditions.append("provider = any (\(ids))") }
        if let ids = filter.apiKeyIds { conditions.append("api_key_id = any (\(ids))") }
        return .joined(conditions, separator: " and ", empty: "true")
    }

    /// Every day of the range, and when it was taken.
    static func freshnessQuery(_ filter: UsageFilter) -> PostgresQuery {
        """
        select d.day::date as day, u.fetched_at, u.is_complete
        from generate_series(
            \(filter.from.description)::timestamp, \(filter.to.description)::timestamp, interval '1 day') as d (day)
        left join usage_days u on u.day = d.day::date order by d.day
        """
    }

    static func freshness(_ rows: PostgresRows) throws -> UsageFreshness {
        var freshness = UsageFreshness()
        for row in rows {
            let fetchedAt: Date? = try row.get("fetched_at")
            guard let fetchedAt else {
                freshness.missingDays.append(try day(row))
                continue
            }
            freshness.takenDays.append(try day(row))
            if try !row.get("is_complete") { freshness.incompleteDays.append(try day(row)) }
            freshness.takenAt = min(freshness.takenAt ?? fetchedAt, fetchedAt)
        }
        return freshness
    }

    /// The keys that ever had these names in LiteLLM, with their owners; what no key of ours had is left out.
    package func keys(
        aliases: [String], in executor: any PostgresExecutor
    ) async throws -> [(alias: String, apiKeyId: UUID, userId: UUID)] {
        try await executor.query(
            """
            select distinct h.litellm_alias, k.id, k.user_id
            from api_key_hashes h join api_keys k on k.id = h.api_key_id
            where h.litellm_alias = any (\(aliases))
            """
        ).map { row in
            let (alias, apiKeyId, userId) = try row.decode(String.self, UUID.self, UUID.self)
            return (alias, apiKeyId, userId)
        }
    }

    private static let columns: StaticString = """
        user_id, api_key_id, model_id, provider, spend, prompt_tokens, completion_tokens, total_tokens, requests,
        successful_requests, failed_requests
        """

    private static let figures: StaticString = """
        spend, prompt_tokens, completion_tokens, total_tokens, requests, successful_requests, failed_requests
        """
}
