package import Foundation

/// The tables `usage_days` and `usage_daily`.
package struct PostgresUsageStore: Sendable {
    // Values in one statement: large enough that round trips do not count, small enough to stay a small message.
    private static let batch = 1000

    /// A store without state.
    package init() {}

    /// The database's present time, by which days are over for every process at once.
    package func now(in executor: any PostgresExecutor) async throws -> Date {
        try await executor.query("select clock_timestamp()").one(Date.self)
    }

    /// Replaces a day as a whole. An answer that is older than what is stored changes nothing; gives whether it was
    /// stored.
    package func replace(
        _ usage: UsageDay, jobId: Int64, in transaction: PostgresTransaction
    ) async throws -> Bool {
        let totals = usage.totals
        let stored = try await transaction.query(
            """
            insert into usage_days (
                day, fetched_at, is_complete, spend, prompt_tokens, completion_tokens, total_tokens, requests,
                successful_requests, failed_requests, job_id)
            values (
                \(usage.day.description)::date, \(usage.fetchedAt), \(usage.isComplete), \(totals.spend),
                \(totals.promptTokens), \(totals.completionTokens), \(totals.totalTokens), \(totals.requests),
                \(totals.successfulRequests), \(totals.failedRequests), \(jobId))
            on conflict (day) do update set
                fetched_at = excluded.fetched_at, is_complete = excluded.is_complete, spend = excluded.spend,
                prompt_tokens = excluded.prompt_tokens, completion_tokens = excluded.completion_tokens,
                total_tokens = excluded.total_tokens, requests = excluded.requests,
                successful_requests = excluded.successful_requests, failed_requests = excluded.failed_requests,
                job_id = excluded.job_id
            where usage_days.fetched_at <= excluded.fetched_at
            returning day
            """)
        guard !stored.isEmpty else { return false }
        try await transaction.query("delete from usage_daily where day = \(usage.day.description)::date")
        for start in stride(from: 0, to: usage.entries.count, by: Self.batch) {
            let part = Array(usage.entries[start..<min(start + Self.batch, usage.entries.count)])
            try await insert(part, day: usage.day, in: transaction)
        }
        return true
    }

    private func insert(
        _ entries: [UsageEntry], day: UTCDay, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into usage_daily (
                day, key_hash, model_id, provider, user_id, api_key_id, key_alias, spend, prompt_tokens,
                completion_tokens, total_tokens, requests, successful_requests, failed_requests)
            select \(day.description)::date, u.key_hash, u.model_id, u.provider, k.user_id, k.id, u.key_alias,
                u.spend::numeric, u.prompt_tokens, u.completion_tokens, u.total_tokens, u.requests,
                u.successful_requests, u.failed_requests
            from unnest(
                \(entries.map(\.keyHash))::text[], \(entries.map(\.modelId))::text[],
                \(entries.map(\.provider))::text[], \(entries.map(\.keyAlias))::text[],
                \(entries.map { "\($0.totals.spend)" })::text[], \(entries.map(\.totals.promptTokens)),
                \(entries.map(\.totals.completionTokens)), \(entries.map(\.totals.totalTokens)),
                \(entries.map(\.totals.requests)), \(entries.map(\.totals.successfulRequests)),
                \(entries.map(\.totals.failedRequests))
            ) as u (
                key_hash, model_id, provider, key_alias, spend, prompt_tokens, completion_tokens, total_tokens, requests,
                successful_requests, failed_requests)
            left join api_key_hashes h on h.key_hash = u.key_hash
            left join api_keys k on k.id = h.api_key_id
            """)
    }

    /// Days that were never taken over, or not since they were final; the newest first.
    package func unfinished(
        from: UTCDay, to: UTCDay, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [UTCDay] {
        try await executor.query(
            """
            select d.day::date as day
            from generate_series(\(from.description)::timestamp, \(to.description)::timestamp, interval '1 day') as d (day)
            left join usage_days u on u.day = d.day::date
            where not coalesce(u.is_complete, false) order by d.day desc limit \(limit)
            """
        ).map(Self.day)
    }

    /// Adds up what the filter lets through.
    package func summary(_ filter: UsageFilter, in executor: any PostgresExecutor) async throws -> UsageSummary {
        let results = try await executor.pipeline([
            """
            select grouping(model_id) = 0 as by_model, grouping(day) = 0 as by_day, model_id, provider, day,
                \(unescaped: Self.sums)
            from (\(Self.days(of: filter))) as used
            group by grouping sets ((), (model_id, provider), (day))
            order by by_model, by_day, day, spend desc, model_id, provider
            """,
            Self.freshnessQuery(filter),
        ])
        var summary = UsageSummary(
            totals: .zero, byModel: [], byDay: [], freshness: try Self.freshness(results[1]))
        for row in results[0] {
            let totals = try UsageTotals(row: row)
            if try row.get("by_model") {
                summary.byModel.append(
                    UsageSummary.ByModel(
                        modelId: try row.get("model_id"), provider: try row.get("provider"), totals: totals))
            } else if try row.get("by_day") {
                summary.byDay.append(UsageSummary.ByDay(day: try Self.day(row), totals: totals))
            } else {
                summary.totals = totals
            }
        }
        return summary
    }

    /// What a key of ours used, by all of its secrets, and when the newest part of that was taken.
    ///
    /// - Parameter since: the first day; nil for all.
    package func totals(
        ofKey id: UUID, since day: UTCDay?, in executor: any PostgresExecutor
    ) async throws -> (totals: UsageTotals, takenAt: Date?) {
        let from = day?.description ?? "1970-01-01"
        let results = try await executor.pipeline([
            "select \(unescaped: Self.sums) from usage_daily where api_key_id = \(id) and day >= \(from)::date",
            "select max(fetched_at) from usage_days",
        ])
        return (try UsageTotals(row: results[0][0]), try results[1].one(Date?.self))
    }

    /// The requests of a day that is final, locked against whoever else replaces it; nil when it is not.
    package func finalRequests(of day: UTCDay, in transaction: PostgresTransaction) async throws -> Int? {
        try await transaction.query(
            "select requests from usage_days where day = \(day.description)::date and is_complete for update"
        ).first?.decode(Int.self)
    }

    /// What is stored of a day as a whole; nil when it was never asked for.
    package func day(_ day: UTCDay, in executor: any PostgresExecutor) async throws -> UsageDay? {
        let results = try await executor.pipeline([
            "select * from usage_days where day = \(day.description)::date",
            "select * from usage_daily where day = \(day.description)::date order by key_hash, model_id, provider",
        ])
        guard let row = results[0].first else { return nil }
        return UsageDay(
            day: day, fetchedAt: try row.get("fetched_at"), isComplete: try row.get("is_complete"),
            totals: try UsageTotals(row: row),
            entries: try results[1].map { row throws(PostgresError) in
                UsageEntry(
                    keyHash: try row.get("key_hash"), modelId: try row.get("model_id"),
                    provider: try row.get("provider"), keyAlias: try row.get("key_alias"),
                    totals: try UsageTotals(row: row))
            })
    }

    static let sums: StaticString = """
        coalesce(sum(spend), 0) as spend, coalesce(sum(prompt_tokens), 0)::bigint as prompt_tokens,
        coalesce(sum(completion_tokens), 0)::bigint as completion_tokens,
        coalesce(sum(total_tokens), 0)::bigint as total_tokens, coalesce(sum(requests), 0)::bigint as requests,
        coalesce(sum(successful_requests), 0)::bigint as successful_requests,
        coalesce(sum(failed_requests), 0)::bigint as failed_requests
        """

    static func day(_ row: PostgresRow) throws(PostgresError) -> UTCDay {
        let text: String = try row.get("day")
        guard let day = UTCDay(text) else { throw PostgresError(.decode, "column day does not hold a day") }
        return day
    }
}
