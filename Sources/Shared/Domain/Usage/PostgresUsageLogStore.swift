package import Foundation

/// The tables `usage_logs` and `usage_log_state`.
package struct PostgresUsageLogStore: Sendable {
    /// A store without state.
    package init() {}

    /// Stores calls; one that is there takes the figures that LiteLLM tells now. Gives how many are new.
    package func store(_ entries: [UsageLogEntry], in transaction: PostgresTransaction) async throws -> Int {
        guard !entries.isEmpty else { return 0 }
        return try await transaction.query(
            """
            insert into usage_logs as l (
                request_id, started_at, key_hash, user_id, api_key_id, model_id, spend, prompt_tokens,
                completion_tokens, total_tokens, status, duration_ms)
            select distinct on (u.request_id) u.request_id, u.started_at, u.key_hash, k.user_id, k.id, u.model_id,
                u.spend::numeric, u.prompt_tokens, u.completion_tokens, u.total_tokens, u.status, u.duration_ms
            from unnest(
                \(entries.map(\.requestId))::text[], \(entries.map(\.startedAt))::timestamptz[],
                \(entries.map(\.keyHash))::text[], \(entries.map(\.modelId))::text[],
                \(entries.map { "\($0.spend)" })::text[], \(entries.map(\.promptTokens)),
                \(entries.map(\.completionTokens)), \(entries.map(\.totalTokens)),
                \(entries.map(\.status.rawValue))::text[], \(entries.map(\.durationMs))::bigint[]
            ) as u (
                request_id, started_at, key_hash, model_id, spend, prompt_tokens, completion_tokens, total_tokens, status,
                duration_ms)
            left join api_key_hashes h on h.key_hash = u.key_hash
            left join api_keys k on k.id = h.api_key_id
            order by u.request_id
            on conflict (request_id) do update set
                spend = excluded.spend, prompt_tokens = excluded.prompt_tokens,
                completion_tokens = excluded.completion_tokens, total_tokens = excluded.total_tokens,
                status = excluded.status, duration_ms = excluded.duration_ms, user_id = excluded.user_id,
                api_key_id = excluded.api_key_id
            returning (l.xmax = 0) as is_new
            """
        ).reduce(into: 0) { count, row in if try row.decode(Bool.self) { count += 1 } }
    }

    /// Until when the log was taken over, and the database's time; begins `back` before now.
    package func takenUntil(
        beginning back: Duration, in executor: any PostgresExecutor
    ) async throws -> (takenUntil: Date, now: Date) {
        let row = try await executor.query(
            """
            select coalesce((select taken_until from usage_log_state),
                now() - make_interval(secs => \(back.inSeconds))) as taken_until, now() as now
            """)[0]
        return (try row.get("taken_until"), try row.get("now"))
    }

    /// Notes until when the log was taken over; never moves back.
    package func note(takenUntil time: Date, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            insert into usage_log_state as s (taken_until) values (\(time))
            on conflict (is_only) do update set taken_until = greatest(s.taken_until, excluded.taken_until),
                updated_at = now()
            """)
    }

    /// A page of calls, newest first, and where the next one begins; nil at the end.
    package func page(
        _ filter: UsageLogFilter, after cursor: UsageLogCursor?, limit: Int, in executor: any PostgresExecutor
    ) async throws -> (records: [UsageLogRecord], next: UsageLogCursor?) {
        var parts: [PostgresFragment] = ["true"]
        if let id = filter.userId { parts.append("l.user_id = \(id)") }
        if let id = filter.apiKeyId { parts.append("l.api_key_id = \(id)") }
        if let id = filter.modelId { parts.append("l.model_id = \(id)") }
        if let status = filter.status { parts.append("l.status = \(status.rawValue)") }
        if let from = filter.from { parts.append("l.started_at >= \(from)") }
        if let before = filter.before { parts.append("l.started_at < \(before)") }
        if let cursor {
            parts.append(
                """
                (l.started_at, l.request_id) < ('epoch'::timestamptz + \(cursor.startedAt) * interval '1 microsecond',
                    \(cursor.requestId)::text)
                """)
        }
        let rows = try await executor.query(
            """
            select l.*, (extract(epoch from l.started_at) * 1000000)::bigint as place, u.username, k.name as key_name
            from (
                select * from usage_logs l where \(.joined(parts, separator: " and "))
                order by l.started_at desc, l.request_id desc limit \(limit + 1)
            ) l left join users u on u.id = l.user_id left join api_keys k on k.id = l.api_key_id
            order by l.started_at desc, l.request_id desc
            """)
        let shown = rows.prefix(limit)
        var next: UsageLogCursor?
        if rows.count > limit, let last = shown.last {
            next = UsageLogCursor(startedAt: try last.get("place"), requestId: try last.get("request_id"))
        }
        return (try shown.map(Self.record), next)
    }

    /// Deletes calls from before; gives how many.
    package func purge(olderThanDays days: Int, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            with gone as (
                delete from usage_logs where request_id in (
                    select request_id from usage_logs where started_at < now() - make_interval(days => \(Int32(days)))
                    order by started_at limit \(limit))
                returning 1)
            select count(*) from gone
            """
        ).one(Int.self)
    }

    private static func record(_ row: PostgresRow) throws -> UsageLogRecord {
        UsageLogRecord(
            entry: UsageLogEntry(
                requestId: try row.get("request_id"), startedAt: try row.get("started_at"),
                keyHash: try row.get("key_hash"), modelId: try row.get("model_id"), spend: try row.get("spend"),
                promptTokens: try row.get("prompt_tokens"), completionTokens: try row.get("completion_tokens"),
                totalTokens: try row.get("total_tokens"), status: try row.get("status"),
                durationMs: try row.get("duration_ms")),
            userId: try row.get("user_id"), apiKeyId: try row.get("api_key_id"), username: try row.get("username"),
            keyName: try row.get("key_name"))
    }
}
