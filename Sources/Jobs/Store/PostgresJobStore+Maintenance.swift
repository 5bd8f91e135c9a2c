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
        promotion.wake.formUnion(try await handOverEach(orderKeys.sorted(), in: executor))
        let next = try await executor.query(
            """
            select extract(epoch from run_at - clock_timestamp())::float8 from jobs
            where state in (2, 3) order by run_at limit 1
            """)
        if let seconds = try next.first?.decode(Double.self) { promotion.nextDue = .seconds(max(seconds, 0)) }
        return promotion
    }

    /// Running jobs whose worker lost its lease, oldest first. What another rescuer holds at this moment is left to him;
    /// the token keeps those that both have read from being rescued twice.
    func orphans(after id: Int64, limit: Int, in executor: any PostgresExecutor) async throws -> [ClaimedJob] {
        // From worker to worker along the index (worker_id, id): by id alone it would walk past every job there is.
        let rows = try await executor.query(
            """
            with recursive holders (worker_id) as (
                (select worker_id from jobs where state = 1 order by worker_id limit 1)
                union all
                select (select j.worker_id from jobs j where j.state = 1 and j.worker_id > h.worker_id
                    order by j.worker_id limit 1)
                from holders h where h.worker_id is not null
            ), lost as (
                select worker_id from holders h where not exists (
                    select from job_workers w where w.id = h.worker_id and w.state in (0, 1))
            )
            select id, token, attempt, max_attempts, priority, queue_id, kind_id, upstream, order_key, requester_id,
                request_id, greatest(run_at, created_at), extract(epoch from deadline_at - now())::float8, args
            from jobs where id = any (array (
                select o.id from lost cross join lateral (
                    select j.id from jobs j where j.state = 1 and j.worker_id = lost.worker_id and j.id > \(id)
                    order by j.id limit \(limit)) as o
                order by o.id limit \(limit)))
              and state = 1 and not exists (
                select from job_workers w where w.id = jobs.worker_id and w.state in (0, 1))
            order by id for update skip locked
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
        return (try await handOverEach(keys, in: executor), keys.count)
    }

    /// Hands objects over that nothing seems to hold. Somebody whose transaction is open may be about to: he is not
    /// waited for, and his object does not hold up the others; the next sweep looks again.
    private func handOverEach(_ keys: [String], in executor: any PostgresExecutor) async throws -> Set<Int16> {
        guard !keys.isEmpty else { return [] }
        do {
            let results = try await executor.pipeline([
                "select set_config('lock_timeout', '20ms', true)", Self.handOver(keys),
            ])
            return Set(try results[1].map { try $0.decode(Int16.self) })
        } catch let error as PostgresError where error.sqlState == "55P03" || error.isUniqueViolation() {
            guard keys.count > 1 else { return [] }
            let half = keys.count / 2
            return try await handOverEach(Array(keys[..<half]), in: executor).union(
                try await handOverEach(Array(keys[half...]), in: executor))
        }
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

    /// Jobs whose deadline has passed while they waited, oldest deadline first.
    func pastDeadline(limit: Int, in executor: any PostgresExecutor) async throws -> [Int64] {
        let rows = try await executor.query(
            """
            select id from jobs where deadline_at is not null and deadline_at <= now() and state <> 1
            order by deadline_at limit \(limit)
            """)
        return try rows.map { try $0.decode(Int64.self) }
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
}
