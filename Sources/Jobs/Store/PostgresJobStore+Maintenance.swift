import Foundation
import Shared

extension PostgresJobStore {
    struct Promotion: Sendable {
        var count = 0
        var wake: Set<Int16> = []
        /// How long until the next waiting job is due; nil when none waits.
        var nextDue: Duration?
    }

    /// Makes due jobs ready. A future job that is now due queues up behind whatever holds its object.
    func promoteDue(limit: Int, in executor: any PostgresExecutor) async throws -> Promotion {
        let rows = try await executor.query(
            """
            update jobs set state = case
                when state = 3 or order_key is null then case when waits_for > 0 then 5 else 0 end
                else 4 end
            where ctid = any (array (
                select ctid from jobs where state in (2, 3) and run_at <= now()
                order by run_at limit \(limit) for update skip locked))
            returning queue_id, case when state = 4 then order_key end
            """)
        var promotion = Promotion(count: rows.count)
        var orderKeys: Set<String> = []
        for row in rows {
            let (queueId, orderKey) = try row.decode(Int16.self, String?.self)
            promotion.wake.insert(queueId)
            if let orderKey { orderKeys.insert(orderKey) }
        }
        if !orderKeys.isEmpty {
            for row in try await executor.query(Self.handOver(Array(orderKeys))) {
                promotion.wake.insert(try row.decode(Int16.self))
            }
        }
        let next = try await executor.query(
            """
            select extract(epoch from run_at - clock_timestamp())::float8 from jobs
            where state in (2, 3) order by run_at limit 1
            """)
        if let seconds = try next.first?.decode(Double.self) { promotion.nextDue = .seconds(max(seconds, 0)) }
        return promotion
    }

    /// Running jobs whose worker lost its lease, oldest first; locked, so that each is rescued once.
    func orphans(after id: Int64, limit: Int, in executor: any PostgresExecutor) async throws -> [ClaimedJob] {
        let rows = try await executor.query(
            """
            select id, token, attempt, max_attempts, priority, queue_id, kind_id, order_key,
                requester_id, request_id, greatest(run_at, created_at), coalesce(deadline_at < now(), false), args
            from jobs where state = 1 and id > \(id) and not exists (
                select from job_workers w where w.id = jobs.worker_id and w.state in (0, 1))
            order by id limit \(limit) for update skip locked
            """)
        return try claimed(rows)
    }

    /// Finds objects whose jobs stay blocked behind nothing, and lets them go on. Returns the queues to
    /// wake, and how many objects there were.
    func sweepBlocked(limit: Int, in executor: any PostgresExecutor) async throws -> (
        wake: Set<Int16>, count: Int
    ) {
        let rows = try await executor.query(
            """
            select distinct b.order_key from jobs b
            where b.state = 4 and b.order_key is not null and not exists (
                select from jobs h where h.order_key = b.order_key and h.state in (0, 1, 3, 5, 6, 7))
            limit \(limit)
            """)
        let keys = try rows.map { try $0.decode(String.self) }
        guard !keys.isEmpty else { return ([], 0) }
        return (Set(try await executor.query(Self.handOver(keys)).map { try $0.decode(Int16.self) }), keys.count)
    }

    /// Jobs that wait for others that have ended: the successes are resolved, the rest is returned to be failed.
    func sweepDependents(limit: Int, in executor: any PostgresExecutor) async throws -> (
        wake: Set<Int16>, failed: [Int64], count: Int
    ) {
        let rows = try await executor.query(
            """
            select d.job_id, d.depends_on, exists (select from job_history h where h.id = d.depends_on and h.outcome = 10)
            from job_dependencies d
            where not exists (select from jobs j where j.id = d.depends_on) limit \(limit)
            """)
        var met: Set<Int64> = []
        var failed: Set<Int64> = []
        for row in rows {
            let (job, dependsOn, succeeded) = try row.decode(Int64.self, Int64.self, Bool.self)
            if succeeded { met.insert(dependsOn) } else { failed.insert(job) }
        }
        var wake: Set<Int16> = []
        if !met.isEmpty {
            for row in try await executor.query(Self.resolveDependents(of: Array(met))) {
                wake.insert(try row.decode(Int16.self))
            }
        }
        return (wake, failed.sorted(), rows.count)
    }

    /// Jobs that somebody wants ended and that no worker runs: their attempt was over before it heard of it.
    func waitingCancelRequests(limit: Int, in executor: any PostgresExecutor) async throws -> [Int64] {
        let rows = try await executor.query(
            "select id from jobs where cancel_requested_at is not null and state <> 1 order by id limit \(limit)")
        return try rows.map { try $0.decode(Int64.self) }
    }

    /// Rows of the live table that are gone but still in the way, as the server counts them.
    func deadRows(in executor: any PostgresExecutor) async throws -> Int64 {
        let rows = try await executor.query(
            """
            select coalesce(sum(n_dead_tup), 0)::bigint from pg_stat_user_tables
            where schemaname = current_schema() and relname = 'jobs'
            """)
        return try rows.one(Int64.self)
    }

    /// Cleans the live table and its indexes up, unless somebody does so already. Needs the table's owner; for others
    /// the server only warns.
    func vacuum(_ client: PostgresClient) async throws {
        try await client.maintain(
            "vacuum (skip_locked, index_cleanup on, truncate off, parallel 0) jobs", timeout: .seconds(600))
    }

    /// Makes partitions ahead of time and drops the history that is past its retention.
    func maintainPartitions(historyDays: Int, in executor: any PostgresExecutor) async throws {
        try await executor.query("select job_partitions_ensure((now() at time zone 'UTC')::date, 8)")
        try await executor.query("select audit_partitions_ensure((now() at time zone 'UTC')::date, 3)")
        try await executor.query("select job_partitions_drop((now() at time zone 'UTC')::date - \(Int32(historyDays)))")
    }
}
