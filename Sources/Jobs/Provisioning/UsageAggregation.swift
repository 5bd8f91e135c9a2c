import Foundation
import Shared

/// LiteLLM's activity of one day as our tables hold it.
enum UsageAggregation {
    /// What no model, provider or key is named for.
    static let unknown = "unknown"

    /// - Parameter providers: of our models, for rows of which LiteLLM does not tell the provider.
    static func day(
        _ day: UTCDay, from activity: LiteLLMDailyActivity, providers: [String: String], fetchedAt: Date,
        grace: Duration
    ) -> UsageDay {
        var entries: [EntryKey: UsageEntry] = [:]
        // An answer may hold neighbours of the day where LiteLLM's server lives in another time zone.
        for row in activity.rows where row.date == day.description {
            let model = row.modelGroup ?? unknown
            let key = EntryKey(
                keyHash: row.keyHash ?? "", modelId: model, provider: row.provider ?? providers[model] ?? unknown)
            var entry =
                entries[key]
                ?? UsageEntry(
                    keyHash: key.keyHash, modelId: key.modelId, provider: key.provider, keyAlias: row.keyAlias,
                    totals: .zero)
            entry.totals = entry.totals + UsageTotals(row.metrics)
            entries[key] = entry
        }
        let sorted = entries.values.sorted {
            ($0.keyHash, $0.modelId, $0.provider) < ($1.keyHash, $1.modelId, $1.provider)
        }
        return UsageDay(
            day: day, fetchedAt: fetchedAt,
            isComplete: fetchedAt >= day.end.addingTimeInterval(grace.inSeconds),
            totals: sorted.reduce(.zero) { $0 + $1.totals }, entries: sorted)
    }

    private struct EntryKey: Hashable {
        let keyHash: String
        let modelId: String
        let provider: String
    }
}

extension UsageTotals {
    init(_ metrics: LiteLLMUsageMetrics) {
        self.init(
            spend: metrics.spend, promptTokens: metrics.promptTokens, completionTokens: metrics.completionTokens,
            totalTokens: metrics.totalTokens, requests: metrics.requests,
            successfulRequests: metrics.successfulRequests, failedRequests: metrics.failedRequests)
    }
}
