import Foundation
import Shared

extension PostgresJobStore {
    /// The job as stored, live or ended; nil when there is none. One round trip, two when it has failed attempts.
    func snapshot(jobId: Int64, in executor: any PostgresExecutor) async throws -> JobSnapshot? {
        try await snapshots(jobIds: [jobId], in: executor)[jobId]
    }

    /// The same of several jobs, in as many round trips.
    func snapshots(jobIds: [Int64], in executor: any PostgresExecutor) async throws -> [Int64: JobSnapshot] {
        let results = try await executor.pipeline([
            "\(unescaped: Self.liveColumns) from jobs where id = any (\(jobIds))",
            "\(unescaped: Self.endedColumns) from job_dead_letters where id = any (\(jobIds))",
            """
            \(unescaped: Self.endedColumns) from job_history
            where id = any (\(jobIds)) and finished_at > now() - interval '2 days'
            """,
        ])
        var found: [Int64: (snapshot: JobSnapshot, errors: Int)] = [:]
        // One that ended between two of the statements is in both answers; the first one is as true as the other.
        func take(_ row: PostgresRow) throws {
            let one = try decodeSnapshot(row)
            if found[one.snapshot.id] == nil { found[one.snapshot.id] = one }
        }
        for row in results.joined() { try take(row) }
        let missing = jobIds.filter { found[$0] == nil }
        if !missing.isEmpty {
            // Rare: only here every partition's index is asked, and for one that was brought back between two of the
            // statements all the rest once more.
            let again = try await executor.pipeline([
                "\(unescaped: Self.endedColumns) from job_history where id = any (\(missing))",
                "\(unescaped: Self.liveColumns) from jobs where id = any (\(missing))",
                "\(unescaped: Self.endedColumns) from job_dead_letters where id = any (\(missing))",
            ])
            for row in again.joined() { try take(row) }
        }
        var snapshots = found.mapValues(\.snapshot)
        let troubled = found.values.filter { $0.errors > 0 }.map(\.snapshot)
        for (id, attempts) in try await attempts(of: troubled, in: executor) { snapshots[id]?.attempts = attempts }
        return snapshots
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

    /// The attempts that did not succeed, oldest first, at most a hundred of each job.
    private func attempts(
        of jobs: [JobSnapshot], in executor: any PostgresExecutor
    ) async throws -> [Int64: [JobAttempt]] {
        guard let oldest = jobs.map(\.createdAt).min() else { return [:] }
        let rows = try await executor.query(
            """
            select a.job_id, a.attempt, a.started_at, a.ended_at, a.class, a.code, a.message, a.charged
            from unnest(\(jobs.map(\.id))) as j (id) cross join lateral (
                select * from job_attempts where job_id = j.id and ended_at >= \(oldest)
                order by ended_at limit 100) as a
            order by a.ended_at
            """)
        var attempts: [Int64: [JobAttempt]] = [:]
        for row in rows {
            let (id, attempt, startedAt, endedAt, errorClass, code, message, charged) = try row.decode(
                Int64.self, Int16.self, Date?.self, Date.self, String.self, String.self, String.self, Bool.self)
            attempts[id, default: []].append(
                JobAttempt(
                    attempt: Int(attempt), startedAt: startedAt, endedAt: endedAt,
                    error: JobErrorInfo(
                        errorClass: JobErrorClass(rawValue: errorClass) ?? .retryable, code: code, message: message),
                    charged: charged))
        }
        return attempts
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

    /// By position in the columns above, since they are many.
    func decodeSnapshot(_ row: PostgresRow) throws -> (snapshot: JobSnapshot, errors: Int) {
        let errors = Int(try row.int16(27))
        let (resourceType, resourceId) = (try row.optionalString(17), try row.optionalString(18))
        let (errorClass, errorCode) = (try row.optionalString(24), try row.optionalString(25))
        let errorMessage = try row.optionalString(26)
        let snapshot = JobSnapshot(
            id: try row.int64(0), kind: names.kindName(try row.int16(1)), queue: names.queueName(try row.int16(2)),
            upstream: Upstream(code: try row.int16(3)),
            state: (StoredState(rawValue: try row.int16(4)) ?? .ready).publicState(errors: errors),
            attempt: Int(try row.int16(5)), maxAttempts: Int(try row.int16(6)), priority: Int(try row.int16(7)),
            createdAt: try row.date(8), runAt: try row.date(9), startedAt: try row.value(10),
            finishedAt: try row.value(11),
            deadlineAt: try row.value(12), discardedAt: try row.value(13), discardedBy: try row.optionalString(14),
            endedBy: try row.optionalString(15), cancelRequested: try row.bool(16),
            resource: resourceType.flatMap { type in resourceId.map { JobResource(type: type, id: $0) } },
            requester: JobRequester(id: try row.optionalString(19), requestId: try row.optionalString(20)),
            parentId: try row.value(21),
            progress: try row.optionalString(22).map { try JSON.decoder.decode(JobProgress.self, from: Data($0.utf8)) },
            result: try row.value(23),
            error: errorCode.map { code in
                JobErrorInfo(
                    errorClass: errorClass.flatMap(JobErrorClass.init(rawValue:)) ?? .permanent, code: code,
                    message: errorMessage ?? "")
            })
        return (snapshot, errors)
    }
}

extension PostgresJobStore {
    /// The jobs with this order key that have not ended, oldest first.
    func unfinished(orderKey: String, in executor: any PostgresExecutor) async throws -> [Int64] {
        // The conditions are those of the partial indexes.
        try await executor.query(
            """
            select id from jobs where order_key = \(orderKey)
                and (state in (0, 1, 3, 5, 6, 7) or state = 2 or state = 4)
            order by id
            """
        ).map { try $0.decode(Int64.self) }
    }

    /// Those of the resources of a type that a job which has not ended is about.
    func unfinished(resources ids: [String], of type: String, in executor: any PostgresExecutor) async throws
        -> [String]
    {
        try await executor.query(
            "select distinct resource_id from jobs where resource_type = \(type) and resource_id = any (\(ids))"
        ).map { try $0.decode(String.self) }
    }
}
