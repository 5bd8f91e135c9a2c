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

    let start: UTCDay
    let end: UTCDay

    /// Reads `startDate` and `endDate`. Throws `APIError` 400 with the codes `INVALID_DATE_*`, which clients know.
    ///
    /// - Parameter longest: days that there may be, as ``AnalyticsLimits`` has it.
    init(_ query: inout QueryFields, today: UTCDay, longest: Int = AnalyticsLimits().maxDays) throws(APIError) {
        let start = try Self.day("startDate", &query)
        let end = try Self.day("endDate", &query)
        switch (start, end) {
        case (let start?, let end?): (self.start, self.end) = (start, end)
        case (let start?, nil): (self.start, self.end) = (start, min(start.advanced(by: Self.around), today))
        case (nil, let end?): (self.start, self.end) = (max(end.advanced(by: -Self.around), Self.earliest), end)
        case (nil, nil): (self.start, self.end) = (today.advanced(by: 1 - Self.usual), today)
        }
        guard self.start <= self.end else { throw Self.refusal("startDate", "must not be after endDate") }
        guard self.start >= Self.earliest else {
            throw Self.refusal("startDate", "must not be before \(Self.earliest)")
        }
        // Somewhere it is tomorrow already.
        guard self.end <= today.next else { throw Self.refusal("endDate", "must not be in the future") }
        guard self.start.advanced(by: longest) > self.end else {
            throw Self.refusal("endDate", "must be at most \(longest) days from startDate")
        }
    }

    /// A day, also as the date of a point in time.
    private static func day(_ name: String, _ query: inout QueryFields) throws(APIError) -> UTCDay? {
        guard let text = query.string(name, limit: 40) else { return nil }
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
