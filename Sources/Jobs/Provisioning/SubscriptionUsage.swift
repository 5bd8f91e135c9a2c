package import Foundation
package import Shared

/// Takes over what people have used, and heeds their quotas: a warning in the audit log at 80 and at 90 %, a suspension
/// at 100 %, each once.
package struct SubscriptionUsage: Sendable {
    /// Parts of the quota at which somebody should hear of it.
    package static let thresholds = [0.8, 0.9]

    private let subscriptions: Subscriptions
    private let store = PostgresSubscriptionStore()
    private let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        subscriptions = Subscriptions(queue: queue)
    }

    /// Takes over what one person has used of one model since the period began, in all.
    @discardableResult
    package func account(
        userId: UUID, modelId: String, requests: Int, tokens: Int, by actor: AuditActor = .system, jobId: Int64? = nil,
        in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        try await account(
            [SubscriptionUse(userId: userId, modelId: modelId, requests: requests, tokens: tokens)], by: actor,
            jobId: jobId, in: transaction)
    }

    /// The same for several; figures that are lower than what is known change nothing, as they are older.
    ///
    /// - Returns: the jobs of the keys that lose a model.
    @discardableResult
    package func account(
        _ uses: [SubscriptionUse], by actor: AuditActor = .system, jobId: Int64? = nil,
        in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        try await take(
            uses, into: try await store.lock(usedBy: uses, in: transaction), by: actor, jobId: jobId, in: transaction)
    }

    /// Takes over what the people of a day have used, for the subscriptions that `found` names. What they have used is
    /// read again once they are locked: somebody may have forgiven it since.
    @discardableResult
    package func account(
        _ day: UTCDay, foundBefore found: [SubscriptionUse], jobId: Int64, in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        let locked = try await store.lock(usedBy: found, in: transaction)
        let uses = try await store.uses(on: day, of: locked.map(\.id), in: transaction)
        return try await take(uses, into: locked, by: .system, jobId: jobId, in: transaction)
    }

    private func take(
        _ uses: [SubscriptionUse], into olds: [Subscription], by actor: AuditActor, jobId: Int64?,
        in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        let figures = Dictionary(
            uses.map { (Owner(userId: $0.userId, modelId: $0.modelId), $0) }, uniquingKeysWith: { first, _ in first })
        let news = olds.map { old in
            var new = old
            guard let use = figures[Owner(userId: old.userId, modelId: old.modelId)] else { return new }
            new.used.requests = max(old.used.requests, use.requests)
            new.used.tokens = max(old.used.tokens, use.tokens)
            return new
        }
        try await store.storeUse(news, in: transaction)
        let warnings = zip(olds, news).flatMap { Self.warnings($0, $1, by: actor, jobId: jobId) }
        if !warnings.isEmpty { try await transaction.pipeline(warnings.map { audit.appendQuery($0) }) }
        return try await subscriptions.move(
            news.filter { $0.status == .active && $0.isExhausted },
            SubscriptionMove(to: .suspended, cause: .quota, jobId: jobId), action: "SUBSCRIPTION_QUOTA_EXHAUSTED",
            by: actor, in: transaction)
    }

    private struct Owner: Hashable {
        var userId: UUID
        var modelId: String
    }

    /// Use only grows within a period, so that each threshold is passed once.
    private static func warnings(
        _ old: Subscription, _ new: Subscription, by actor: AuditActor, jobId: Int64?
    ) -> [AuditEntry] {
        thresholds.filter { old.utilization < $0 && new.utilization >= $0 }.map { threshold in
            AuditEntry(
                actor: actor, action: "SUBSCRIPTION_QUOTA_WARNING", resourceType: "subscription",
                resourceId: new.id.text,
                newValues: [
                    "threshold": .int(Int(threshold * 100)), "usedRequests": .int(new.used.requests),
                    "usedTokens": .int(new.used.tokens), "quotaRequests": .int(new.quotas.requests),
                    "quotaTokens": .int(new.quotas.tokens),
                ], jobId: jobId,
                metadata: ["userId": .string(new.userId.text), "modelId": .string(new.modelId)])
        }
    }
}
