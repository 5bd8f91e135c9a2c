import Foundation
import Shared

/// Jobs of one queue and one upstream class: what one claim statement reads.
struct JobLane: Hashable, Sendable {
    var queueId: Int16
    /// 0 for jobs that call no upstream.
    var upstream: Int16
}

/// A job that this worker now holds.
struct ClaimedJob: Sendable {
    var id: Int64
    var token: Int64
    var attempt: Int
    var maxAttempts: Int
    var priority: Int16
    var queueId: Int16
    var kindId: Int16
    var orderKey: String?
    var requester: JobRequester
    /// When it was to begin, on the database's clock.
    var dueAt: Date
    var deadlinePassed: Bool
    /// JSON.
    var args: Data
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
                started_at = now()
            where ctid = any (array (
                \(selection)
                order by priority, id
                limit (select case
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
                for update skip locked))
            \(unescaped: Self.claimedColumns)
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
                    started_at = now()
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

    /// Read by position in ``claimed(_:)-(PostgresRow)``.
    private static var claimedColumns: StaticString {
        """
        returning id, token, attempt, max_attempts, priority, queue_id, kind_id, order_key,
            requester_id, request_id, greatest(run_at, created_at), coalesce(deadline_at < now(), false), args
        """
    }

    func claimed(_ rows: PostgresRows) throws -> [ClaimedJob] {
        var jobs: [ClaimedJob] = []
        jobs.reserveCapacity(rows.count)
        for row in rows { jobs.append(try claimed(row)) }
        return jobs
    }

    func claimed(_ row: PostgresRow) throws -> ClaimedJob {
        ClaimedJob(
            id: try row.int64(0), token: try row.int64(1), attempt: Int(try row.int16(2)),
            maxAttempts: Int(try row.int16(3)), priority: try row.int16(4), queueId: try row.int16(5),
            kindId: try row.int16(6), orderKey: try row.optionalString(7),
            requester: JobRequester(id: try row.optionalString(8), requestId: try row.optionalString(9)),
            dueAt: try row.date(10), deadlinePassed: try row.bool(11), args: try row.data(12))
    }
}
