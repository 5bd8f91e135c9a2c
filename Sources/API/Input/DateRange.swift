import Foundation
import Shared

/// The days a request asks for, both inclusive, by LiteMaaS's rules.
struct DateRange: Sendable, Equatable {
    /// 2024-01-01: nothing is kept from before.
    static let earliest = UTCDay(containing: Date(timeIntervalSince1970: 1_704_067_200))

    /// How many days there are when no bound is given.
    private static let usual = 30
    /// How far the other bound lies from one that is given alone.
    private static let around = 7
    /// How many ranges are suggested instead of one that is too long.
    private static let suggestions = 4

    let start: UTCDay
    let end: UTCDay

    /// Reads `startDate` and `endDate`. Throws `APIError` 400 with the codes `INVALID_DATE_*`, which clients know.
    ///
    /// - Parameter longest: days that there may be, as ``AnalyticsLimits`` has it.
    init(_ query: inout QueryFields, today: UTCDay, longest: Int) throws(APIError) {
        let start = try Self.day("startDate", query.string("startDate", limit: 40))
        let end = try Self.day("endDate", query.string("endDate", limit: 40))
        switch (start, end) {
        case (let start?, let end?): (self.start, self.end) = (start, end)
        case (let start?, nil): (self.start, self.end) = (start, min(start.advanced(by: Self.around), today))
        case (nil, let end?): (self.start, self.end) = (max(end.advanced(by: -Self.around), Self.earliest), end)
        case (nil, nil): (self.start, self.end) = (today.advanced(by: 1 - Self.usual), today)
        }
        try check(today: today, longest: longest)
    }

    /// Reads both bounds, which have to be there, of a body. Throws what else is wrong with the body too.
    init(_ fields: inout Fields, today: UTCDay, longest: Int) throws(APIError) {
        let start = try Self.day("startDate", fields.requiredString("startDate", length: 1...40))
        let end = try Self.day("endDate", fields.requiredString("endDate", length: 1...40))
        try fields.check()
        // The check has found both.
        self.start = start ?? today
        self.end = end ?? today
        try check(today: today, longest: longest)
    }

    private func check(today: UTCDay, longest: Int) throws(APIError) {
        guard start <= end else { throw Self.refusal("startDate", "must not be after endDate") }
        guard start >= Self.earliest else { throw Self.refusal("startDate", "must not be before \(Self.earliest)") }
        // Somewhere it is tomorrow already.
        guard end <= today.next else { throw Self.refusal("endDate", "must not be in the future") }
        let days = start.distance(to: end) + 1
        guard days <= longest else {
            var error = Self.refusal("endDate", "must be at most \(longest) days from startDate")
            error.details.suggestion = "Ask for at most \(longest) days at a time, such as those of suggestedRanges."
            error.details.tooLongRange = TooLongRange(
                days: days, longest: longest, suggestions: parts(of: longest).suffix(Self.suggestions))
            throw error
        }
    }

    /// The range in pieces of so many days, of which only the last may be shorter.
    private func parts(of length: Int) -> [DateRange] {
        stride(from: 0, through: start.distance(to: end), by: length).map { offset in
            let first = start.advanced(by: offset)
            return DateRange(start: first, end: min(first.advanced(by: length - 1), end))
        }
    }

    private init(start: UTCDay, end: UTCDay) {
        self.start = start
        self.end = end
    }

    /// A day, also as the date of a point in time; nil for no text.
    private static func day(_ name: String, _ text: String?) throws(APIError) -> UTCDay? {
        guard let text, !text.isEmpty else { return nil }
        if let day = UTCDay(text) ?? ISO8601.date(from: text).map(UTCDay.init(containing:)) { return day }
        var error = APIError.validation(name, .format, "must be a day such as 2026-01-31")
        error.code = .invalidDateFormat
        throw error
    }

    private static func refusal(_ field: String, _ message: String) -> APIError {
        var error = APIError.validation(field, .range, message)
        error.code = .invalidDateRange
        return error
    }
}

/// What a client that asked for too many days at once can do instead.
struct TooLongRange: Sendable, Equatable {
    let days: Int
    let longest: Int
    /// The latest ones, in order.
    let suggestions: [DateRange]
}
