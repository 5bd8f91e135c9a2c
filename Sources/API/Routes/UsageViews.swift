import Foundation
import Shared

/// Usage added up, in LiteMaaS's shape, and what is missing in it.
struct UsageSummaryView: JSONRepresentable {
    let range: DateRange
    /// What the parts of `byDay` are.
    let interval: UsageInterval
    let summary: UsageSummary

    func write(to json: inout JSONWriter) {
        json.object { json in
            range.writePeriod(to: &json)
            json.member("totals") { json in summary.totals.writeMembers(to: &json) }
            json.name("byModel")
            json.array(summary.byModel) { json, model in
                json.object { json in
                    json.member("modelId", model.modelId)
                    json.member("modelName", model.modelId)
                    json.member("provider", model.provider)
                    model.totals.writeMembers(to: &json)
                }
            }
            json.name("byDay")
            json.array(summary.byDay.parts(interval)) { json, day in
                json.object { json in
                    json.member("date", max(day.day, range.start).description)
                    day.totals.writeMembers(to: &json)
                }
            }
            summary.freshness.writeMembers(to: &json)
        }
    }
}

extension UsageTotals {
    /// Latency is always 0: LiteLLM's daily activity does not tell it. The rates are in percent.
    func writeMembers(to json: inout JSONWriter) {
        json.member("requests", requests)
        json.member("tokens", totalTokens)
        json.member("promptTokens", promptTokens)
        json.member("completionTokens", completionTokens)
        json.member("cost", spend)
        json.member("averageLatency", 0)
        json.member("errorRate", errorRate)
        json.member("successRate", successRate)
    }
}

/// A day of usage that is being taken over from LiteLLM.
struct UsageRefreshView: ResourceBody {
    let day: UTCDay
    /// Nil while it is under way.
    let refreshedAt: Date?

    func writeMembers(to json: inout JSONWriter) {
        json.member(
            "message", refreshedAt == nil ? "The usage of \(day) is being fetched." : "The usage of \(day) was fetched."
        )
        json.member("date", day.description)
        json.member("refreshedAt", refreshedAt)
        json.member("status", refreshedAt == nil ? "pending" : "complete")
        json.member("syncStatus", refreshedAt == nil ? "pending" : "synced")
    }
}
