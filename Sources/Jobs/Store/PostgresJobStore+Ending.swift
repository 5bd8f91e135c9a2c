import Foundation
import Shared

/// A live job as the code that ends it needs it.
struct EndingJob: Sendable {
    var id: Int64
    var token: Int64
    var state: StoredState
    var queueId: Int16
    var kindId: Int16
    var orderKey: String?
    var watched: Bool
    var args: String
}

extension PostgresJobStore {
    /// Locks a live job; nil when it has ended.
    func lock(jobId: Int64, in executor: any PostgresExecutor) async throws -> EndingJob? {
        let rows = try await executor.query(
            """
            select id, token, state, queue_id, kind_id, order_key, watched, args from jobs where id = \(jobId) for update
            """)
        guard let row = rows.first else { return nil }
        let (id, token, state, queueId, kindId, orderKey, watched, args) = try row.decode(
            Int64.self, Int64.self, Int16.self, Int16.self, Int16.self, String?.self, Bool.self, String.self)
        return EndingJob(
            id: id, token: token, state: StoredState(rawValue: state) ?? .ready, queueId: queueId, kindId: kindId,
            orderKey: orderKey, watched: watched, args: args)
    }

    /// Moves a locked job without success out of the live table: failed ones to the dead letters, cancelled ones to the
    /// history. Notes the attempt when it had one.
    func moveOut(
        _ job: EndingJob, as state: JobState, error: JobErrorInfo, by person: String?, attempted: Bool,
        in executor: any PostgresExecutor
    ) async throws {
        let outcome = state == .failed ? StoredState.failed.rawValue : StoredState.cancelled.rawValue
        let table: PostgresFragment = state == .failed ? "job_dead_letters" : "job_history"
        var statements: [PostgresQuery] = []
        if attempted {
            statements.append(
                """
                insert into job_attempts (job_id, attempt, ended_at, started_at, worker_id, class, code, message, charged)
                select id, attempt, now(), started_at, worker_id, \(error.errorClass.rawValue)::text,
                    \(error.code)::text, \(error.message)::text, true
                from jobs where id = \(job.id)
                """)
        }
        statements.append(
            """
            with gone as (delete from jobs where id = \(job.id) returning *)
            insert into \(table) (
                id, finished_at, created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                resource_type, resource_id, requester_id, request_id, ended_by, error_class, error_code, error_message,
                args, progress)
            select id, now(), created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                kind_id, upstream, priority, \(outcome), attempt, max_attempts,
                case when \(attempted) then least(errors, 32766) + 1 else errors end, unique_key, order_key,
                resource_type, resource_id, requester_id, request_id, \(person), \(error.errorClass.rawValue),
                \(error.code), \(error.message), args, progress
            from gone
            """)
        statements.append("delete from job_dependencies where job_id = \(job.id)")
        try await executor.pipeline(statements)
    }

    /// The jobs that wait for one that ended without success; they will never start.
    func dependents(of jobId: Int64, in executor: any PostgresExecutor) async throws -> [Int64] {
        let rows = try await executor.query(
            "select job_id from job_dependencies where depends_on = \(jobId) order by 1")
        return try rows.map { try $0.decode(Int64.self) }
    }

    /// Lets the next job of an object go on. Returns the queues to wake.
    func handOverObject(_ orderKey: String, in executor: any PostgresExecutor) async throws -> Set<Int16> {
        let rows = try await executor.query(Self.handOver([orderKey]))
        return Set(try rows.map { try $0.decode(Int16.self) })
    }

    /// Asks the worker that runs the job to stop it. Returns that worker's row id.
    func requestCancel(jobId: Int64, by person: String?, in executor: any PostgresExecutor) async throws -> Int32? {
        let rows = try await executor.query(
            """
            update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()), cancel_requested_by = \(person)
            where id = \(jobId) and state = 1 returning worker_id
            """)
        return try rows.first?.decode(Int32?.self) ?? nil
    }

    func cancelRequestedBy(jobId: Int64, in executor: any PostgresExecutor) async throws -> String? {
        let rows = try await executor.query("select cancel_requested_by from jobs where id = \(jobId)")
        return try rows.first?.decode(String?.self) ?? nil
    }

    /// Jobs of this worker that somebody wants stopped.
    func cancelRequests(workerId: Int32) -> PostgresQuery {
        """
        select id, token, cancel_requested_by from jobs
        where state = 1 and worker_id = \(workerId) and cancel_requested_at is not null
        """
    }

    func isProtected(queueId: Int16, in executor: any PostgresExecutor) async throws -> Bool {
        let rows = try await executor.query("select protected from job_queues where id = \(queueId)")
        return try rows.first?.decode(Bool.self) ?? false
    }

    /// Makes a waiting job due now. False when it is not waiting for a time.
    func makeDue(jobId: Int64, in executor: any PostgresExecutor) async throws -> Bool {
        let rows = try await executor.query(
            "update jobs set run_at = now() where id = \(jobId) and state in (2, 3) returning id")
        return !rows.isEmpty
    }

    /// A dead letter, locked: its kind and parameters.
    func lockDeadLetter(jobId: Int64, in executor: any PostgresExecutor) async throws -> (kindId: Int16, args: String)?
    {
        let rows = try await executor.query(
            "select kind_id, args from job_dead_letters where id = \(jobId) and discarded_at is null for update")
        guard let row = rows.first else { return nil }
        let (kindId, args) = try row.decode(Int16.self, String.self)
        return (kindId, args)
    }

    /// Moves a dead letter back among the live jobs with a fresh set of attempts; its history and its fence stay.
    /// Returns nil when another job holds its unique key.
    func revive(jobId: Int64, in executor: any PostgresExecutor) async throws -> Int16? {
        for state in [StoredState.ready, .blocked] {
            let rows = try await executor.query(
                """
                with gone as (select * from job_dead_letters where id = \(jobId)), back as (
                    insert into jobs (
                        id, token, parent_id, run_at, created_at, queue_id, kind_id, upstream, priority, state, attempt,
                        max_attempts, errors, unique_key, order_key, resource_type, resource_id, requester_id,
                        request_id, args)
                    select id, token, parent_id, now(), created_at, queue_id, kind_id, upstream, priority,
                        \(state.rawValue), attempt,
                        least(32767, attempt::integer + greatest(1, max_attempts - attempt + errors)), errors,
                        unique_key, order_key, resource_type, resource_id, requester_id, request_id, args
                    from gone
                    where \(state.rawValue) <> 4::smallint or order_key is not null
                    on conflict do nothing
                    returning id, queue_id
                ), cleared as (delete from job_dead_letters d using back where d.id = back.id)
                select queue_id from back
                """)
            if let row = rows.first { return try row.decode(Int16.self) }
        }
        return nil
    }
}
