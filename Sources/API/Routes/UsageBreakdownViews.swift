import Foundation
import Shared

/// A page of a breakdown.
struct UsagePageView<Item: Sendable>: JSONRepresentable {
    let range: DateRange
    let found: UsagePage<Item>
    let page: PageRequest
    /// What no item of any page contains; nil where every item has its part of it.
    var unattributed: UsageTotals?
    let write: @Sendable (Item, inout JSONWriter) -> Void

    func write(to json: inout JSONWriter) {
        let pages = (found.total + page.size - 1) / page.size
        json.object { json in
            json.name("data")
            json.array(found.items) { json, item in write(item, &json) }
            json.member("pagination") { json in
                json.member("page", page.number)
                json.member("limit", page.size)
                json.member("total", found.total)
                json.member("totalPages", pages)
                json.member("hasNext", page.number < pages)
                json.member("hasPrevious", page.number > 1)
            }
            json.member("period") { json in range.writeDates(to: &json) }
            if let unattributed {
                json.member("unattributed") { json in unattributed.writeSummary(to: &json) }
            }
            found.freshness.writeMembers(to: &json)
        }
    }
}

extension UserUsage: JSONRepresentable {
    func write(to json: inout JSONWriter) {
        json.object { json in
            user.writeMembers(to: &json)
            json.member("metrics") { json in
                totals.writeMetrics(to: &json)
                json.name("models")
                json.array(models) { json, model in
                    json.object { json in
                        model.part.writeMembers(to: &json)
                        model.totals.writeMetrics(to: &json)
                    }
                }
                json.name("apiKeys")
                json.array(keys) { json, key in
                    json.object { json in
                        json.member("keyId", key.id)
                        json.member("keyAlias", key.alias)
                        key.totals.writeMetrics(to: &json)
                        json.member("lastUsed", key.lastUsed?.start)
                    }
                }
                if let lastActive {
                    json.member("lastActive", lastActive.start)
                } else {
                    json.nullMember("lastActive")
                }
            }
        }
    }
}

/// What a filter can be set to.
struct UsageChoicesView: JSONRepresentable {
    let choices: UsageChoices

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.name("models")
            json.array(choices.models) { json, model in
                json.object { json in
                    json.member("id", model.id)
                    json.member("name", model.name)
                    json.member("provider", model.provider)
                }
            }
            json.name("users")
            json.array(choices.users) { json, user in
                json.object { json in
                    json.member("userId", user.id)
                    json.member("username", user.username)
                    json.member("email", user.email)
                }
            }
            json.member("providers", choices.providers)
            json.member("isPartial", choices.isPartial)
        }
    }
}

extension DateRange {
    /// As analytics call them.
    func writeDates(to json: inout JSONWriter) {
        json.member("startDate", start.description)
        json.member("endDate", end.description)
    }

    /// As the older endpoints call them.
    func writePeriod(to json: inout JSONWriter) {
        json.member("period") { json in
            json.member("start", start.description)
            json.member("end", end.description)
        }
    }
}

extension UsageFreshness {
    func writeMembers(to json: inout JSONWriter) {
        json.member("takenAt", takenAt)
        json.member("missingDays", missingDays.map(\.description))
        json.member("incompleteDays", incompleteDays.map(\.description))
    }
}

extension UsageTotals {
    /// In percent of the requests that LiteLLM told the end of.
    var successRate: Double { Self.percent(successfulRequests, of: successfulRequests + failedRequests) }
    /// What is left of it; 0 without any request.
    var errorRate: Double { Self.percent(failedRequests, of: successfulRequests + failedRequests) }

    private static func percent(_ part: Int, of whole: Int) -> Double {
        whole > 0 ? (Double(part) / Double(whole) * 10_000).rounded() / 100 : 0
    }

    func writeTokens(to json: inout JSONWriter) {
        json.member("total", totalTokens)
        json.member("prompt", promptTokens)
        json.member("completion", completionTokens)
    }

    /// As analytics spell the sums of a day, a model or a user.
    func writeSummary(to json: inout JSONWriter) {
        json.member("requests", requests)
        json.member("tokens", totalTokens)
        json.member("prompt_tokens", promptTokens)
        json.member("completion_tokens", completionTokens)
        json.member("cost", spend)
    }

    /// As breakdowns spell them.
    func writeMetrics(to json: inout JSONWriter) {
        json.member("requests", requests)
        json.member("tokens") { json in writeTokens(to: &json) }
        json.member("cost", spend)
        json.member("successRate", successRate)
    }
}
