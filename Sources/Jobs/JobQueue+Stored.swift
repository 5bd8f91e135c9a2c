import Shared

extension JobQueue {
    /// Puts in a job whose kind is known by its name only and whose parameters are JSON.
    ///
    /// - Parameter orderKey: for a job that acts on no object of its own.
    /// - Throws: ``JobQueueError/unknownKind(_:)``; ``JobFailure`` when the parameters do not fit the kind.
    func enqueue(
        kind: String, args: String, options: JobOptions, orderKey: String? = nil, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        guard let handler = catalog.handlers[kind] else { throw JobQueueError.unknownKind(kind) }
        let keys = try handler.keys(args)
        let enqueued = try await store.enqueue(
            PostgresJobStore.NewJob(
                handler: handler, args: args, uniqueKey: keys.unique, orderKey: keys.order ?? orderKey,
                priority: options.priority ?? keys.priority, options: options),
            in: transaction)
        let queueId = try store.names.queueId(handler.queue)
        transaction.afterCommit { await wakeups.ready(queueId) }
        return enqueued
    }
}
