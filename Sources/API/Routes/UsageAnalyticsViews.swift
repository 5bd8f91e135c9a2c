import Foundation
import Shared

/// Everything that one look at usage shows, in LiteMaaS's shape.
struct UsageAnalyticsView: JSONRepresentable {
    let range: DateRange
    let analytics: UsageAnalytics
    let limits: AnalyticsLimits
    /// One caller's own usage: the only user there is.
    var isOwn = false

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("period") { json in range.writeDates(to: &json) }
            json.member("totalUsers", isOwn ? 1 : analytics.registeredUsers)
            json.member("activeUsers", analytics.activeUsers)
            json.member("totalRequests", analytics.totals.requests)
            json.member("totalTokens") { json in analytics.totals.writeTokens(to: &json) }
            json.member("totalCost") { json in writeCost(to: &json) }
            json.member("successRate", analytics.totals.successRate)
            json.member("averageLatency", 0)
            json.member("topMetrics") { json in writeTop(to: &json) }
            json.member("trends") { json in writeTrends(to: &json) }
            json.member("comparison") { json in
                let previous = UsageFilter(from: range.start, to: range.end).previous
                json.member("startDate", previous.from.description)
                json.member("endDate", previous.to.description)
                analytics.previousFreshness.writeMembers(to: &json)
            }
            writeDays(to: &json)
            json.member("topModels", analytics.models.prefix(limits.topModels).map { UsageShareView(share: $0) })
            json.member(
                "topUsers", analytics.users.prefix(AnalyticsLimits.listedUsers).map { UsageShareView(share: $0) })
            if !isOwn {
                json.member("unattributed") { json in analytics.unattributed.writeSummary(to: &json) }
            }
            analytics.freshness.writeMembers(to: &json)
        }
    }

    private func writeCost(to json: inout JSONWriter) {
        json.member("total", analytics.totals.spend)
        json.member("byProvider") { json in
            for provider in analytics.providers { json.member(provider.part, provider.totals.spend) }
        }
        json.member("byModel") { json in
            for (id, cost) in costByModel { json.member(id, cost) }
        }
        json.member("byUser") { json in
            for user in analytics.users { json.member(user.part.id.text, user.totals.spend) }
            // So that the parts add up to the total.
            if analytics.otherUsers != .zero { json.member("other", analytics.otherUsers.spend) }
            if analytics.unattributed != .zero { json.member("unattributed", analytics.unattributed.spend) }
        }
    }

    /// A model that several providers serve is one member; the most expensive first.
    private var costByModel: [(id: String, cost: Decimal)] {
        var costs: [String: Decimal] = [:]
        for model in analytics.models { costs[model.part.id, default: 0] += model.totals.spend }
        return costs.sorted { ($1.value, $0.key) < ($0.value, $1.key) }.map { ($0.key, $0.value) }
    }

    private func writeTop(to json: inout JSONWriter) {
        write("topUser", analytics.users.first.map { UsageShareView(share: $0) }, to: &json)
        write("topModel", analytics.models.first.map { UsageShareView(share: $0) }, to: &json)
        write("topApiKey", analytics.topKey.map { UsageShareView(share: $0) }, to: &json)
    }

    private func write(_ name: String, _ value: (some JSONRepresentable)?, to json: inout JSONWriter) {
        if let value { json.member(name, value) } else { json.nullMember(name) }
    }

    private func writeTrends(to json: inout JSONWriter) {
        let (now, before) = (analytics.totals, analytics.previousTotals)
        let trends: [(String, UsageTrend)] = [
            ("requestsTrend", UsageTrend("requests", now.requests, before.requests)),
            ("costTrend", UsageTrend("cost", now.spend, before.spend)),
            ("usersTrend", UsageTrend("users", analytics.activeUsers, analytics.previousActiveUsers)),
            ("totalTokensTrend", UsageTrend("totalTokens", now.totalTokens, before.totalTokens)),
            ("promptTokensTrend", UsageTrend("promptTokens", now.promptTokens, before.promptTokens)),
            ("completionTokensTrend", UsageTrend("completionTokens", now.completionTokens, before.completionTokens)),
        ]
        for (name, trend) in trends {
            json.member(name) { json in trend.writeMembers(to: &json, digits: limits.trendDigits) }
        }
    }

    private func writeDays(to json: inout JSONWriter) {
        json.name("dailyUsage")
        json.array(analytics.days) { json, day in
            json.object { json in
                json.member("date", day.day.description)
                day.totals.writeSummary(to: &json)
            }
        }
        json.name("dailyModelUsage")
        json.array(analytics.days) { json, day in
            json.object { json in
                json.member("date", day.day.description)
                json.member("models", day.models.map { UsageShareView(share: $0) })
            }
        }
    }
}

/// How a figure moved from one range to the next of the same length.
struct UsageTrend: Sendable {
    let metric: String
    let current: Decimal
    let previous: Decimal

    init(_ metric: String, _ current: Decimal, _ previous: Decimal) {
        self.metric = metric
        self.current = current
        self.previous = previous
    }

    init(_ metric: String, _ current: Int, _ previous: Int) {
        self.init(metric, Decimal(current), Decimal(previous))
    }

    /// In percent of the earlier figure, rounded; all of it is new, 100, where that was nothing.
    func change(digits: Int) -> Decimal {
        guard previous != 0 else { return current == 0 ? 0 : 100 }
        let exact = (current - previous) / previous * 100
        let rounding = NSDecimalNumberHandler(
            roundingMode: .plain, scale: Int16(digits), raiseOnExactness: false, raiseOnOverflow: false,
            raiseOnUnderflow: false, raiseOnDivideByZero: false)
        return NSDecimalNumber(decimal: exact).rounding(accordingToBehavior: rounding).decimalValue
    }

    /// `stable` is what does not show at this precision.
    func direction(digits: Int) -> String {
        let change = change(digits: digits)
        return change > 0 ? "up" : change < 0 ? "down" : "stable"
    }

    func writeMembers(to json: inout JSONWriter, digits: Int) {
        json.member("metric", metric)
        json.member("current", current)
        json.member("previous", previous)
        json.member("percentageChange", change(digits: digits))
        json.member("direction", direction(digits: digits))
    }
}

/// One part of usage in a list.
struct UsageShareView<Part: UsagePart & Sendable & Equatable>: JSONRepresentable {
    let share: UsageShare<Part>

    func write(to json: inout JSONWriter) {
        json.object { json in
            share.part.writeMembers(to: &json)
            share.totals.writeSummary(to: &json)
        }
    }
}

/// What sums can be of.
protocol UsagePart {
    /// Writes what identifies it.
    func writeMembers(to json: inout JSONWriter)
}

extension UsageModel: UsagePart {
    func writeMembers(to json: inout JSONWriter) {
        json.member("modelId", id)
        json.member("modelName", name)
        json.member("provider", provider)
    }
}

extension UsageUser: UsagePart {
    func writeMembers(to json: inout JSONWriter) {
        json.member("userId", id)
        json.member("username", username)
        json.member("email", email)
        json.member("role", role ?? Role.user.rawValue)
    }
}

extension UsageKey: UsagePart {
    func writeMembers(to json: inout JSONWriter) {
        json.member("keyId", id)
        json.member("keyAlias", alias)
        json.member("userId", user.id)
        json.member("username", user.username)
    }
}
