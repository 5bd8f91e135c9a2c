import Foundation
import Shared

/// A failed job as the code that discards it needs it.
struct DeadLetter: Sendable {
    var id: Int64
    var kindId: Int16
    var queueId: Int16
    var error: JobErrorInfo
    var args: String
}

extension PostgresJobStore {
    /// Locks a dead letter; nil when there is none of this id.
    func deadLetter(jobId: Int64, in executor: any PostgresExecutor) async throws -> DeadLetter? {
        let rows = try await executor.query(
            """
            select id, kind_id, queue_id, error_class, error_code, error_message, args
            from job_dead_letters where id = \(jobId) for update
            """)
        guard let row = rows.first else { return nil }
        let (id, kindId, queueId, errorClass, code, message, args) = try row.decode(
            Int64.self, Int16.self, Int16.self, String?.self, String?.self, String?.self, String.self)
        return DeadLetter(
            id: id, kindId: kindId, queueId: queueId,
            error: JobErrorInfo(
                errorClass: errorClass.flatMap(JobErrorClass.init(rawValue:)) ?? .permanent, code: code ?? "unknown",
                message: message ?? ""),
            args: args)
    }

    /// Moves a locked dead letter to the history; it stays failed, and says who gave it up.
    func discard(jobId: Int64, by person: String, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            with gone as (delete from job_dead_letters where id = \(jobId) returning *)
            insert into job_history (
                id, finished_at, created_at, run_at, started_at, deadline_at, discarded_at, token, parent_id, worker_id,
                queue_id, kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                resource_type, resource_id, requester_id, request_id, ended_by, discarded_by, error_class, error_code,
                error_message, args, progress, result)
            select id, finished_at, created_at, run_at, started_at, deadline_at, now(), token, parent_id, worker_id,
                queue_id, kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                resource_type, resource_id, requester_id, request_id, ended_by, \(person), error_class, error_code,
                error_message, args, progress, result
            from gone
            """)
    }

    /// Lets a waiting job start at another time; a ready one waits until then and keeps its object, so that the order
    /// of the object's jobs stays. Returns its queue; nil when it is in another state.
    func reschedule(jobId: Int64, at time: Date, in executor: any PostgresExecutor) async throws -> Int16? {
        let rows = try await executor.query(
            """
            update jobs set run_at = \(time), state = case when state in (0, 6) then 3 else state end
            where id = \(jobId) and state in (0, 2, 3, 6) returning queue_id
            """)
        return try rows.first?.decode(Int16.self)
    }
}
