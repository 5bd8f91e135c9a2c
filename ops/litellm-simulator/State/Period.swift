/// A length of time as LiteLLM writes it: `30s`, `15m`, `24h`, `7d`, `2w`, `1mo`, or a word such as `monthly`.
struct Period: Equatable {
    enum Unit: String { case second = "s", minute = "m", hour = "h", day = "d", week = "w", month = "mo" }

    let count: Int
    let unit: Unit

    private static let words = ["hourly": "1h", "daily": "24h", "weekly": "7d", "monthly": "30d"]

    /// nil when `text` is no such length.
    init?(_ text: String) {
        let text = Self.words[text.lowercased()] ?? text
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        guard let count = Int(digits), let unit = Unit(rawValue: String(text.dropFirst(digits.count))) else {
            return nil
        }
        self.count = count
        self.unit = unit
    }

    /// True for what LiteLLM takes as the length of a budget: something, and of months only one.
    var canBeBudget: Bool { count > 0 && (unit != .month || count == 1) }

    /// How long it takes, in seconds; a month counts as 30 days.
    var seconds: Int {
        switch unit {
        case .second: count
        case .minute: count * 60
        case .hour: count * 3600
        case .day: count * 86_400
        case .week: count * 604_800
        case .month: count * 2_592_000
        }
    }

    /// When a budget of this length is reset next: at the full hour or minute, at midnight, on Monday for a week,
    /// on the first of a month for `30d` and months.
    func nextReset(after now: Moment) -> Moment {
        switch unit {
        case .month: now.day.firstOfMonth(after: count).start
        case .day where count == 30: now.day.firstOfMonth(after: 1).start
        case .day: afterDays(count, now)
        case .week: afterDays(count * 7, now)
        case .second, .minute, .hour:
            Moment(milliseconds: ((now.seconds / max(1, seconds)) + 1) * max(1, seconds) * 1000)
        }
    }

    private func afterDays(_ days: Int, _ now: Moment) -> Moment {
        if days == 7 { return CivilDay(number: now.day.number + 7 - now.day.weekday).start }
        return CivilDay(number: now.day.number + days).start
    }
}
