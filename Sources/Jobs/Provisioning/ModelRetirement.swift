import Foundation
package import Shared

/// Takes models that are gone out of subscriptions and keys, later: until then a person can step in, and a model that
/// comes back is as it was. All of it in transactions that hold the model's row.
package struct ModelRetirement: Sendable {
    private let queue: JobQueue
    private let plans = PostgresModelRetirementStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// Plans the retirement of a model that has become unavailable. One that is planned already comes at the earlier of
    /// the two times.
    @discardableResult
    func plan(
        _ modelId: String, after delay: Duration, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "model", id: modelId)
        if delay > .zero { options.delay = delay }
        let job = try await queue.enqueue(
            ModelCascade(modelId: modelId, cause: .retirement), options: options, in: transaction)
        try await plans.store(modelId, jobId: job.id, after: delay, in: transaction)
        return job
    }

    /// For a model that LiteLLM has again: takes the plan back, or, when it was carried out, has subscriptions and keys
    /// looked at again. Nothing happens without a plan.
    func takeBack(
        _ modelId: String, by actor: AuditActor, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        guard let plan = try await plans.find(modelId, in: transaction) else { return }
        try await plans.remove(modelId, in: transaction)
        if try await isWaiting(plan.jobId, in: transaction) {
            try await queue.cancel(id: plan.jobId, by: actor.name, force: true, in: transaction)
            try await audit.append(
                AuditEntry(
                    actor: actor, action: "MODEL_RETIREMENT_CANCELLED", resourceType: "model", resourceId: modelId,
                    jobId: jobId, metadata: ["retirementJob": .string(String(plan.jobId))]),
                in: transaction)
            return
        }
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "model", id: modelId)
        _ = try await queue.enqueue(
            ModelCascade(modelId: modelId, cause: .retirement), options: options, in: transaction)
    }

    /// Takes a planned retirement back because somebody wants it so: the model stays unavailable, subscriptions and keys
    /// keep it.
    ///
    /// - Throws: ``ProvisioningError`` `modelNotFound`, `retirementNotPlanned`, `retirementBegun`.
    package func undo(
        _ modelId: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> ModelRetirementPlan {
        guard try await PostgresModelStore().lock(modelId, in: transaction) != nil else {
            throw ProvisioningError(.modelNotFound, "There is no such model.")
        }
        guard let plan = try await plans.find(modelId, in: transaction) else {
            throw ProvisioningError(.retirementNotPlanned, "No retirement of this model is planned.")
        }
        guard try await isWaiting(plan.jobId, in: transaction) else {
            throw ProvisioningError(
                .retirementBegun, "The retirement of this model has begun with job \(plan.jobId).")
        }
        try await queue.cancel(id: plan.jobId, by: actor.requester.id ?? actor.name, force: true, in: transaction)
        try await plans.remove(modelId, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "MODEL_RETIREMENT_UNDONE", resourceType: "model", resourceId: modelId,
                oldValues: ["dueAt": .string(ISO8601.string(from: plan.dueAt))], jobId: plan.jobId),
            in: transaction)
        return plan
    }

    /// Whether no attempt of the job has begun; it stays so until the transaction ends.
    private func isWaiting(_ jobId: Int64, in transaction: PostgresTransaction) async throws -> Bool {
        guard let job = try await queue.store.lock(jobId: jobId, in: transaction) else { return false }
        return switch job.state {
        case .scheduled, .ready, .blocked, .parked: try await queue.job(id: jobId, in: transaction)?.startedAt == nil
        default: false
        }
    }
}
