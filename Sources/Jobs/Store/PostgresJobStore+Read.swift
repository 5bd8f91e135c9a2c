import Foundation
import Shared

extension PostgresJobStore {
    /// The job as stored, live or ended; nil when there is none. One round trip, two when it has failed attempts.
    func snapshot(jobId: Int64, in executor: any PostgresExecutor) async throws -> JobSnapshot? {
        let results = try await executor.pipeline([
            "\(unescaped: Self.liveColumns) from jobs where id = \(jobId)",
            "\(unescaped: Self.endedColumns) from job_dead_letters where id = \(jobId)",
            """
            \(unescaped: Self.endedColumns) from job_history
            where id = \(jobId) and finished_at > now() - interval '2 days'
            """,
        ])
        var row = results.lazy.compactMap(\.first).first
        if row == nil {
            // Rare: only here every partition's index is asked.
            row = try await executor.query("\(unescaped: Self.endedColumns) from job_history where id = \(jobId)").first
        }
        guard let row else { return nil }
        var (snapshot, errors) = try decodeSnapshot(row)
        if errors > 0 { snapshot.attempts = try await attempts(jobId: jobId, since: snapshot.createdAt, in: executor) }
        return snapshot
    }

    /// Jobs, newest first. Reads at most `filter.limit` rows of each table.
    func list(_ filter: JobFilter, in executor: any PostgresExecutor) async throws -> [JobSnapshot] {
        let kindId: Int16? = try filter.kind.map { try names.kindId($0) }
        let limit = min(max(filter.limit, 1), 100)
        let states = filter.states.map(\.rawValue)
        let before = filter.beforeId ?? .max
        let rows = try await executor.query(
            """
            select * from (
                (\(unescaped: Self.liveColumns) from jobs
                 where id < \(before) and (\(filter.requesterId)::text is null or requester_id = \(filter.requesterId)::text)
                   and (\(kindId)::smallint is null or kind_id = \(kindId)::smallint)
                   and (cardinality(\(states)::text[]) = 0 or case state
                        when 0 then 'ready' when 6 then 'ready' when 1 then 'running' when 2 then 'scheduled'
                        when 3 then case when errors > 0 then 'retrying' else 'scheduled' end else 'blocked' end
                        = any (\(states)::text[]))
                 order by id desc limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_dead_letters
                 where id < \(before) and (\(filter.requesterId)::text is null or requester_id = \(filter.requesterId)::text)
                   and (\(kindId)::smallint is null or kind_id = \(kindId)::smallint)
                   and (cardinality(\(states)::text[]) = 0 or 'failed' = any (\(states)::text[]))
                 order by id desc limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_history
                 where id < \(before) and (\(filter.requesterId)::text is null or requester_id = \(filter.requesterId)::text)
                   and (\(kindId)::smallint is null or kind_id = \(kindId)::smallint)
                   and (cardinality(\(states)::text[]) = 0 or
                        case outcome when 10 then 'succeeded' when 11 then 'failed' else 'cancelled' end
                        = any (\(states)::text[]))
                 order by id desc limit \(limit))
            ) as found order by id desc limit \(limit)
            """)
        return try rows.map { try decodeSnapshot($0).snapshot }
    }

    /// The attempts that did not succeed, oldest first.
    private func attempts(jobId: Int64, since: Date, in executor: any PostgresExecutor) async throws -> [JobAttempt] {
        let rows = try await executor.query(
            """
            select attempt, started_at, ended_at, class, code, message, charged from job_attempts
            where job_id = \(jobId) and ended_at >= \(since) order by ended_at limit 100
            """)
        return try rows.map { row in
            let (attempt, startedAt, endedAt, errorClass, code, message, charged) = try row.decode(
                Int16.self, Date?.self, Date.self, String.self, String.self, String.self, Bool.self)
            return JobAttempt(
                attempt: Int(attempt), startedAt: startedAt, endedAt: endedAt,
                error: JobErrorInfo(
                    errorClass: JobErrorClass(rawValue: errorClass) ?? .retryable, code: code, message: message),
                charged: charged)
        }
    }

    /// Why a job that has not ended is not running now.
    func waitReason(of snapshot: JobSnapshot, in executor: any PostgresExecutor) async throws -> JobWaitReason? {
        guard !snapshot.state.isFinal, snapshot.state != .running else { return nil }
        let kindId = try names.kindId(snapshot.kind)
        let rows = try await executor.query(
            """
            select j.state, j.run_at, q.paused_at, q.pause_reason, b.state, b.retry_at, b.reason,
                (select array_agg(h.id) from jobs h where h.order_key = j.order_key and h.id <> j.id
                    and (h.state in (0, 1, 3, 5, 6, 7) or (h.state = 4 and h.id < j.id))),
                (select array_agg(d.depends_on) from job_dependencies d where d.job_id = j.id),
                exists (select from job_workers w where w.state = 0 and w.lease_until > now() and q.name = any (w.queues)),
                exists (select from job_workers w where w.state = 0 and w.lease_until > now()
                    and (select k.name from job_kinds k where k.id = \(kindId)) = any (w.kinds))
            from jobs j join job_queues q on q.id = j.queue_id left join breakers b on b.upstream = j.upstream
            where j.id = \(snapshot.id)
            """)
        guard let row = rows.first else { return nil }
        let (state, runAt, pausedAt, pauseReason, breaker, retryAt, reason, behind, waitsFor, hasWorker, knowsKind) =
            try row.decode(
                Int16.self, Date.self, Date?.self, String?.self, Int16?.self, Date?.self, String?.self, [Int64]?.self,
                [Int64]?.self, Bool.self, Bool.self)
        switch StoredState(rawValue: state) {
        case .scheduled, .waitingAgain:
            return JobWaitReason(code: .dueLater, message: "It is due later.", until: runAt)
        case .blocked:
            return JobWaitReason(
                code: .behindJob, message: "Another job on the same object comes first.", jobIds: behind ?? [])
        case .waitingForJobs:
            return JobWaitReason(
                code: .waitingForJobs, message: "It waits for other jobs to succeed.", jobIds: waitsFor ?? [])
        default: break
        }
        if pausedAt != nil {
            let why = pauseReason.map { ": \($0)" } ?? ""
            return JobWaitReason(code: .queuePaused, message: "The queue \(snapshot.queue) is paused\(why).")
        }
        if let breaker, ![0, 3, 9].contains(breaker) {
            let why = reason.map { ": \($0)" } ?? ""
            return JobWaitReason(
                code: .breakerOpen, message: "The breaker of \(snapshot.upstream?.rawValue ?? "") is open\(why).",
                until: retryAt)
        }
        if !hasWorker {
            return JobWaitReason(code: .noWorker, message: "No worker serves the queue \(snapshot.queue) now.")
        }
        if !knowsKind {
            return JobWaitReason(code: .unknownKind, message: "No running worker knows the kind \(snapshot.kind).")
        }
        if breaker == 3 {
            return JobWaitReason(
                code: .atLimit, message: "\(snapshot.upstream?.rawValue ?? "") recovers and takes few calls at a time.")
        }
        return JobWaitReason(code: .soon, message: "A worker takes it as soon as it has a free slot.")
    }

    static var liveColumns: StaticString {
        """
        select id, kind_id, queue_id, upstream, state as st, attempt, max_attempts, priority, created_at, run_at, started_at,
            null::timestamptz as finished_at, deadline_at, null::timestamptz as discarded_at,
            null::text as discarded_by, null::text as ended_by, cancel_requested_at is not null as cancel,
            resource_type, resource_id, requester_id, request_id, parent_id, progress, null::jsonb as result,
            null::text as error_class, null::text as error_code, null::text as error_message, errors
        """
    }

    static var endedColumns: StaticString {
        """
        select id, kind_id, queue_id, upstream, outcome as st, attempt, max_attempts, priority, created_at, run_at,
            started_at, finished_at, deadline_at, discarded_at, discarded_by, ended_by, false as cancel,
            resource_type, resource_id, requester_id, request_id, parent_id, progress, result,
            error_class, error_code, error_message, errors
        """
    }

    func decodeSnapshot(_ row: PostgresRow) throws -> (snapshot: JobSnapshot, errors: Int) {
        let (
            id, kindId, queueId, upstream, state, attempt, maxAttempts, priority, createdAt, runAt, startedAt,
            finishedAt,
            deadlineAt, discardedAt, discardedBy, endedBy, cancel, resourceType, resourceId, requesterId, requestId,
            parentId, progress, result, errorClass, errorCode, errorMessage, errors
        ) = try row.decode(
            Int64.self, Int16.self, Int16.self, Int16.self, Int16.self, Int16.self, Int16.self, Int16.self, Date.self,
            Date.self, Date?.self, Date?.self, Date?.self, Date?.self, String?.self, String?.self, Bool.self,
            String?.self, String?.self, String?.self, String?.self, Int64?.self, String?.self, JSONValue?.self,
            String?.self, String?.self, String?.self, Int16.self)
        let snapshot = JobSnapshot(
            id: id, kind: names.kindName(kindId), queue: names.queueName(queueId),
            upstream: Upstream(code: upstream),
            state: (StoredState(rawValue: state) ?? .ready).publicState(errors: Int(errors)),
            attempt: Int(attempt), maxAttempts: Int(maxAttempts), priority: Int(priority), createdAt: createdAt,
            runAt: runAt, startedAt: startedAt, finishedAt: finishedAt, deadlineAt: deadlineAt,
            discardedAt: discardedAt,
            discardedBy: discardedBy, endedBy: endedBy, cancelRequested: cancel,
            resource: resourceType.flatMap { type in resourceId.map { JobResource(type: type, id: $0) } },
            requester: JobRequester(id: requesterId, requestId: requestId), parentId: parentId,
            progress: try progress.map { try JSON.decoder.decode(JobProgress.self, from: Data($0.utf8)) },
            result: result,
            error: errorCode.map { code in
                JobErrorInfo(
                    errorClass: errorClass.flatMap(JobErrorClass.init(rawValue:)) ?? .permanent, code: code,
                    message: errorMessage ?? "")
            })
        return (snapshot, Int(errors))
    }
}
