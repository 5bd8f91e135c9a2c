package import Shared

/// What the API asks for concerning the model catalogue.
package struct ModelCatalogue: Sendable {
    private let queue: JobQueue
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// Stores the job that takes LiteLLM's list of models over. Requests that come before it starts share one job.
    ///
    /// - Parameters:
    ///   - forceUpdate: writes every model anew, changed or not.
    ///   - markUnavailable: lets models go that LiteLLM no longer lists.
    ///   - action: how the audit log names it.
    package func requestSync(
        forceUpdate: Bool = false, markUnavailable: Bool = true, action: String = "MODELS_SYNC",
        by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "model_catalogue", id: "all")
        let job = try await queue.enqueue(
            ModelSync(forceUpdate: forceUpdate, markUnavailable: markUnavailable), options: options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "model_catalogue", resourceId: nil,
                newValues: ["forceUpdate": .bool(forceUpdate), "markUnavailable": .bool(markUnavailable)],
                jobId: job.id),
            in: transaction)
        return job
    }
}
