package import Foundation
package import Shared

extension JobQueue {
    /// Gives a failed job up: it leaves the dead letters for the history, still failed, and its object says who did
    /// it. What is wanted does not change.
    ///
    /// - Parameter force: also gives up work that protects others.
    /// - Throws: ``JobQueueError``.
    package func discard(
        id: Int64, by person: String, force: Bool = false, in transaction: PostgresTransaction
    ) async throws {
        guard let letter = try await store.deadLetter(jobId: id, in: transaction) else {
            guard let job = try await store.snapshot(jobId: id, in: transaction) else {
                throw JobQueueError.notFound(id)
            }
            throw JobQueueError.wrongState(id, job.state, allowed: "failed and not yet discarded")
        }
        if !force, try await store.isProtected(queueId: letter.queueId, in: transaction) {
            throw JobQueueError.protected(id)
        }
        let error = JobErrorInfo(
            errorClass: letter.error.errorClass, code: letter.error.code,
            message: "\(letter.error.message) Discarded by \(person).")
        let end = JobEnd(jobId: id, state: .failed, error: error, by: person, enqueuer: enqueuer)
        try await catalog.handlers[store.names.kindName(letter.kindId)]?.discarded(letter.args, end, transaction)
        try await store.discard(jobId: id, by: person, in: transaction)
    }

    /// Lets a ready, scheduled or retrying job start at another time. A time that has passed means now.
    ///
    /// - Parameter force: also holds up work that protects others.
    /// - Throws: ``JobQueueError``.
    package func reschedule(
        id: Int64, at time: Date, force: Bool = false, in transaction: PostgresTransaction
    ) async throws {
        guard let job = try await store.lock(jobId: id, in: transaction) else {
            guard let ended = try await store.snapshot(jobId: id, in: transaction) else {
                throw JobQueueError.notFound(id)
            }
            throw JobQueueError.wrongState(id, ended.state, allowed: "ready, scheduled or retrying")
        }
        if !force, try await store.isProtected(queueId: job.queueId, in: transaction) {
            throw JobQueueError.protected(id)
        }
        guard try await store.reschedule(jobId: id, at: time, in: transaction) != nil else {
            throw JobQueueError.wrongState(
                id, job.state.publicState(errors: 0), allowed: "ready, scheduled or retrying")
        }
        transaction.afterCommit { [wakeups] in await wakeups.due() }
    }
}
