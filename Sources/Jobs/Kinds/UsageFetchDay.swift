package import Foundation
package import Shared

/// Takes one day of LiteLLM's daily activity over, replacing what we have of that day as a whole.
package struct UsageFetchDay: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The day.
        package var date: UTCDay
        /// Parts by key, model and provider.
        package var entries: Int
        /// All requests, refused ones included.
        package var requests: Int
        /// All tokens.
        package var totalTokens: Int
        /// Money, as an exact decimal text.
        package var spend: String
        /// Whether the day was over when LiteLLM was asked.
        package var isComplete: Bool
        /// When LiteLLM was asked.
        package var fetchedAt: Date
    }

    package static let name = "usage.fetchDay"
    package static let queue = "usage"
    package static let upstream: Upstream? = .litellmUsage
    package static let timeout: Duration = .seconds(600)
    package static let isProbeSafe = true

    /// Subscriptions whose use is written in one transaction.
    private static let accountsAtOnce = 200

    /// The day, in UTC.
    package let date: UTCDay
    /// Whether less than what a final day has replaces it too.
    package let force: Bool?

    package init(date: UTCDay, force: Bool = false) {
        self.date = date
        self.force = force ? true : nil
    }

    package var orderKey: String? { "usage:\(date)" }
    package var uniqueKey: String? { "\(Self.name)\(force == true ? ".forced" : ""):\(date)" }

    package func run(in context: JobContext) async throws -> Output {
        let usage = PostgresUsageStore()
        // Before the first page: whatever is spent later may be missing from the answer.
        let fetchedAt = try await usage.now(in: context.services.database)
        guard date.start <= fetchedAt else {
            throw JobFailure.permanent(code: "day_in_future", message: "\(date) has not begun yet.")
        }
        let activity = try await context.litellm.dailyActivity(date: date.description, isOver: date.end <= fetchedAt)
        let models = try await PostgresModelStore().all(in: context.services.database)
        let day = UsageAggregation.day(
            date, from: activity,
            providers: Dictionary(models.map { ($0.id, $0.model.provider) }, uniquingKeysWith: { first, _ in first }),
            fetchedAt: fetchedAt, grace: context.services.settings.usageGrace)
        _ = try await context.transaction { transaction in
            try await check(day, in: transaction)
            return try await usage.replace(day, jobId: context.id, in: transaction)
        }
        try await heedQuotas(context)
        return Output(
            date: date, entries: day.entries.count, requests: day.totals.requests,
            totalTokens: day.totals.totalTokens, spend: "\(day.totals.spend)", isComplete: day.isComplete,
            fetchedAt: fetchedAt)
    }

    /// A final day only shrinks where LiteLLM has lost its figures, as by a purge of them or another database.
    private func check(_ day: UsageDay, in transaction: PostgresTransaction) async throws {
        guard force != true else { return }
        let stored = try await PostgresUsageStore().finalRequests(of: date, in: transaction) ?? 0
        guard stored > 0, day.totals.requests * 2 < stored else { return }
        throw JobFailure.permanent(
            code: "usage_shrunk",
            message: """
                LiteLLM tells \(day.totals.requests) requests of \(date), which is final with \(stored); they stay. Where \
                LiteLLM is right, rebuild the day with force.
                """)
    }

    /// Takes what the day's people have used this month over into their subscriptions. Later than the day itself: an
    /// attempt that dies in between is followed by one that finds the same figures.
    private func heedQuotas(_ context: JobContext) async throws {
        let uses = try await PostgresSubscriptionStore().uses(on: date, in: context.services.database)
        let accounts = SubscriptionUsage(queue: context.services.queue)
        for start in stride(from: 0, to: uses.count, by: Self.accountsAtOnce) {
            let part = Array(uses[start..<min(start + Self.accountsAtOnce, uses.count)])
            try await context.transaction { transaction in
                _ = try await accounts.account(date, foundBefore: part, jobId: context.id, in: transaction)
            }
        }
    }
}
