import Foundation
import Shared

/// Usage added up, in LiteMaaS's shape, and what is missing in it.
struct UsageSummaryView: JSONRepresentable {
    let range: DateRange
    let summary: UsageSummary

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("period") { json in
                json.member("start", range.start.description)
                json.member("end", range.end.description)
            }
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
            json.array(summary.byDay) { json, day in
                json.object { json in
                    json.member("date", day.day.description)
                    day.totals.writeMembers(to: &json)
                }
            }
            json.member("takenAt", summary.takenAt)
            json.member("missingDays", summary.missingDays.map(\.description))
            json.member("incompleteDays", summary.incompleteDays.map(\.description))
        }
    }
}

extension UsageTotals {
    /// Latency is always 0: LiteLLM's daily activity does not tell it. The rates are in percent.
    func writeMembers(to json: inout JSONWriter) {
        let answered = successfulRequests + failedRequests
        json.member("requests", requests)
        json.member("tokens", totalTokens)
        json.member("promptTokens", promptTokens)
        json.member("completionTokens", completionTokens)
        json.member("cost", spend)
        json.member("averageLatency", 0)
        json.member("errorRate", Self.percent(failedRequests, of: answered))
        json.member("successRate", Self.percent(successfulRequests, of: answered))
    }

    private static func percent(_ part: Int, of whole: Int) -> Double {
        whole > 0 ? (Double(part) / Double(whole) * 10_000).rounded() / 100 : 0
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
