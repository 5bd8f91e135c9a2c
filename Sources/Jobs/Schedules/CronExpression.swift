package import Foundation

/// When a schedule runs: five fields (minute, hour, day of month, month, day of week), six with seconds in front,
/// a name such as `@daily`, or `@every 90m`. Ranges, steps, lists and English names of months and days.
///
/// Local times that clocks skip run once right after the gap, and those that come twice run once; an hour field that
/// begins with `*` means real time passing, so such expressions simply go on.
package struct CronExpression: Sendable, Equatable, CustomStringConvertible {
    enum Rule: Sendable, Equatable {
        case fields(CronFields)
        /// Whole seconds, counted from 1970-01-01 00:00 UTC.
        case every(Int64)
    }

    let rule: Rule
    /// As given.
    package let description: String

    /// Reads an expression.
    ///
    /// - Throws: ``CronError``, which names the field and the fix.
    package init(_ text: String) throws(CronError) {
        let trimmed = text.split(whereSeparator: \.isWhitespace).joined(separator: " ")
        description = trimmed
        if trimmed.hasPrefix("@") {
            rule = try Self.named(trimmed.lowercased())
        } else {
            rule = .fields(try CronFields(trimmed))
        }
    }

    /// The first tick after `date`, to the second; nil when there is none within eight years.
    package func next(after date: Date, in zone: TimeZone) -> Date? {
        let second = Int64(date.timeIntervalSince1970.rounded(.down))
        let next: Int64? =
            switch rule {
            case .every(let period): (second - Self.remainder(second, period)) + period
            case .fields(let fields): CronCalendar(fields: fields, zone: zone).next(after: second)
            }
        return next.map { Date(timeIntervalSince1970: Double($0)) }
    }

    /// The next `count` ticks after `date`.
    package func next(_ count: Int, after date: Date, in zone: TimeZone) -> [Date] {
        var ticks: [Date] = []
        var last = date
        while ticks.count < count, let tick = next(after: last, in: zone) {
            ticks.append(tick)
            last = tick
        }
        return ticks
    }

    /// The newest ticks in `start...end`, at most `limit`, oldest first; and how many ticks there are at least.
    ///
    /// Looks back from `end`, so that a long stop of everything costs no walk through all that was missed.
    package func latest(_ limit: Int, from start: Date, through end: Date, in zone: TimeZone) -> [Date] {
        var window: TimeInterval = 60
        while true {
            let from = max(start.addingTimeInterval(-1), end.addingTimeInterval(-window))
            var ticks: [Date] = []
            var last = from
            while let tick = next(after: last, in: zone), tick <= end {
                ticks.append(tick)
                if ticks.count > 2 * limit { ticks.removeFirst(limit) }
                last = tick
            }
            ticks.removeAll { $0 < start }
            if ticks.count >= limit || from <= start.addingTimeInterval(-1) { return Array(ticks.suffix(limit)) }
            window *= 4
        }
    }

    private static func named(_ text: String) throws(CronError) -> Rule {
        let names = [
            "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
            "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
        ]
        if let fields = names[text] { return .fields(try CronFields(fields)) }
        let words = text.split(separator: " ")
        guard words.count == 2, words[0] == "@every" else {
            throw CronError(
                field: "expression", problem: "'\(text)' is not known",
                fix: "use @hourly, @daily, @weekly, @monthly, @yearly, '@every 90m' or five or six fields")
        }
        let units: [Character: Int64] = ["s": 1, "m": 60, "h": 3600, "d": 86_400]
        guard let unit = words[1].last.flatMap({ units[$0] }), let count = Int64(words[1].dropLast()),
            count > 0, count <= 366 * 86_400 / unit
        else {
            throw CronError(
                field: "expression", problem: "'\(words[1])' is not a time",
                fix: "write a whole number and s, m, h or d, at most 366 days, such as '@every 90m'")
        }
        return .every(count * unit)
    }

    private static func remainder(_ value: Int64, _ divisor: Int64) -> Int64 {
        let rest = value % divisor
        return rest < 0 ? rest + divisor : rest
    }
}

/// What is wrong with a schedule's expression, and how to mend it.
package struct CronError: Error, Sendable, Equatable, CustomStringConvertible {
    /// `second`, `minute`, `hour`, `day of month`, `month`, `day of week`, or `expression`.
    package let field: String
    package let problem: String
    package let fix: String

    package var description: String { "\(field): \(problem); \(fix)" }
}
