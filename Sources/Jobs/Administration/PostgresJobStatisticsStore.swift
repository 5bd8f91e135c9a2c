import Foundation
import Shared

/// The SQL that counts jobs. Large tables are sampled, the history is read from its end: the time it takes does not
/// grow with the backlog.
struct PostgresJobStatisticsStore: Sendable {
    /// Tables up to so many rows are counted as a whole; of larger ones about as many are sampled.
    private static let sampleRows = 50_000.0
    /// Blocks of the history that are read for what was done lately.
    private static let tailBlocks: Int64 = 4000
    static let windows = [60, 300, 900, 3600]

    struct Counted: Sendable {
        var queueId: Int16
        var kindId: Int16
        var state: String
        var count: Int
    }

    /// How much of a table is read: a hundred for all of it.
    private func percentage(_ explain: PostgresQuery, in executor: any PostgresExecutor) async throws -> Double {
        let plan = try await executor.query(explain).first?.decode(JSONValue.self)
        let rows = plan?[0]?["Plan"]?["Plan Rows"]?.doubleValue ?? 0
        return rows <= Self.sampleRows ? 100 : max(0.01, Self.sampleRows / rows * 100)
    }

    /// Unfinished jobs and dead letters by queue, kind and state, and whether they were counted one by one.
    func counts(in executor: any PostgresExecutor) async throws -> (counts: [Counted], isExact: Bool) {
        let live = try await percentage("explain (format json) select 1 from jobs", in: executor)
        let dead = try await percentage("explain (format json) select 1 from job_dead_letters", in: executor)
        let rows = try await executor.query(
            """
            select queue_id, kind_id, \(unescaped: PostgresJobSearchStore.liveState),
                round(count(*) * 100 / \(live))::bigint
            from \(Self.table("jobs", live)) group by 1, 2, 3
            union all
            select queue_id, kind_id, 'failed', round(count(*) * 100 / \(dead))::bigint
            from \(Self.table("job_dead_letters", dead)) group by 1, 2
            """)
        let counts = try rows.map { row in
            let (queueId, kindId, state, count) = try row.decode(Int16.self, Int16.self, String.self, Int.self)
            return Counted(queueId: queueId, kindId: kindId, state: state, count: count)
        }
        return (counts, live == 100 && dead == 100)
    }

    private static func table(_ name: StaticString, _ percentage: Double) -> PostgresFragment {
        percentage == 100 ? "\(unescaped: name)" : "\(unescaped: name) tablesample system (\(percentage))"
    }

    /// How long the oldest of the next thousand jobs of each lane has been ready, by queue.
    func oldestReady(in executor: any PostgresExecutor) async throws -> [Int16: Double] {
        let rows = try await executor.query(
            """
            select q.id, extract(epoch from clock_timestamp() - min(l.since))::float8
            from job_queues q
            cross join (select 0::smallint as upstream union all select upstream from breakers) as u
            cross join lateral (
                select min(run_at) as since from (
                    select run_at from jobs where queue_id = q.id and upstream = u.upstream and state = 0
                    order by priority, id limit 1000) as head
            ) as l
            where l.since is not null group by q.id
            """)
        return Dictionary(
            try rows.map { row -> (Int16, Double) in
                let (id, age) = try row.decode(Int16.self, Double.self)
                return (id, max(age, 0))
            }, uniquingKeysWith: max)
    }

    /// What failed alike, most frequent first.
    func failures(in executor: any PostgresExecutor) async throws -> [JobStatistics.Failure] {
        let part = try await percentage("explain (format json) select 1 from job_dead_letters", in: executor)
        let rows = try await executor.query(
            """
            select k.name, g.error_class, g.error_code, g.count, g.first_at, g.last_at, g.last_id,
                (select d.error_message from job_dead_letters d where d.id = g.last_id)
            from (
                select kind_id, coalesce(error_class, '') as error_class, coalesce(error_code, '') as error_code,
                    round(count(*) * 100 / \(part))::bigint as count, min(finished_at) as first_at,
                    max(finished_at) as last_at, max(id) as last_id
                from \(Self.table("job_dead_letters", part)) group by 1, 2, 3 order by 4 desc, 7 desc limit 50
            ) as g join job_kinds k on k.id = g.kind_id
            order by g.count desc, g.last_id desc
            """)
        return try rows.map { row in
            let (kind, errorClass, code, count, firstAt, lastAt, lastId, message) = try row.decode(
                String.self, String.self, String.self, Int.self, Date.self, Date.self, Int64.self, String?.self)
            return JobStatistics.Failure(
                kind: kind, errorClass: errorClass, errorCode: code, count: count, firstAt: firstAt, lastAt: lastAt,
                lastJobId: JobNumber(lastId), message: message ?? "")
        }
    }

    /// The planner's idea of how much history there is.
    func history(in executor: any PostgresExecutor) async throws -> CountReport {
        let plan = try await executor.query("explain (format json) select 1 from job_history").first?.decode(
            JSONValue.self)
        return CountReport(value: Int(plan?[0]?["Plan"]?["Plan Rows"]?.doubleValue ?? 0), isExact: false)
    }

    // MARK: Throughput

    /// What came to an end lately, from the newest blocks of the history and from the dead letters.
    func throughput(in executor: any PostgresExecutor) async throws -> [JobStatistics.Window] {
        var windows = Self.windows.map {
            JobStatistics.Window(
                seconds: $0, coveredSeconds: Double($0), succeeded: 0, failed: 0, cancelled: 0, perSecond: 0)
        }
        for partition in try await currentPartitions(in: executor) {
            let first = max(0, partition.blocks - Self.tailBlocks)
            let rows = try await executor.query(
                """
                select outcome, extract(epoch from clock_timestamp() - min(finished_at))::float8,
                    count(*) filter (where finished_at > now() - interval '60 seconds'),
                    count(*) filter (where finished_at > now() - interval '300 seconds'),
                    count(*) filter (where finished_at > now() - interval '900 seconds'),
                    count(*)
                from \(identifier: partition.name)
                where ctid >= \("(\(first),0)")::tid and finished_at > now() - interval '3600 seconds'
                    and discarded_at is null
                group by outcome
                """)
            for row in rows {
                let (outcome, reach, minute, five, quarter, hour) = try row.decode(
                    Int16.self, Double.self, Int.self, Int.self, Int.self, Int.self)
                for (index, count) in [minute, five, quarter, hour].enumerated() {
                    if first > 0 { windows[index].coveredSeconds = min(windows[index].coveredSeconds, reach) }
                    if outcome == StoredState.succeeded.rawValue {
                        windows[index].succeeded += count
                    } else {
                        windows[index].cancelled += count
                    }
                }
            }
        }
        let failed = try await executor.query(
            """
            select count(*) filter (where finished_at > now() - interval '60 seconds'),
                count(*) filter (where finished_at > now() - interval '300 seconds'),
                count(*) filter (where finished_at > now() - interval '900 seconds'), count(*)
            from job_dead_letters where finished_at > now() - interval '3600 seconds'
            """)
        if let row = failed.first {
            let (minute, five, quarter, hour) = try row.decode(Int.self, Int.self, Int.self, Int.self)
            for (index, count) in [minute, five, quarter, hour].enumerated() { windows[index].failed = count }
        }
        for index in windows.indices {
            let window = windows[index]
            let ended = Double(window.succeeded + window.cancelled) / max(window.coveredSeconds, 1)
            windows[index].perSecond = ended + Double(window.failed) / Double(window.seconds)
        }
        return windows
    }

    /// The history's partitions that the last hour falls into, and the default one when there is anything in it.
    private func currentPartitions(
        in executor: any PostgresExecutor
    ) async throws -> [(name: String, blocks: Int64)] {
        let rows = try await executor.query(
            """
            select p.name, p.blocks from (
                select c.relname::text as name, pg_relation_size(c.oid) / current_setting('block_size')::bigint as blocks,
                    regexp_match(
                        pg_get_expr(c.relpartbound, c.oid), 'FROM \\(''([^'']+)''\\) TO \\(''([^'']+)''\\)') as bounds
                from pg_inherits i join pg_class c on c.oid = i.inhrelid
                where i.inhparent = 'job_history'::regclass
            ) as p
            where p.blocks > 0 and (p.bounds is null
                or (p.bounds[1]::timestamptz <= now() and p.bounds[2]::timestamptz > now() - interval '3600 seconds'))
            order by p.name
            """)
        return try rows.map { row in
            let (name, blocks) = try row.decode(String.self, Int64.self)
            return (name, blocks)
        }
    }
}
