package import Foundation

/// A calendar day in UTC, as text `YYYY-MM-DD`.
package struct UTCDay: Sendable, Hashable, Comparable, Codable, CustomStringConvertible {
    private static let length: TimeInterval = 86_400

    // Days since 1970-01-01.
    private let number: Int

    private init(number: Int) {
        self.number = number
    }

    /// The day that `date` lies in.
    package init(containing date: Date) {
        number = Int((date.timeIntervalSince1970 / Self.length).rounded(.down))
    }

    /// Reads `2026-01-31`; nil for anything else and for days that do not exist.
    package init?(_ text: String) {
        guard text.utf8.count == 10, let date = ISO8601.date(from: text + "T00:00:00Z") else { return nil }
        self.init(containing: date)
    }

    /// Midnight at its beginning.
    package var start: Date { Date(timeIntervalSince1970: Double(number) * Self.length) }
    /// Midnight at its end.
    package var end: Date { next.start }
    /// The day after.
    package var next: UTCDay { UTCDay(number: number + 1) }
    /// The day before.
    package var previous: UTCDay { UTCDay(number: number - 1) }

    /// The day so many days later, or earlier.
    package func advanced(by days: Int) -> UTCDay { UTCDay(number: number + days) }

    /// Every day from the first to the last; none when they are in the wrong order.
    package static func range(from first: UTCDay, to last: UTCDay) -> [UTCDay] {
        first <= last ? (first.number...last.number).map(UTCDay.init(number:)) : []
    }

    /// The first day of its month.
    package var firstOfMonth: UTCDay {
        let day = Int(description.suffix(2)) ?? 1
        return UTCDay(number: number - (day - 1))
    }

    /// The Monday of its week.
    package var startOfWeek: UTCDay {
        // 1970-01-01 was a Thursday.
        let weekday = (number + 3) % 7
        return UTCDay(number: number - (weekday < 0 ? weekday + 7 : weekday))
    }

    /// How many days later `other` is.
    package func distance(to other: UTCDay) -> Int { other.number - number }

    /// `2026-01-31`.
    package var description: String { String(ISO8601.string(from: start).prefix(10)) }

    /// Earlier days are smaller.
    package static func < (lhs: UTCDay, rhs: UTCDay) -> Bool { lhs.number < rhs.number }

    package init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        guard let day = UTCDay(try container.decode(String.self)) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "not a day such as 2026-01-31")
        }
        self = day
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}
