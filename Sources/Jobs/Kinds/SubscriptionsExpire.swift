import Shared

/// Ends subscriptions whose time is over. The keys follow by jobs of their own, which it does not wait for: while
/// LiteLLM cannot be reached, later subscriptions still end in time.
package struct SubscriptionsExpire: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var expired: Int
        /// Keys that are to lose a model.
        package var keys: Int
    }

    package static let name = "subscriptions.expire"
    package static let queue = "security"

    /// Subscriptions ended in one transaction.
    var chunk: Int?

    package init() {}

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        let store = PostgresSubscriptionStore()
        let subscriptions = Subscriptions(queue: context.services.queue)
        let all = try await context.inChunks { transaction in
            let due = try await store.lockExpired(limit: max(1, chunk ?? 200), in: transaction)
            let jobs = try await subscriptions.move(
                due, SubscriptionMove(to: .expired, cause: .expiry, jobId: context.id),
                action: "SUBSCRIPTION_EXPIRED", by: .system, in: transaction)
            return (due.count, jobs.count)
        }
        return Output(expired: all.found, keys: all.followed)
    }
}
