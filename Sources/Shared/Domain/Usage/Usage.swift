package import Foundation

/// Sums over some calls to models.
package struct UsageTotals: Sendable, Equatable {
    /// Money, exact.
    package var spend: Decimal
    /// Tokens of prompts.
    package var promptTokens: Int
    /// Tokens of answers.
    package var completionTokens: Int
    /// All tokens.
    package var totalTokens: Int
    /// All requests, refused ones included.
    package var requests: Int
    /// Those that were answered.
    package var successfulRequests: Int
    /// Those that failed or were refused.
    package var failedRequests: Int

    /// Sums; zero unless told otherwise.
    package init(
        spend: Decimal = 0, promptTokens: Int = 0, completionTokens: Int = 0, totalTokens: Int = 0,
        requests: Int = 0, successfulRequests: Int = 0, failedRequests: Int = 0
    ) {
        self.spend = spend
        self.promptTokens = promptTokens
        self.completionTokens = completionTokens
        self.totalTokens = totalTokens
        self.requests = requests
        self.successfulRequests = successfulRequests
        self.failedRequests = failedRequests
    }

    /// Nothing was used.
    package static let zero = UsageTotals()

    /// Adds up.
    package static func + (lhs: UsageTotals, rhs: UsageTotals) -> UsageTotals {
        combine(lhs, rhs, +, +)
    }

    /// Takes away.
    package static func - (lhs: UsageTotals, rhs: UsageTotals) -> UsageTotals {
        combine(lhs, rhs, -, -)
    }

    private static func combine(
        _ lhs: UsageTotals, _ rhs: UsageTotals, _ money: (Decimal, Decimal) -> Decimal,
        _ count: (Int, Int) -> Int
    ) -> UsageTotals {
        UsageTotals(
            spend: money(lhs.spend, rhs.spend), promptTokens: count(lhs.promptTokens, rhs.promptTokens),
            completionTokens: count(lhs.completionTokens, rhs.completionTokens),
            totalTokens: count(lhs.totalTokens, rhs.totalTokens), requests: count(lhs.requests, rhs.requests),
            successfulRequests: count(lhs.successfulRequests, rhs.successfulRequests),
            failedRequests: count(lhs.failedRequests, rhs.failedRequests))
    }

    init(row: PostgresRow) throws(PostgresError) {
        self.init(
            spend: try row.get("spend"), promptTokens: try row.get("prompt_tokens"),
            completionTokens: try row.get("completion_tokens"), totalTokens: try row.get("total_tokens"),
            requests: try row.get("requests"), successfulRequests: try row.get("successful_requests"),
            failedRequests: try row.get("failed_requests"))
    }
}

/// What one key used of one model on one day.
package struct UsageEntry: Sendable, Equatable {
    /// SHA-256 of the key's secret; empty for what LiteLLM does not ascribe to a key.
    package var keyHash: String
    /// The public model name; `unknown` for what LiteLLM does not ascribe to a model.
    package var modelId: String
    /// Such as `openai`; `unknown` where LiteLLM does not say.
    package var provider: String
    /// LiteLLM's name of the key.
    package var keyAlias: String?
    /// The sums.
    package var totals: UsageTotals

    /// An entry.
    package init(keyHash: String, modelId: String, provider: String, keyAlias: String?, totals: UsageTotals) {
        self.keyHash = keyHash
        self.modelId = modelId
        self.provider = provider
        self.keyAlias = keyAlias
        self.totals = totals
    }
}

/// A whole day as LiteLLM told it.
package struct UsageDay: Sendable, Equatable {
    /// The day, in UTC.
    package var day: UTCDay
    /// When LiteLLM was asked.
    package var fetchedAt: Date
    /// Whether the day was over, with the grace for late spend, when LiteLLM was asked.
    package var isComplete: Bool
    /// The sums.
    package var totals: UsageTotals
    /// One for each key, model and provider.
    package var entries: [UsageEntry]

    /// A day.
    package init(day: UTCDay, fetchedAt: Date, isComplete: Bool, totals: UsageTotals, entries: [UsageEntry]) {
        self.day = day
        self.fetchedAt = fetchedAt
        self.isComplete = isComplete
        self.totals = totals
        self.entries = entries
    }
}

/// Which usage is added up. Both days are inclusive; of each list nil means all, and an empty one nothing.
package struct UsageFilter: Sendable, Equatable {
    /// The first day.
    package var from: UTCDay
    /// The last day.
    package var to: UTCDay
    /// Only keys of these users; nil for all keys, foreign ones included.
    package var userIds: [UUID]?
    /// Public model names.
    package var modelIds: [String]?
    /// Such as `openai`.
    package var providers: [String]?
    /// Keys of ours, with every secret they ever had.
    package var apiKeyIds: [UUID]?

    /// All usage of a range of days unless told otherwise.
    package init(from: UTCDay, to: UTCDay, userId: UUID? = nil, modelId: String? = nil, apiKeyId: UUID? = nil) {
        self.from = from
        self.to = to
        userIds = userId.map { [$0] }
        modelIds = modelId.map { [$0] }
        apiKeyIds = apiKeyId.map { [$0] }
    }

    /// How many days there are.
    package var days: Int { from.distance(to: to) + 1 }

    /// The same look at as many days right before.
    package var previous: UsageFilter {
        var filter = self
        filter.from = from.advanced(by: -days)
        filter.to = from.previous
        return filter
    }
}

/// How far figures of a range of days can be relied on.
package struct UsageFreshness: Sendable, Equatable {
    /// When the oldest part was taken; nil when no day of the range is there.
    package var takenAt: Date?
    /// Days of the range that were asked for.
    package var takenDays: [UTCDay] = []
    /// Days of the range that were never asked for.
    package var missingDays: [UTCDay] = []
    /// Days of the range that were asked for before they were over.
    package var incompleteDays: [UTCDay] = []

    /// Nothing is known, and nothing lacks.
    package init() {}
}

/// Usage added up, and how far it can be relied on.
package struct UsageSummary: Sendable, Equatable {
    /// One model at one provider.
    package struct ByModel: Sendable, Equatable {
        /// A public model name.
        package var modelId: String
        /// Such as `openai`; `unknown` where LiteLLM does not say.
        package var provider: String
        /// The sums.
        package var totals: UsageTotals
    }

    /// One day.
    package struct ByDay: Sendable, Equatable {
        /// The day, in UTC.
        package var day: UTCDay
        /// The sums.
        package var totals: UsageTotals

        /// A day's sums, or those of the days from there on.
        package init(day: UTCDay, totals: UsageTotals) {
            self.day = day
            self.totals = totals
        }
    }

    /// The sums.
    package var totals: UsageTotals
    /// The most expensive first.
    package var byModel: [ByModel]
    /// Days with any use, in order.
    package var byDay: [ByDay]
    /// How far all this can be relied on.
    package var freshness: UsageFreshness
}
