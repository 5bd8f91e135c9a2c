import Foundation
package import Shared

/// Brings all subscriptions of a model in line with the model as it is when this runs: those of a model that needs an
/// approval by now wait for one, those of a model that no longer does stand again as before, and those of a model that
/// is gone end. The keys follow by `key.access` jobs, its children.
///
/// What a chunk has moved it does not find again, so an attempt that follows a crash goes on where the last one ended.
/// It has no unique key: one that was put back while a newer one waited would end, and its children with it.
package struct ModelCascade: JobKind {
    /// What happened to the model.
    package enum Cause: String, Codable, Sendable {
        /// Whether it needs an approval has changed.
        case restriction
        /// It is no longer offered.
        case retirement
    }

    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Subscriptions.
        package var moved: Int
        /// Keys that were to follow.
        package var keys: Int
        /// Keys that did.
        package var succeeded: Int
        /// Keys that did not, as their jobs were ended.
        package var failed: Int
    }

    package static let name = "model.cascade"
    package static let queue = "security"
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(600)
    /// After the keys' own jobs.
    package static let priority = -800

    /// The public name.
    package let modelId: String
    package let cause: Cause
    /// Subscriptions moved in one transaction.
    var chunk: Int?

    package init(modelId: String, cause: Cause) {
        self.modelId = modelId
        self.cause = cause
    }

    package var orderKey: String? { "cascade:\(modelId)" }

    package func run(in context: JobContext) async throws -> Output {
        guard let job = try await context.services.queue.job(id: context.id) else {
            throw JobLeaseLost(jobId: context.id)
        }
        var moved = 0
        while true {
            let count = try await context.transaction { try await moveChunk(since: job.createdAt, context, in: $0) }
            guard count > 0 else { break }
            moved += count
            try await context.progress(0, "\(moved) subscriptions were moved.")
        }
        guard let keys = try await context.children() else { throw JobWaitForChildren(.someMayFail) }
        return Output(
            moved: try await PostgresSubscriptionStore().countMoved(
                by: context.id, modelId: modelId, in: context.services.database),
            keys: keys.total, succeeded: keys.succeeded, failed: keys.failed + keys.cancelled)
    }

    /// - Returns: how many were moved; 0 when nothing is left.
    private func moveChunk(
        since time: Date, _ context: JobContext, in transaction: PostgresTransaction
    ) async throws -> Int {
        let store = PostgresSubscriptionStore()
        let limit = max(1, chunk ?? 200)
        guard let model = try await PostgresModelStore().find(modelId, in: transaction) else { return 0 }
        switch cause {
        case .restriction where model.restrictedAccess:
            let found = try await store.lockUnapproved(modelId: modelId, since: time, limit: limit, in: transaction)
            try await move(found, .restrict, .restriction, "SUBSCRIPTION_RESTRICTED", context, in: transaction)
            return found.count
        case .restriction:
            let found = try await store.lockRestricted(modelId: modelId, limit: limit, in: transaction)
            // What only the quota had taken is given back with the next month, as before.
            let parts: [(SubscriptionTrigger.Restoration, byQuota: Bool, SubscriptionCause)] = [
                (.active, false, .restrictionLifted), (.active, true, .restrictionLifted),
                (.suspended, false, .restrictionLifted), (.suspended, true, .quota),
            ]
            for (before, byQuota, cause) in parts {
                try await move(
                    found.filter { $0.before == before && $0.byQuota == byQuota }.map(\.subscription),
                    .liftRestriction(to: before), cause, "SUBSCRIPTION_RESTRICTION_LIFTED", context, in: transaction)
            }
            return found.count
        case .retirement where model.availability == .unavailable:
            let found = try await store.lockRetirable(modelId: modelId, limit: limit, in: transaction)
            try await move(found, .retire, .retirement, "SUBSCRIPTION_RETIRED", context, in: transaction)
            return found.count
        case .retirement:
            return 0
        }
    }

    private func move(
        _ olds: [Subscription], _ trigger: SubscriptionTrigger, _ cause: SubscriptionCause, _ action: String,
        _ context: JobContext, in transaction: PostgresTransaction
    ) async throws {
        guard let first = olds.first, let status = trigger.target(from: first.status) else { return }
        let move = SubscriptionMove(
            to: status, cause: cause, changedBy: context.auditActor.userId, jobId: context.id)
        let news = try await PostgresSubscriptionStore().move(olds.map(\.id), move, in: transaction)
        try await PostgresAuditStore().append(
            moves: olds, to: news, action: action, by: context.auditActor, jobId: context.id, in: transaction)
        let changed = olds.filter { ($0.status == .active) != (status == .active) }
        _ = try await context.refreshGrants(of: changed.map(\.userId), modelId: modelId, in: transaction)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        // Taken back before it began, or by an operator: whoever does that writes it down.
        guard end.state == .failed else { return }
        let requester = try await PostgresJobStore().requester(ofLive: end.jobId, in: transaction)
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: requester.auditActor, action: "MODEL_CASCADE_FAILED", resourceType: "model",
                resourceId: modelId, jobId: end.jobId, success: false, errorMessage: end.error.message,
                metadata: ["cause": .string(cause.rawValue), "code": .string(end.error.code)]),
            in: transaction)
    }
}
