/// The table `rate_limits`: requests taken out of limits, by minutes of the database's clock.
package struct PostgresRateLimitStore: Sendable {
    /// A store without state.
    package init() {}

    /// Takes for many keys at once, never more than a key's limit in a minute. The keys must differ.
    ///
    /// Rows are locked in the order of the keys, so that statements of several processes cannot deadlock. A statement
    /// that waited into the next minute counts on the minute that the row is in by then.
    package func take(
        _ demands: [RateLimitDemand], in executor: any PostgresExecutor
    ) async throws -> [String: RateLimitGrant] {
        let rows = try await executor.query(
            """
            with demands as (
                select \(demands.map(\.key))::text[] as keys, \(demands.map { Int32(clamping: $0.limit) })::int[] as limits,
                    \(demands.map { Int32(clamping: $0.chunk) })::int[] as chunks)
            insert into rate_limits as held (key, window_start, taken, granted)
            select key, floor(extract(epoch from now()) / 60)::bigint, least(chunk, most), least(chunk, most)
            from demands, unnest(keys, chunks, limits) as demand (key, chunk, most)
            order by key
            on conflict (key) do update set
                window_start = greatest(held.window_start, excluded.window_start),
                taken = case
                    when held.window_start < excluded.window_start then excluded.taken
                    else greatest(held.taken, least(
                        held.taken + excluded.granted,
                        (select limits[array_position(keys, excluded.key)] from demands)))
                    end,
                -- Nothing left: 0 the first time, then -1.
                granted = case
                    when held.window_start < excluded.window_start then excluded.granted
                    when held.taken < (select limits[array_position(keys, excluded.key)] from demands) then least(
                        excluded.granted,
                        (select limits[array_position(keys, excluded.key)] from demands) - held.taken)
                    when held.granted > 0 then 0
                    else -1
                    end
            returning key, granted, taken,
                greatest(1, (window_start + 1) * 60000 - extract(epoch from clock_timestamp()) * 1000)::bigint
            """)
        var grants: [String: RateLimitGrant] = [:]
        for row in rows {
            let (key, granted, taken, milliseconds) = try row.decode(String.self, Int32.self, Int32.self, Int64.self)
            grants[key] = RateLimitGrant(
                granted: max(Int(granted), 0), taken: Int(taken), isFirstRefusal: granted == 0,
                remaining: .milliseconds(milliseconds))
        }
        return grants
    }

    /// Deletes up to `limit` rows whose minute has been over for a minute. Gives how many.
    package func purge(limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            delete from rate_limits where key in (
                select key from rate_limits where window_start < floor(extract(epoch from now()) / 60)::bigint - 1
                limit \(limit) for update skip locked)
            """
        ).affectedRows
    }
}
