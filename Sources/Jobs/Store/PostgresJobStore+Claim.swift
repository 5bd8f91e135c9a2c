import Foundation
import Shared

/// Jobs of one queue and one upstream class: what one claim statement reads.
struct JobLane: Hashable, Sendable {
    var queueId: Int16
    /// 0 for jobs that call no upstream.
    var upstream: Int16
}

/// A job that this worker now holds.
///
/// A reference: it goes through many hands, and its texts would be retained in each.
final class ClaimedJob: Sendable {
    let id: Int64
    let token: Int64
    let attempt: Int
    let maxAttempts: Int
    let priority: Int16
    let queueId: Int16
    let kindId: Int16
    let upstream: Int16
    let orderKey: String?
    let requester: JobRequester
    /// When it was to begin, on the database's clock.
    let dueAt: Date
    /// Negative when the deadline has passed; nil without one.
    let untilDeadline: Duration?
    /// JSON.
    let args: Data

    /// From a row of ``PostgresJobStore``'s columns of claimed jobs, by position.
    init(_ row: PostgresRow) throws {
        id = try row.int64(0)
        token = try row.int64(1)
        attempt = Int(try row.int16(2))
        maxAttempts = Int(try row.int16(3))
        priority = try row.int16(4)
        queueId = try row.int16(5)
        kindId = try row.int16(6)
        upstream = try row.int16(7)
        orderKey = try row.optionalString(8)
        requester = JobRequester(id: try row.optionalString(9), requestId: try row.optionalString(10))
        dueAt = try row.date(11)
        untilDeadline = try row.optionalDouble(12).map { .seconds($0) }
        args = try row.data(13)
    }

    /// The first attempt of a plain job.
    init(id: Int64, token: Int64, untilDeadline: Duration? = nil, args: Data) {
        self.untilDeadline = untilDeadline
        self.id = id
        self.token = token
        self.args = args
        (attempt, maxAttempts, priority) = (1, 1, 0)
        (queueId, kindId, upstream) = (1, 1, 0)
        (orderKey, requester, dueAt) = (nil, JobRequester(id: nil), .distantPast)
    }

    var attemptId: AttemptId { AttemptId(id: id, token: token) }
}

extension PostgresJobStore {
    /// The last (priority, id) a claimer took: the next claim need not walk the dead entries before it.
    struct ClaimCursor: Sendable, Equatable {
        var priority: Int16 = .min
        var id: Int64 = 0
        static let start = ClaimCursor()
    }

    /// Takes up to `limit` ready jobs of a lane, in order, unless its queue is paused or its breaker is not closed.
    /// While a breaker ramps up, the fleet's running jobs of that class stay within its limit.
    func claimQuery(
        lane: JobLane, limit: Int, workerId: Int32, after cursor: ClaimCursor, kinds: [Int16]?
    ) -> PostgresQuery {
        let selection: PostgresFragment =
            if let kinds {
                """
                select ctid from jobs
                where queue_id = \(lane.queueId) and upstream = \(lane.upstream) and state = 0
                  and (priority, id) > (\(cursor.priority), \(cursor.id)) and kind_id = any (\(kinds))
                """
            } else {
                """
                select ctid from jobs
                where queue_id = \(lane.queueId) and upstream = \(lane.upstream) and state = 0
                  and (priority, id) > (\(cursor.priority), \(cursor.id))
                """
            }
        return """
            update jobs set state = 1, attempt = least(attempt, 32766) + 1, token = token + 1, worker_id = \(workerId),
                started_at = clock_timestamp()
            where ctid = any (array (
                \(selection)
                order by priority, id
                limit \(allowed(lane, limit))
                for update skip locked))
            \(unescaped: Self.claimedColumns)
            """
    }

    /// Takes up to `limit` ready jobs of a lane that are less urgent than `priority` and have been due for `age`, oldest
    /// first, so that a flood of more urgent ones starves nobody. Steps from priority to priority through the claim
    /// index; one whose first job is younger is passed over, unread and unlocked.
    func claimAgedQuery(
        lane: JobLane, beyond priority: Int16, limit: Int, age: Duration, workerId: Int32
    ) -> PostgresQuery {
        """
        update jobs set state = 1, attempt = least(attempt, 32766) + 1, token = token + 1, worker_id = \(workerId),
            started_at = clock_timestamp()
        where ctid = any (array (
            with recursive levels as (
                (select priority, run_at from jobs
                 where queue_id = \(lane.queueId) and upstream = \(lane.upstream) and state = 0
                   and priority > \(priority)
                 order by priority, id limit 1)
                union all
                select n.priority, n.run_at from levels l cross join lateral (
                    select f.priority, f.run_at from jobs f
                    where f.queue_id = \(lane.queueId) and f.upstream = \(lane.upstream) and f.state = 0
                      and f.priority > l.priority
                    order by f.priority, f.id limit 1) as n
            )
            select o.ctid from levels l cross join lateral (
                select j.ctid, j.id from jobs j
                where j.queue_id = \(lane.queueId) and j.upstream = \(lane.upstream) and j.state = 0
                  and j.priority = l.priority and j.run_at < now() - \(age.inSeconds) * interval '1 second'
                order by j.id limit \(limit) for update skip locked) as o
            where l.run_at < now() - \(age.inSeconds) * interval '1 second'
            order by o.id
            limit \(allowed(lane, limit))))
        \(unescaped: Self.claimedColumns)
        """
    }

    /// How many jobs of a lane may be taken now: none of a paused queue or an open breaker, a few while one ramps up.
    private func allowed(_ lane: JobLane, _ limit: Int) -> PostgresFragment {
        """
        (select case
            when exists (select from job_queues where id = \(lane.queueId) and paused_at is not null) then 0
            when \(lane.upstream) = 0::smallint then \(limit)
            else coalesce((select case
                when b.state in (0, 9) then \(limit)
                when b.state = 3 then greatest(0, least(\(limit), b.concurrency - (
                    select count(*) from jobs r
                    where r.state = 1 and r.upstream = \(lane.upstream)
                      and r.worker_id in (select w.id from job_workers w where w.state in (0, 1)))))
                else 0 end
                from breakers b where b.upstream = \(lane.upstream)), \(limit)) end)
        """
    }

    /// Takes one probe-safe job of a class whose breaker is half-open.
    func claimProbe(
        queueIds: [Int16], upstream: Int16, kinds: [Int16], workerId: Int32, in executor: any PostgresExecutor
    ) async throws -> ClaimedJob? {
        for queueId in queueIds {
            let rows = try await executor.query(
                """
                update jobs set state = 1, attempt = least(attempt, 32766) + 1, token = token + 1, worker_id = \(workerId),
                    started_at = clock_timestamp()
                where ctid = any (array (
                    select ctid from jobs
                    where queue_id = \(queueId) and upstream = \(upstream) and state = 0 and kind_id = any (\(kinds))
                      and not exists (select from job_queues where id = \(queueId) and paused_at is not null)
                    order by priority, id limit 1 for update skip locked))
                \(unescaped: Self.claimedColumns)
                """)
            if let row = rows.first { return try claimed(row) }
        }
        return nil
    }

    /// The jobs that the database believes a worker to run.
    func heldJobs(workerId: Int32, in executor: any PostgresExecutor) async throws -> [ClaimedJob] {
        let rows = try await executor.query(
            """
            select id, token, attempt, max_attempts, priority, queue_id, kind_id, upstream, order_key, requester_id,
                request_id, greatest(run_at, created_at), extract(epoch from deadline_at - now())::float8, args
            from jobs where state = 1 and worker_id = \(workerId) order by id
            """)
        return try claimed(rows)
    }

    /// Read by position in ``ClaimedJob``.
    private static var claimedColumns: StaticString {
        """
        returning id, token, attempt, max_attempts, priority, queue_id, kind_id, upstream, order_key, requester_id,
            request_id, greatest(run_at, created_at), extract(epoch from deadline_at - now())::float8, args
        """
    }

    func claimed(_ rows: PostgresRows) throws -> [ClaimedJob] {
        var jobs: [ClaimedJob] = []
        jobs.reserveCapacity(rows.count)
        for row in rows { jobs.append(try claimed(row)) }
        return jobs
    }

    func claimed(_ row: PostgresRow) throws -> ClaimedJob { try ClaimedJob(row) }
}
