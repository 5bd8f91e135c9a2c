import Logging
import Shared

/// Ends jobs without success, in one transaction: the object is marked, the jobs that waited for this one end with
/// its error, and the next job on the same object may go on.
struct JobEnding: Sendable {
    /// What the caller announces once the transaction has committed.
    struct Result: Sendable {
        var ended: [Int64] = []
        var watched: [Int64] = []
        var wake: Set<Int16> = []
    }

    let store: PostgresJobStore
    let enqueuer: JobEnqueuer
    let logger: Logger

    /// - Parameters:
    ///   - job: locked by the transaction.
    ///   - attempted: whether an attempt failed with `error`, to be noted among the attempts.
    ///   - marksObject: false for a superseded job, whose object belongs to the newer one.
    func end(
        _ job: EndingJob, as state: JobState, error: JobErrorInfo, by person: String?, attempted: Bool,
        marksObject: Bool = true, in transaction: PostgresTransaction
    ) async throws -> Result {
        var result = Result()
        // A chain of dependents is short; the list keeps it from being a recursion of transactions.
        var pending: [(job: EndingJob, error: JobErrorInfo, attempted: Bool, state: JobState)] = [
            (job, error, attempted, state)
        ]
        while let next = pending.popLast() {
            let dependents = try await store.dependents(of: next.job.id, in: transaction)
            if marksObject {
                let kind = store.names.kindName(next.job.kindId)
                let end = JobEnd(
                    jobId: next.job.id, state: next.state, error: next.error, by: person, enqueuer: enqueuer)
                try await enqueuer.catalog.handlers[kind]?.ended(next.job.args, end, transaction)
            }
            try await store.moveOut(
                next.job, as: next.state, error: next.error, by: person, attempted: next.attempted, in: transaction)
            result.ended.append(next.job.id)
            if next.job.watched { result.watched.append(next.job.id) }
            for id in dependents {
                guard let dependent = try await store.lock(jobId: id, in: transaction), dependent.state != .running
                else {
                    continue
                }
                let cause = JobErrorInfo(
                    errorClass: next.error.errorClass == .cancelled ? .permanent : next.error.errorClass,
                    code: next.error.code,
                    message: "Job \(next.job.id), which this one needs, ended without success: \(next.error.message)")
                pending.append((dependent, cause, false, .failed))
            }
            if let orderKey = next.job.orderKey {
                result.wake.formUnion(try await store.handOverObject(orderKey, in: transaction))
            }
        }
        return result
    }
}

extension JobErrorInfo {
    /// The author of a cancellation that a newer job on the same object caused.
    static let superseded = "superseded"

    static func cancelled(by person: String?) -> JobErrorInfo {
        if person == superseded {
            return JobErrorInfo(
                errorClass: .cancelled, code: superseded, message: "A newer job on the same object took its place.")
        }
        return JobErrorInfo(
            errorClass: .cancelled, code: "cancelled", message: person.map { "Cancelled by \($0)." } ?? "Cancelled.")
    }
}
