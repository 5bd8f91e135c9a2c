package import Foundation

/// What was used on one or more days.
package struct LiteLLMDailyActivity: Sendable, Equatable {
    /// Usage of one key and one model at one provider on one day. The sum of all rows is `total`.
    package var rows: [LiteLLMUsageRow]
    /// Everything.
    package var total: LiteLLMUsageMetrics
}

/// Usage of one key and one model at one provider on one day.
package struct LiteLLMUsageRow: Sendable, Equatable {
    /// `YYYY-MM-DD`, in UTC.
    package var date: String
    /// Hash of the key, or LiteLLM's name for the master key; nil for usage that LiteLLM books to no key.
    package var keyHash: String?
    /// The key's alias, if LiteLLM still knows it.
    package var keyAlias: String?
    /// The key's owner, if LiteLLM still knows it.
    package var userId: String?
    /// The key's team, if LiteLLM still knows it.
    package var teamId: String?
    /// Public model name; nil for usage that LiteLLM books to no model.
    package var modelGroup: String?
    /// The provider; nil where LiteLLM's answer leaves it open.
    package var provider: String?
    /// The numbers.
    package var metrics: LiteLLMUsageMetrics
}

/// The numbers of usage; they add up.
package struct LiteLLMUsageMetrics: Sendable, Equatable {
    /// Dollars.
    package var spend: Decimal = 0
    /// Tokens of prompts.
    package var promptTokens = 0
    /// Tokens of answers.
    package var completionTokens = 0
    /// All tokens.
    package var totalTokens = 0
    /// Tokens of prompts read from a provider's cache.
    package var cacheReadTokens = 0
    /// Tokens of prompts written to a provider's cache.
    package var cacheCreationTokens = 0
    /// Requests.
    package var requests = 0
    /// Requests that were answered.
    package var successfulRequests = 0
    /// Requests that failed or were refused.
    package var failedRequests = 0

    /// No usage.
    package init() {}

    package static func + (lhs: Self, rhs: Self) -> Self { lhs.combined(rhs, +, +) }
    package static func - (lhs: Self, rhs: Self) -> Self { lhs.combined(rhs, -, -) }
    package static func += (lhs: inout Self, rhs: Self) { lhs = lhs + rhs }

    /// Whether nothing but the noise of LiteLLM's floating-point sums is left.
    var isNegligible: Bool {
        var counts = self
        counts.spend = 0
        return counts == Self() && abs(spend) < Decimal(sign: .plus, exponent: -9, significand: 1)
    }

    /// Whether both count the same; money may differ by what adding doubles up in another order makes of it.
    func agrees(with other: Self) -> Bool {
        var difference = self - other
        let money = abs(difference.spend)
        difference.spend = 0
        return difference == Self() && money < Decimal(sign: .plus, exponent: -4, significand: 1)
    }

    private func combined(_ other: Self, _ money: (Decimal, Decimal) -> Decimal, _ count: (Int, Int) -> Int) -> Self {
        var result = Self()
        result.spend = money(spend, other.spend)
        result.promptTokens = count(promptTokens, other.promptTokens)
        result.completionTokens = count(completionTokens, other.completionTokens)
        result.totalTokens = count(totalTokens, other.totalTokens)
        result.cacheReadTokens = count(cacheReadTokens, other.cacheReadTokens)
        result.cacheCreationTokens = count(cacheCreationTokens, other.cacheCreationTokens)
        result.requests = count(requests, other.requests)
        result.successfulRequests = count(successfulRequests, other.successfulRequests)
        result.failedRequests = count(failedRequests, other.failedRequests)
        return result
    }
}

/// One page of daily activity: whatever LiteLLM's table rows of that page add up to.
package struct LiteLLMDailyActivityPage: Sendable {
    /// This page, from 1.
    package var page: Int
    /// 0 when there was no usage.
    package var totalPages: Int
    /// Whether another page follows.
    package var hasMore: Bool
    /// The usage of this page.
    package var activity: LiteLLMDailyActivity
}
