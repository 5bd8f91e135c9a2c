import Foundation
import Shared

/// What a look at usage is asked about: days, and lists of what to leave in. An empty list counts as none.
struct UsageInput: Sendable {
    let range: DateRange
    let userIds: [UUID]?
    let modelIds: [String]?
    let providers: [String]?
    /// Names of keys in LiteLLM.
    let aliases: [String]?

    init(_ body: JSONBody, limits: AnalyticsLimits) throws(APIError) {
        var fields = body.fields
        let count = 0...AnalyticsLimits.maxChoices
        userIds = fields.has("userIds") ? Self.some(fields.uuids("userIds", count: count)) : nil
        modelIds = Self.some(fields.strings("modelIds", count: count, length: 1...255))
        providers = Self.some(fields.strings("providerIds", count: count, length: 1...255))
        aliases = Self.some(fields.strings("apiKeyIds", count: count, length: 1...255))
        range = try DateRange(&fields, today: UTCDay(containing: Date()), longest: limits.maxDays)
    }

    private static func some<Value>(_ list: [Value]?) -> [Value]? {
        list?.isEmpty == true ? nil : list
    }

    /// Everything but the keys, which have to be looked up.
    var filter: UsageFilter {
        var filter = UsageFilter(from: range.start, to: range.end)
        filter.userIds = userIds
        filter.modelIds = modelIds
        filter.providers = providers
        return filter
    }
}

/// How long the parts are that a range is shown in.
enum UsageInterval: String, Sendable, CaseIterable {
    case day
    case week
    case month

    /// The first day of the part that `day` lies in; weeks begin on Monday.
    func start(of day: UTCDay) -> UTCDay {
        switch self {
        case .day: day
        case .week: day.startOfWeek
        case .month: day.firstOfMonth
        }
    }

    /// The first day of the part after the one that begins on `start`.
    func next(after start: UTCDay) -> UTCDay {
        switch self {
        case .day: start.next
        case .week: start.advanced(by: 7)
        case .month: start.advanced(by: 31).firstOfMonth
        }
    }

    /// The part's name: `2026-01-31`, the week's Monday, or `2026-01`.
    func name(of start: UTCDay) -> String {
        self == .month ? String(start.description.prefix(7)) : start.description
    }
}

extension QueryFields {
    /// Usage is kept by day: nothing shorter can be told.
    mutating func interval(_ name: String) -> UsageInterval {
        guard let text = string(name) else { return .day }
        if let interval = UsageInterval(rawValue: text) { return interval }
        refuse(
            name, .choice,
            text == "hour" ? "must be day, week or month: usage is kept by day" : "must be day, week or month")
        return .day
    }

    /// The order of a breakdown whose names are called `name`.
    mutating func order(name: String, besides: [UsageOrder.Key]) -> UsageOrder {
        let keys: [UsageOrder.Key] = [.totalTokens, .promptTokens, .completionTokens, .requests, .cost] + besides
        let key = choice("sortBy", of: [name] + keys.map(\.rawValue))
        let direction = choice("sortOrder", of: ["asc", "desc"])
        return UsageOrder(
            key == name ? .name : key.flatMap(UsageOrder.Key.init(rawValue:)) ?? .totalTokens,
            isDescending: direction != "asc")
    }
}
