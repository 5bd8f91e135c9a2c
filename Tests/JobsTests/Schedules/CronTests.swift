import Foundation
import Shared
import Testing

@testable import Jobs

@Suite("Cron expressions")
struct CronTests {
    static let prague = TimeZone(identifier: "Europe/Prague")!
    static let newYork = TimeZone(identifier: "America/New_York")!
    static let utc = TimeZone(identifier: "UTC")!

    static func date(_ text: String) -> Date { ISO8601.date(from: text)! }

    static func ticks(_ cron: String, _ count: Int, after start: String, in zone: TimeZone = utc) throws -> [String] {
        try CronExpression(cron).next(count, after: date(start), in: zone)
            .map { String(ISO8601.string(from: $0).prefix(19)) + "Z" }
    }

    @Test(
        "fields, ranges, steps, lists and names",
        arguments: [
            ("*/15 * * * *", ["2026-01-01T00:15:00Z", "2026-01-01T00:30:00Z", "2026-01-01T00:45:00Z"]),
            ("5,35 2-3 * * *", ["2026-01-01T02:05:00Z", "2026-01-01T02:35:00Z", "2026-01-01T03:05:00Z"]),
            ("0 9 * * mon-fri", ["2026-01-01T09:00:00Z", "2026-01-02T09:00:00Z", "2026-01-05T09:00:00Z"]),
            ("0 0 29 feb *", ["2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z", "2036-02-29T00:00:00Z"]),
            ("*/20 10-50/20 4 * * *", ["2026-01-01T04:10:00Z", "2026-01-01T04:10:20Z", "2026-01-01T04:10:40Z"]),
            ("0 0 * * 7", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
            ("0 0 * * sat-sun", ["2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z", "2026-01-10T00:00:00Z"]),
            // Both kinds of day restricted: either matches, as ever in cron.
            ("0 0 13 * fri", ["2026-01-02T00:00:00Z", "2026-01-09T00:00:00Z", "2026-01-13T00:00:00Z"]),
            ("@daily", ["2026-01-02T00:00:00Z", "2026-01-03T00:00:00Z", "2026-01-04T00:00:00Z"]),
            ("@Weekly", ["2026-01-04T00:00:00Z", "2026-01-11T00:00:00Z", "2026-01-18T00:00:00Z"]),
            ("@every 90m", ["2026-01-01T01:30:00Z", "2026-01-01T03:00:00Z", "2026-01-01T04:30:00Z"]),
            ("30/10 * * * *", ["2026-01-01T00:30:00Z", "2026-01-01T00:40:00Z", "2026-01-01T00:50:00Z"]),
        ])
    func reads(cron: String, expected: [String]) throws {
        #expect(try Self.ticks(cron, 3, after: "2026-01-01T00:00:00Z") == expected)
    }

    @Test(
        "what cannot be is refused, with the field and the fix",
        arguments: [
            ("* * * *", "expression"), ("* * * * * * *", "expression"), ("60 * * * *", "minute"),
            ("* 24 * * *", "hour"), ("* * 0 * *", "day of month"), ("* * * 13 *", "month"), ("* * * foo *", "month"),
            ("* * * * 8", "day of week"), ("*/0 * * * *", "minute"), ("5-1 * * * *", "minute"),
            ("1- * * * *", "minute"),
            ("1/2/3 * * * *", "minute"), ("61 * * * * *", "second"), ("0 0 31 2 *", "day of month"), ("", "expression"),
            ("@fortnightly", "expression"), ("@every 0m", "expression"), ("@every 5", "expression"),
            ("-1 * * * *", "minute"), ("1,,2 * * * *", "minute"), ("@every 400d", "expression"),
        ])
    func refuses(cron: String, field: String) throws {
        let error = try #require(throws: CronError.self) { try CronExpression(cron) }
        #expect(error.field == field)
        #expect(!error.fix.isEmpty && !error.problem.isEmpty)
    }

    @Test("a local time that clocks skip runs once, right after the gap")
    func gap() throws {
        // Prague skips 02:00-03:00 on 29 March 2026, at 01:00 UTC.
        #expect(
            try Self.ticks("30 2 * * *", 3, after: "2026-03-27T12:00:00Z", in: Self.prague)
                == ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"])
        // Several times in the gap are one run.
        #expect(
            try Self.ticks("*/20 2 * * *", 2, after: "2026-03-29T00:00:00Z", in: Self.prague)
                == ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"])
        #expect(
            try Self.ticks("0 2,3 * * *", 2, after: "2026-03-29T00:00:00Z", in: Self.prague)
                == ["2026-03-29T01:00:00Z", "2026-03-30T00:00:00Z"])
        // New York skips 02:00-03:00 on 8 March 2026, at 07:00 UTC.
        #expect(
            try Self.ticks("15 2 * * *", 2, after: "2026-03-08T00:00:00Z", in: Self.newYork)
                == ["2026-03-08T07:00:00Z", "2026-03-09T06:15:00Z"])
    }

    @Test("a local time that comes twice runs once, the first time")
    func overlap() throws {
        // Prague shows 02:00-03:00 twice on 25 October 2026; the clocks change at 01:00 UTC.
        #expect(
            try Self.ticks("30 2 * * *", 3, after: "2026-10-24T12:00:00Z", in: Self.prague)
                == ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z", "2026-10-27T01:30:00Z"])
        // Also when asked between the two.
        #expect(
            try Self.ticks("30 2 * * *", 1, after: "2026-10-25T01:10:00Z", in: Self.prague)
                == ["2026-10-26T01:30:00Z"])
    }

    @Test("an hour field with a star means real time: it goes on through every change of the clocks")
    func intervals() throws {
        #expect(
            try Self.ticks("*/30 * * * *", 6, after: "2026-10-25T00:00:00Z", in: Self.prague)
                == [
                    "2026-10-25T00:30:00Z", "2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z",
                    "2026-10-25T02:30:00Z", "2026-10-25T03:00:00Z",
                ])
        #expect(
            try Self.ticks("30 * * * *", 3, after: "2026-03-29T00:00:00Z", in: Self.prague)
                == ["2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z", "2026-03-29T02:30:00Z"])
    }

    @Test("ticks always move forward and match, in zones of every sort")
    func moves() throws {
        let zones = ["Europe/Prague", "America/St_Johns", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia"]
        for zone in try zones.map({ try #require(TimeZone(identifier: $0)) }) {
            for cron in ["7 3 * * *", "*/7 */5 * * *", "0 0 1 */2 *", "59 23 * * 1"] {
                let expression = try CronExpression(cron)
                var last = Self.date("2011-12-01T00:00:00Z")
                for tick in expression.next(400, after: last, in: zone) {
                    #expect(tick > last, "\(cron) in \(zone.identifier)")
                    last = tick
                }
            }
        }
    }

    @Test("looking back finds the newest ticks, however long nobody looked")
    func latest() throws {
        let cron = try CronExpression("*/10 * * * *")
        let end = Self.date("2026-05-01T12:05:00Z")
        let newest = cron.latest(3, from: Self.date("2020-01-01T00:00:00Z"), through: end, in: Self.utc)
        #expect(
            newest.map { ISO8601.string(from: $0).prefix(16) }
                == ["2026-05-01T11:40", "2026-05-01T11:50", "2026-05-01T12:00"])
        #expect(cron.latest(3, from: Self.date("2026-05-01T12:00:00Z"), through: end, in: Self.utc).count == 1)
        #expect(cron.latest(3, from: Self.date("2026-05-01T12:01:00Z"), through: end, in: Self.utc).isEmpty)
    }
}
