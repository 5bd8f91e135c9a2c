import Foundation

/// Finds the instants at which cron fields match in a time zone. Times are whole seconds: "naive" ones are what the
/// clock on the wall shows, written as if it stood in UTC.
struct CronCalendar: Sendable {
    let fields: CronFields
    let zone: TimeZone

    private static let day: Int64 = 86_400
    /// Leap days come at least every eight years.
    private static let horizon: Int64 = 8 * 366 * day

    func next(after instant: Int64) -> Int64? {
        fields.isInterval ? nextOfInterval(after: instant) : nextOfTimes(after: instant)
    }

    /// Times of day: each local time once, also when it comes twice or is skipped.
    private func nextOfTimes(after instant: Int64) -> Int64? {
        var naive = instant + offset(instant)
        while let candidate = nextNaive(after: naive, notAfter: instant + Self.horizon) {
            let found = firstInstant(showing: candidate)
            if found > instant { return found }
            naive = candidate
        }
        return nil
    }

    /// Real time: every instant whose local time matches, also when the clock shows it again.
    private func nextOfInterval(after instant: Int64) -> Int64? {
        var start = instant
        while true {
            let offset = offset(start)
            guard let naive = nextNaive(after: start + offset, notAfter: instant + Self.horizon) else { return nil }
            let found = naive - offset
            guard let change = firstChange(after: start, through: found) else { return found }
            // The clocks change before: from there on the other offset holds.
            start = change - 1
            let changed = self.offset(change)
            guard let after = nextNaive(after: start + changed, notAfter: instant + Self.horizon) else { return nil }
            if firstChange(after: change, through: after - changed) == nil { return after - changed }
            start = change
        }
    }

    /// The first instant at which the clock shows a local time; the end of the gap when it never does.
    private func firstInstant(showing naive: Int64) -> Int64 {
        let before = offset(naive - Self.day)
        let after = offset(naive + Self.day)
        let candidates = [naive - before, naive - after].filter { $0 + offset($0) == naive }
        if let first = candidates.min() { return first }
        let early = min(naive - before, naive - after)
        return firstChange(after: early, through: max(naive - before, naive - after)) ?? early
    }

    /// The first instant in (start, end] with another offset than the one just before it.
    private func firstChange(after start: Int64, through end: Int64) -> Int64? {
        var low = start
        let initial = offset(start)
        while low < end {
            let high = min(end, low + Self.day / 2)
            if offset(high) != initial { return change(between: low, and: high, from: initial) }
            low = high
        }
        return nil
    }

    private func change(between start: Int64, and end: Int64, from initial: Int64) -> Int64 {
        var low = start
        var high = end
        while high - low > 1 {
            let middle = low + (high - low) / 2
            if offset(middle) == initial { low = middle } else { high = middle }
        }
        return high
    }

    private func offset(_ instant: Int64) -> Int64 {
        Int64(zone.secondsFromGMT(for: Date(timeIntervalSince1970: Double(instant))))
    }

    /// The next local time that matches.
    private func nextNaive(after naive: Int64, notAfter limit: Int64) -> Int64? {
        let start = naive + 1
        var day = start >= 0 ? start / Self.day : -((-start + Self.day - 1) / Self.day)
        var second = Int(start - day * Self.day)
        while day * Self.day <= limit + Self.day {
            let (month, dayOfMonth) = Self.civil(day)
            let weekday = Int(((day + 4) % 7 + 7) % 7)
            if fields.matches(month: month, day: dayOfMonth, weekday: weekday),
                let found = firstTime(from: second)
            {
                return day * Self.day + Int64(found)
            }
            day += 1
            second = 0
        }
        return nil
    }

    /// The first matching second of a day at or after `second`.
    private func firstTime(from second: Int) -> Int? {
        for hour in (second / 3600)..<24 where fields.has(fields.hours, hour) {
            let from = max(second - hour * 3600, 0)
            for minute in (from / 60)..<60 where fields.has(fields.minutes, minute) {
                for value in max(from - minute * 60, 0)..<60 where fields.has(fields.seconds, value) {
                    return hour * 3600 + minute * 60 + value
                }
            }
        }
        return nil
    }

    /// Month and day of month of a day counted from 1970-01-01, in the Gregorian calendar.
    static func civil(_ day: Int64) -> (month: Int, day: Int) {
        // Years begin in March, so that the leap day is the last one; eras have 400 years.
        let shifted = day + 719_468
        let era = (shifted >= 0 ? shifted : shifted - 146_096) / 146_097
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let dayOfMonth = dayOfYear - (153 * monthFromMarch + 2) / 5 + 1
        return (Int(monthFromMarch < 10 ? monthFromMarch + 3 : monthFromMarch - 9), Int(dayOfMonth))
    }
}
