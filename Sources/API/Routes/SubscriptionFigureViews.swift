import Foundation
import Shared

/// What is left of a subscription's quotas.
struct SubscriptionQuotaView: JSONRepresentable {
    let subscription: Subscription

    func write(to json: inout JSONWriter) {
        json.object { json in
            part("requests", subscription.quotas.requests, subscription.used.requests, to: &json)
            part("tokens", subscription.quotas.tokens, subscription.used.tokens, to: &json)
        }
    }

    private func part(_ name: String, _ limit: Int, _ used: Int, to json: inout JSONWriter) {
        json.member(name) { json in
            json.member("limit", limit)
            json.member("used", used)
            json.member("remaining", max(0, limit - used))
            json.member("resetAt", subscription.resetAt)
        }
    }
}

/// What of a subscription was used, and where warnings begin.
struct SubscriptionUsageView: JSONRepresentable {
    private static let warning = 0.8

    let subscription: Subscription

    func write(to json: inout JSONWriter) {
        let (quotas, used) = (subscription.quotas, subscription.used)
        json.object { json in
            json.member("subscriptionId", subscription.id)
            json.member("quotaRequests", quotas.requests)
            json.member("quotaTokens", quotas.tokens)
            json.member("usedRequests", used.requests)
            json.member("usedTokens", used.tokens)
            json.member("requestUtilization", subscription.requestUtilization.inPercent)
            json.member("tokenUtilization", subscription.tokenUtilization.inPercent)
            json.member("withinRequestLimit", used.requests < quotas.requests)
            json.member("withinTokenLimit", used.tokens < quotas.tokens)
            json.member("usageTakenAt", subscription.usageTakenAt)
            json.member("resetDate", subscription.resetAt)
            json.member("warningThresholds") { json in
                json.member("requests", Int(Double(quotas.requests) * Self.warning))
                json.member("tokens", Int(Double(quotas.tokens) * Self.warning))
            }
        }
    }
}

/// What a subscription's use of this month costs by the model's present prices.
struct SubscriptionPricingView: JSONRepresentable {
    let subscription: Subscription
    let model: Model
    /// Of the month, by the daily figures.
    let totals: UsageTotals
    let month: BillingMonth

    func write(to json: inout JSONWriter) {
        let input = Decimal(totals.promptTokens) * (model.model.inputCostPerToken ?? 0)
        let output = Decimal(totals.completionTokens) * (model.model.outputCostPerToken ?? 0)
        json.object { json in
            json.member("subscriptionId", subscription.id)
            json.member("usedRequests", subscription.used.requests)
            json.member("usedTokens", subscription.used.tokens)
            json.member("inputCostPerToken", model.model.inputCostPerToken)
            json.member("outputCostPerToken", model.model.outputCostPerToken)
            json.member("estimatedCost", input + output)
            json.member("billedCost", totals.spend)
            json.member("costBreakdown") { json in
                json.member("inputTokens", totals.promptTokens)
                json.member("outputTokens", totals.completionTokens)
                json.member("inputCost", input)
                json.member("outputCost", output)
                json.member("totalCost", input + output)
            }
            json.member("billingPeriod") { json in
                json.member("start", month.start.start)
                json.member("end", month.end.start)
            }
        }
    }
}

/// Sums over subscriptions.
struct SubscriptionStatisticsView: JSONRepresentable {
    let found: SubscriptionStatistics

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("total", found.total)
            json.member("byStatus", JSONValue.object(found.byStatus.mapValues(JSONValue.int)))
            json.member("byProvider", JSONValue.object(found.byProvider.mapValues(JSONValue.int)))
            json.member("totalQuotaUsage") { json in
                part("requests", found.used.requests, found.quotas.requests, to: &json)
                part("tokens", found.used.tokens, found.quotas.tokens, to: &json)
            }
        }
    }

    private func part(_ name: String, _ used: Int, _ limit: Int, to json: inout JSONWriter) {
        json.member(name) { json in
            json.member("used", used)
            json.member("limit", limit)
        }
    }
}
