import Foundation
import Shared

/// The SQL of `job_limits` and of the jobs they park.
struct PostgresLimitStore: Sendable {
    /// Which queues and kinds have a limit at all.
    struct View: Sendable, Equatable {
        var queues: Set<Int16> = []
        var kinds: Set<Int16> = []
        var isEmpty: Bool { queues.isEmpty && kinds.isEmpty }
    }

    /// How many more jobs may start.
    struct Permits: Sendable {
        /// Of the whole lane; nil when its queue has no limit.
        var queue: Int?
        /// Of each limited kind.
        var kinds: [Int16: Int] = [:]
    }

    static var running: PostgresFragment {
        """
        (select count(*) from jobs r
         where r.state = 1 and (case l.scope when 0 then r.queue_id else r.kind_id end) = l.target
           and r.worker_id in (select w.id from job_workers w where w.state in (0, 1)))
        """
    }

    /// Whether the period has ended, on the clock of now: the transaction may have waited for the row.
    static var hasEnded: PostgresFragment {
        """
        (l.period_start is null or l.period_start + l.rate_seconds * interval '1 second' <= clock_timestamp())
        """
    }

    func view(in executor: any PostgresExecutor) async throws -> View {
        var view = View()
        for row in try await executor.query("select scope, target from job_limits") {
            let (scope, target) = try row.decode(Int16.self, Int16.self)
            if scope == JobLimitScope.queue.code { view.queues.insert(target) } else { view.kinds.insert(target) }
        }
        return view
    }

    /// Locks the limits of a lane and counts what they leave. The counts are a statement of their own: its snapshot is
    /// younger than the lock, so it sees what the holder before has started.
    func lock(
        queue: Int16, kinds: [Int16], in transaction: PostgresTransaction
    ) async throws -> Permits {
        let results = try await transaction.pipeline([
            """
            select 1 from job_limits where (scope = 0 and target = \(queue)) or (scope = 1 and target = any (\(kinds)))
            order by scope, target for update
            """,
            """
            select l.scope, l.target, l.max_running, l.rate_count,
                case when \(Self.hasEnded) then 0 else l.period_starts end,
                case when l.max_running is null then 0 else \(Self.running) end
            from job_limits l
            where (l.scope = 0 and l.target = \(queue)) or (l.scope = 1 and l.target = any (\(kinds)))
            """,
        ])
        var permits = Permits()
        for row in results[1] {
            let (scope, target, maxRunning, rateCount, starts, running) = try row.decode(
                Int16.self, Int16.self, Int32?.self, Int32?.self, Int32.self, Int64.self)
            let slots = maxRunning.map { Int($0) - Int(running) } ?? .max
            let rate = rateCount.map { Int($0) - Int(starts) } ?? .max
            let free = max(0, min(slots, rate))
            if scope == JobLimitScope.queue.code { permits.queue = free } else { permits.kinds[target] = free }
        }
        return permits
    }

    /// Counts starts in the periods of the limits that have a rate.
    func countStarts(queue: Int16, total: Int, kinds: [Int16: Int], in executor: any PostgresExecutor) async throws {
        let targets = [queue] + kinds.keys
        let scopes = [JobLimitScope.queue.code] + kinds.keys.map { _ in JobLimitScope.kind.code }
        let counts = ([total] + kinds.values).map { Int32(clamping: $0) }
        try await executor.query(
            """
            update job_limits l set
                period_starts = case when \(Self.hasEnded) then t.n else l.period_starts + t.n end,
                period_start = case when \(Self.hasEnded) then clock_timestamp() else l.period_start end
            from unnest(\(scopes), \(targets), \(counts)) as t (scope, target, n)
            where l.scope = t.scope and l.target = t.target and l.rate_count is not null and t.n > 0
            """)
    }

    /// Puts jobs that this transaction has claimed aside; the attempt is given back. Nobody can have taken their keys
    /// meanwhile: until the claim commits, the rows as they were hold them.
    func park(_ ids: [Int64], in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update jobs set state = 6, attempt = attempt - 1, worker_id = null, started_at = null
            where id = any (\(ids)) and state = 1
            """)
    }

    /// Brings parked jobs of a kind back among the ready ones.
    func unpark(kind: Int16, limit: Int, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            update jobs set state = 0 where ctid = any (array (
                select ctid from jobs where state = 6 and kind_id = \(kind)
                order by priority, id limit \(limit) for update skip locked))
            """)
    }

    /// Brings jobs back that a limit had parked which is no more. Returns their queues, one for each job.
    func releaseUnlimited(limit: Int, in executor: any PostgresExecutor) async throws -> [Int16] {
        let rows = try await executor.query(
            """
            update jobs set state = 0 where ctid = any (array (
                select j.ctid from jobs j
                where j.state = 6 and not exists (select from job_limits l where l.scope = 1 and l.target = j.kind_id)
                limit \(limit) for update skip locked))
            returning queue_id
            """)
        return try rows.map { try $0.decode(Int16.self) }
    }

    /// Writes or deletes a limit. Returns what it was, nil for none.
    func set(
        _ scope: JobLimitScope, _ target: Int16, maxRunning: Int?, rate: JobRate?, by person: String,
        in executor: any PostgresExecutor
    ) async throws -> JSONValue? {
        let old = try await executor.query(
            """
            select max_running, rate_count, rate_seconds from job_limits
            where scope = \(scope.code) and target = \(target) for update
            """
        ).first.map { row in
            let (maxRunning, count, seconds) = try row.decode(Int32?.self, Int32?.self, Int32?.self)
            let rate = count.flatMap { count in
                seconds.map { JobRate(count: Int(count), per: Int($0)) }
            }
            return JobLimits.values(maxRunning: maxRunning.map { Int($0) }, rate: rate)
        }
        guard maxRunning != nil || rate != nil else {
            try await executor.query(
                "delete from job_limits where scope = \(scope.code) and target = \(target)")
            return old
        }
        try await executor.query(
            """
            insert into job_limits (scope, target, max_running, rate_count, rate_seconds, changed_by)
            values (\(scope.code), \(target), \(maxRunning.map { Int32($0) }), \(rate.map { Int32($0.count) }),
                \(rate.map { Int32($0.seconds) }), \(person))
            on conflict (scope, target) do update set max_running = excluded.max_running,
                rate_count = excluded.rate_count, rate_seconds = excluded.rate_seconds,
                changed_by = excluded.changed_by, changed_at = now()
            """)
        return old
    }

    func list(names: JobNames, in executor: any PostgresExecutor) async throws -> [JobLimit] {
        let rows = try await executor.query(
            """
            select l.scope, l.target, l.max_running, l.rate_count, l.rate_seconds,
                case when \(Self.hasEnded) then 0 else l.period_starts end as starts,
                case when not \(Self.hasEnded) then l.period_start + l.rate_seconds * interval '1 second' end as ends,
                \(Self.running) as running, l.changed_by, l.changed_at,
                case l.scope when 0 then 0 else (select count(*) from (
                    select from jobs p where p.state = 6 and p.kind_id = l.target limit 10000) as parked) end as parked
            from job_limits l order by l.scope, l.target
            """)
        return try rows.map { row in
            let scope: JobLimitScope = try row.get("scope", as: Int16.self) == 0 ? .queue : .kind
            let target: Int16 = try row.get("target")
            let count: Int32? = try row.get("rate_count")
            let seconds: Int32? = try row.get("rate_seconds")
            return JobLimit(
                scope: scope, name: scope == .queue ? names.queueName(target) : names.kindName(target),
                maxRunning: try row.get("max_running", as: Int32?.self).map { Int($0) },
                rate: count.flatMap { count in seconds.map { JobRate(count: Int(count), per: Int($0)) } },
                running: Int(try row.get("running", as: Int64.self)),
                starts: Int(try row.get("starts", as: Int32.self)), periodEndsAt: try row.get("ends"),
                parked: Int(try row.get("parked", as: Int64.self)), changedBy: try row.get("changed_by"),
                changedAt: try row.get("changed_at"))
        }
    }
}
