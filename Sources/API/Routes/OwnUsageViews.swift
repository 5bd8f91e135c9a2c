import Foundation
import Shared

/// One caller's usage as their start page shows it.
struct UsageMetricsView: JSONRepresentable {
    let range: DateRange
    let summary: UsageSummary
    let topModels: Int

    func write(to json: inout JSONWriter) {
        let models = summary.models
        json.object { json in
            range.writePeriod(to: &json)
            json.member("totalRequests", summary.totals.requests)
            json.member("totalTokens", summary.totals.totalTokens)
            json.member("totalCost", summary.totals.spend)
            json.member("averageResponseTime", 0)
            json.member("successRate", summary.totals.successRate)
            json.member("activeModels", models.count)
            json.member("topModels", models.prefix(topModels).map { NamedTotals(name: $0.id, totals: $0.totals) })
            json.member("dailyUsage", summary.takenDays.map { NamedTotals("date", $0.day.description, $0.totals) })
            summary.freshness.writeMembers(to: &json)
        }
    }
}

/// Usage over time.
struct UsageSeriesView: JSONRepresentable {
    let range: DateRange
    let interval: UsageInterval
    let summary: UsageSummary

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("interval", interval.rawValue)
            json.name("data")
            json.array(summary.takenDays.parts(interval)) { json, part in
                json.object { json in
                    json.member("period", interval.name(of: part.day))
                    json.member("startTime", max(part.day, range.start).start)
                    json.member("endTime", min(interval.next(after: part.day), range.end.next).start)
                    json.member("totalRequests", part.totals.requests)
                    json.member("totalTokens", part.totals.totalTokens)
                    json.member("totalPromptTokens", part.totals.promptTokens)
                    json.member("totalCompletionTokens", part.totals.completionTokens)
                    json.member("totalCost", part.totals.spend)
                    json.member("averageLatency", 0)
                    json.member("errorRate", part.totals.errorRate)
                    json.member("successRate", part.totals.successRate)
                }
            }
            summary.freshness.writeMembers(to: &json)
        }
    }
}

/// Today, this month and the last days at a glance.
struct UsageDashboardView: JSONRepresentable {
    let today: UTCDay
    /// The first of the last days.
    let recent: UTCDay
    /// From `recent` or from the first of the month on, whichever is earlier.
    let summary: UsageSummary
    let topModels: Int

    func write(to json: inout JSONWriter) {
        json.object { json in
            write("today", from: today, to: &json)
            write("currentMonth", from: today.firstOfMonth, to: &json)
            write("recentDays", from: recent, to: &json)
            let models = summary.models
            json.member("topModels", models.prefix(topModels).map { NamedTotals(name: $0.id, totals: $0.totals) })
            json.member("dailyUsage", summary.takenDays.map { NamedTotals("date", $0.day.description, $0.totals) })
            summary.freshness.writeMembers(to: &json)
        }
    }

    private func write(_ name: String, from start: UTCDay, to json: inout JSONWriter) {
        let totals = summary.byDay.filter { $0.day >= start }.reduce(UsageTotals.zero) { $0 + $1.totals }
        json.member(name) { json in
            json.member("startDate", start.description)
            json.member("endDate", today.description)
            totals.writeMembers(to: &json)
        }
    }
}

/// What a user used most.
struct UsageTopView: JSONRepresentable {
    let range: DateRange
    /// One user or none.
    let found: UsagePage<UserUsage>
    let limit: Int

    func write(to json: inout JSONWriter) {
        let user = found.items.first
        json.object { json in
            range.writePeriod(to: &json)
            json.member("topModels", (user?.models ?? []).prefix(limit).map { UsageShareView(share: $0) })
            json.name("topApiKeys")
            json.array((user?.keys ?? []).prefix(limit)) { json, key in
                json.object { json in
                    json.member("keyId", key.id)
                    json.member("keyAlias", key.alias)
                    key.totals.writeSummary(to: &json)
                    json.member("lastUsed", key.lastUsed?.start)
                }
            }
            found.freshness.writeMembers(to: &json)
        }
    }
}

/// Sums of a model or of a day, as short as charts want them.
struct NamedTotals: JSONRepresentable {
    let member: String
    let name: String
    let totals: UsageTotals

    init(_ member: String, _ name: String, _ totals: UsageTotals) {
        self.member = member
        self.name = name
        self.totals = totals
    }

    init(name: String, totals: UsageTotals) {
        self.init("name", name, totals)
    }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member(member, name)
            json.member("requests", totals.requests)
            json.member("tokens", totals.totalTokens)
            json.member("cost", totals.spend)
        }
    }
}

extension UsageSummary {
    /// Models whoever serves them, the most expensive first.
    var models: [(id: String, totals: UsageTotals)] {
        Dictionary(byModel.map { ($0.modelId, $0.totals) }, uniquingKeysWith: +).map { (id: $0.key, totals: $0.value) }
            .sorted {
                ($1.totals.spend, $1.totals.totalTokens, $0.id) < ($0.totals.spend, $0.totals.totalTokens, $1.id)
            }
    }

    /// Days that were taken, those without use included: 0 means that LiteLLM said so.
    var takenDays: [ByDay] {
        let used = Dictionary(byDay.map { ($0.day, $0.totals) }, uniquingKeysWith: +)
        return freshness.takenDays.map { ByDay(day: $0, totals: used[$0] ?? .zero) }
    }
}

extension [UsageSummary.ByDay] {
    /// Days in order, added up by interval, each named by the interval's first day.
    func parts(_ interval: UsageInterval) -> [UsageSummary.ByDay] {
        reduce(into: []) { parts, day in
            let start = interval.start(of: day.day)
            if parts.last?.day == start {
                parts[parts.count - 1].totals = parts[parts.count - 1].totals + day.totals
            } else {
                parts.append(UsageSummary.ByDay(day: start, totals: day.totals))
            }
        }
    }
}
