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
        // Put in only when asked for: a plan without the values could not use the index of the requester.
        let ofRequester: PostgresFragment = filter.requesterId.map { "and requester_id = \($0)" } ?? ""
        let ofKind: PostgresFragment = kindId.map { "and kind_id = \($0)" } ?? ""
        let only: PostgresFragment = "\(ofRequester) \(ofKind)"
        let rows = try await executor.query(
            """
            select * from (
                (\(unescaped: Self.liveColumns) from jobs
                 where id < \(before) \(only)
                   and (cardinality(\(states)::text[]) = 0 or case state
                        when 0 then 'ready' when 6 then 'ready' when 1 then 'running' when 2 then 'scheduled'
                        when 3 then case when errors > 0 then 'retrying' else 'scheduled' end else 'blocked' end
                        = any (\(states)::text[]))
                 order by id desc limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_dead_letters
                 where id < \(before) \(only)
                   and (cardinality(\(states)::text[]) = 0 or 'failed' = any (\(states)::text[]))
                 order by id desc limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_history
                 where id < \(before) \(only)
                   and (cardinality(\(states)::text[]) = 0 or
                        case outcome when 10 then 'succeeded' when 11 then 'failed' else 'cancelled' end
                        = any (\(states)::text[]))
                 order by id desc limit \(limit))
            ) as found order by id desc limit \(limit)
            """)
        return try rows.map { try decodeSnapshot($0).snapshot }
    }

    /// A job's children, live and ended, by id.
    func children(of id: Int64, after last: Int64, limit: Int, in executor: any PostgresExecutor) async throws
        -> [JobSnapshot]
    {
        let rows = try await executor.query(
            """
            select * from (
                (\(unescaped: Self.liveColumns) from jobs where parent_id = \(id) and id > \(last)
                 order by id limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_dead_letters where parent_id = \(id) and id > \(last)
                 order by id limit \(limit))
                union all
                (\(unescaped: Self.endedColumns) from job_history where parent_id = \(id) and id > \(last)
                 order by id limit \(limit))
            ) as found order by id limit \(limit)
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
