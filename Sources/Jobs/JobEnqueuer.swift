import Foundation
import Shared

/// Puts jobs in, in a transaction that others have begun; claimers are woken once it has committed.
struct JobEnqueuer: Sendable {
    let store: PostgresJobStore
    let catalog: JobCatalog
    let wakeups: JobWakeups

    /// - Throws: ``JobQueueError`` when a job it depends on has failed; `PostgresError`.
    func enqueue<Kind: JobKind>(
        _ job: Kind, options: JobOptions, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let enqueued = try await store.enqueue(try row(job, options), in: transaction)
        let queueId = try store.names.queueId(Kind.queue)
        let isRunnable = options.runAt == nil && options.delay == nil
        let isOrdinary = (options.priority ?? Kind.priority) >= 0
        let watchers = enqueued.superseded
        transaction.afterCommit { [wakeups] in
            if isRunnable { await wakeups.ready(queueId, isNew: isOrdinary) }
            if !watchers.isEmpty { await wakeups.finished(watchers) }
        }
        return enqueued
    }

    private func row<Kind: JobKind>(_ job: Kind, _ options: JobOptions) throws -> PostgresJobStore.NewJob {
        PostgresJobStore.NewJob(
            handler: try handler(Kind.name), args: try encode(job),
            // A child shares no job with others: it ends with its parent.
            uniqueKey: options.parentId == nil ? job.uniqueKey : nil, orderKey: job.orderKey,
            priority: options.priority ?? Kind.priority, options: options)
    }

    func handler(_ name: String) throws -> JobHandler {
        guard let handler = catalog.handlers[name] else { throw JobQueueError.unknownKind(name) }
        return handler
    }

    func encode(_ job: some JobKind) throws -> String {
        String(decoding: try JSON.encoder.encode(job), as: UTF8.self)
    }
}
