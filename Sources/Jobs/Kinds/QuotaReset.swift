import Shared

/// Begins the use of subscriptions anew whose month is over, and gives back what only the quota had taken. The keys
/// follow by jobs of their own.
package struct QuotaReset: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var reset: Int
        /// Suspended ones that are active again.
        package var resumed: Int
    }

    package static let name = "quota.reset"

    /// Subscriptions dealt with in one transaction.
    var chunk: Int?

    package init() {}

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        let store = PostgresSubscriptionStore()
        let subscriptions = Subscriptions(queue: context.services.queue)
        let all = try await context.inChunks { transaction in
            let due = try await store.lockDueForReset(limit: max(1, chunk ?? 200), in: transaction)
            try await store.beginPeriod(due.map(\.id), in: transaction)
            let suspended = due.filter(\.isSuspendedByQuota)
            _ = try await subscriptions.move(
                suspended, SubscriptionMove(to: .active, cause: .quotaReset, jobId: context.id),
                action: "SUBSCRIPTION_QUOTA_RESET", by: .system, in: transaction)
            return (due.count, suspended.count)
        }
        return Output(reset: all.found, resumed: all.followed)
    }
}
