import Foundation

/// A point in time in whole milliseconds of UTC, as LiteLLM's database keeps it.
struct Moment: Sendable, Comparable, Hashable {
    /// Milliseconds since 1970.
    let milliseconds: Int

    init(milliseconds: Int) { self.milliseconds = milliseconds }

    /// The wall clock, moved by `offset` seconds.
    init(nowPlus offset: Int) {
        milliseconds = Int(Date().timeIntervalSince1970 * 1000) + offset * 1000
    }

    static func < (left: Moment, right: Moment) -> Bool { left.milliseconds < right.milliseconds }

    func adding(seconds: Int) -> Moment { Moment(milliseconds: milliseconds + seconds * 1000) }

    /// Whole seconds since 1970.
    var seconds: Int { milliseconds / 1000 }

    /// The day this moment is in.
    var day: CivilDay { CivilDay(number: milliseconds.floorDivided(by: 86_400_000)) }

    /// `2026-11-23T00:16:26.264000Z`: the spelling of most answers.
    var zulu: JSON { .string("\(spelled("T", digits: 6))Z") }

    /// `2026-11-23T00:16:26.264000+00:00`: the spelling of /key/info and /key/update.
    var offset: JSON { .string("\(spelled("T", digits: 6))+00:00") }

    /// `2026-11-23T00:16:26.264000`, as one shape of a key's row has it.
    var naive: JSON { .string(spelled("T", digits: 6)) }

    /// `2026-11-23T00:16:26.264+00:00`: the spelling of the spend logs.
    var logged: JSON { .string("\(spelled("T", digits: 3))+00:00") }

    /// `2026-11-23 00:16:26.264000+00:00`, as error messages have it.
    var python: String { "\(spelled(" ", digits: 6))+00:00" }

    /// `2026-11-23 00:16:26 UTC`, as the rate limiter's message has it.
    var readable: String { "\(spelled(" ", digits: 0)) UTC" }

    private func spelled(_ separator: String, digits: Int) -> String {
        let inDay = milliseconds - milliseconds.floorDivided(by: 86_400_000) * 86_400_000
        let seconds = inDay / 1000
        let time = [seconds / 3600, seconds / 60 % 60, seconds % 60].map { $0.padded(2) }.joined(separator: ":")
        // Python leaves a fraction of zero out.
        let isWhole = digits == 0 || (digits > 3 && inDay % 1000 == 0)
        let fraction = isWhole ? "" : "." + (inDay % 1000).padded(3) + String(repeating: "0", count: digits - 3)
        return "\(day.text)\(separator)\(time)\(fraction)"
    }
}

/// A day of the Gregorian calendar in UTC.
struct CivilDay: Sendable, Comparable, Hashable {
    /// Days since 1970-01-01.
    let number: Int

    init(number: Int) { self.number = number }

    /// A day written `YYYY-MM-DD`; nil for anything else.
    init?(_ text: some StringProtocol) {
        let parts = text.split(separator: "-", omittingEmptySubsequences: false)
        guard parts.count == 3, parts[0].count == 4, parts[1].count == 2, parts[2].count == 2,
            let year = Int(parts[0]), let month = Int(parts[1]), let day = Int(parts[2]),
            (1...12).contains(month), (1...31).contains(day)
        else { return nil }
        self.init(year: year, month: month, day: day)
        guard self.text == String(text) else { return nil }
    }

    /// The day number by Howard Hinnant's `days_from_civil`: years start in March, eras have 400 years.
    init(year: Int, month: Int, day: Int) {
        let shifted = month <= 2 ? year - 1 : year
        let era = shifted.floorDivided(by: 400)
        let yearOfEra = shifted - era * 400
        let dayOfYear = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1
        number = era * 146_097 + yearOfEra * 365 + yearOfEra / 4 - yearOfEra / 100 + dayOfYear - 719_468
    }

    static func < (left: CivilDay, right: CivilDay) -> Bool { left.number < right.number }

    var start: Moment { Moment(milliseconds: number * 86_400_000) }

    /// 0 on a Monday.
    var weekday: Int { (number + 3) - (number + 3).floorDivided(by: 7) * 7 }

    var components: (year: Int, month: Int, day: Int) {
        let shifted = number + 719_468
        let era = shifted.floorDivided(by: 146_097)
        let dayOfEra = shifted - era * 146_097
        let yearOfEra = (dayOfEra - dayOfEra / 1460 + dayOfEra / 36_524 - dayOfEra / 146_096) / 365
        let dayOfYear = dayOfEra - (365 * yearOfEra + yearOfEra / 4 - yearOfEra / 100)
        let monthFromMarch = (5 * dayOfYear + 2) / 153
        let month = monthFromMarch + (monthFromMarch < 10 ? 3 : -9)
        let year = yearOfEra + era * 400 + (month <= 2 ? 1 : 0)
        return (year, month, dayOfYear - (153 * monthFromMarch + 2) / 5 + 1)
    }

    /// The first day of the month that is `months` after this day's.
    func firstOfMonth(after months: Int) -> CivilDay {
        let (year, month, _) = components
        let index = year * 12 + month - 1 + months
        return CivilDay(year: index.floorDivided(by: 12), month: index - index.floorDivided(by: 12) * 12 + 1, day: 1)
    }

    /// `YYYY-MM-DD`.
    var text: String {
        let (year, month, day) = components
        return "\(year.padded(4))-\(month.padded(2))-\(day.padded(2))"
    }
}

extension Int {
    fileprivate func padded(_ width: Int) -> String {
        let digits = String(self)
        return String(repeating: "0", count: Swift.max(0, width - digits.count)) + digits
    }

    /// Division that rounds towards minus infinity.
    func floorDivided(by divisor: Int) -> Int {
        let quotient = self / divisor
        return self % divisor < 0 ? quotient - 1 : quotient
    }
}
