import Foundation
import HTTPTypes
import Shared
import Testing

@testable import API

@Suite("Fields of a body")
struct FieldsTests {
    @Test("every fault is collected with its path and kind")
    func faults() {
        var fields = Fields([
            "name": 7, "long": .string(String(repeating: "x", count: 6)), "count": 1.5, "big": 11, "amount": "1",
            "when": "yesterday", "id": "no", "list": ["a", 1], "many": ["a", "b", "c"], "object": [],
            "nested": ["inner": 1], "flag": "true",
        ])
        _ = fields.string("name")
        _ = fields.string("long", length: 1...5)
        _ = fields.int("count", in: 0...10)
        _ = fields.int("big", in: 0...10)
        _ = fields.amount("amount", in: 0...10)
        _ = fields.date("when")
        _ = fields.uuid("id")
        _ = fields.strings("list", count: 0...5, length: 1...5)
        _ = fields.strings("many", count: 0...2, length: 1...5)
        _ = fields.object("object")
        _ = fields.nested("nested") { $0.string("inner") }
        _ = fields.bool("flag")
        _ = fields.requiredString("missing", length: 1...5)
        #expect(
            fields.problems.map { "\($0.field) \($0.code.rawValue)" } == [
                "name type", "long length", "count type", "big range", "amount type", "when format", "id format",
                "list[1] type", "many length", "object type", "nested.inner type", "flag type", "missing required",
            ])
        let error = #expect(throws: APIError.self) { try fields.check() }
        #expect(error?.details.validation.count == 13)
        #expect(error?.details.field == "name")
    }

    @Test("right values are read; null counts as absent")
    func values() throws {
        var fields = Fields([
            "name": "x", "count": 3.0, "amount": 0.1, "when": "2026-01-31T09:05:07+02:00", "one": "a",
            "list": ["a", "b"],
            "nothing": nil, "object": ["a": 1], "extra": "ignored",
        ])
        #expect(fields.string("name") == "x")
        #expect(fields.int("count", in: 0...3) == 3)
        #expect(fields.amount("amount", in: 0...1) == Decimal(string: "0.1"))
        #expect(fields.date("when") == ISO8601.date(from: "2026-01-31T07:05:07Z"))
        #expect(fields.strings("one", count: 1...1, length: 1...1) == ["a"])
        #expect(fields.strings("list", count: 1...2, length: 1...1) == ["a", "b"])
        #expect(fields.string("nothing") == nil && !fields.has("nothing"))
        #expect(fields.object("object") == ["a": 1])
        try fields.check()
    }

    @Test("a free object is bounded in size")
    func size() {
        var fields = Fields(["object": ["a": .string(String(repeating: "x", count: 20_000))]])
        #expect(fields.object("object") == nil)
        #expect(fields.problems.first?.code == .length)
    }
}

@Suite("Date ranges")
struct DateRangeTests {
    private func range(_ query: String, today: String = "2026-03-10") throws -> DateRange {
        var fields = QueryFields(try QueryParameters(query))
        return try DateRange(&fields, today: try #require(UTCDay(today)), longest: 90)
    }

    @Test(
        "bounds follow LiteMaaS's rules",
        arguments: [
            ("", "2026-02-09", "2026-03-10"), ("startDate=2026-01-01&endDate=2026-01-31", "2026-01-01", "2026-01-31"),
            ("startDate=2026-01-01", "2026-01-01", "2026-01-08"), ("startDate=2026-03-08", "2026-03-08", "2026-03-10"),
            ("endDate=2026-01-31", "2026-01-24", "2026-01-31"), ("endDate=2024-01-03", "2024-01-01", "2024-01-03"),
            ("startDate=2026-01-01T23:00:00Z&endDate=2026-01-02T01:00:00%2B02:00", "2026-01-01", "2026-01-01"),
            ("startDate=2026-01-01&endDate=2026-03-31", "2026-01-01", "2026-03-31"),
        ] as [(String, String, String)])
    func bounds(_ query: String, _ start: String, _ end: String) throws {
        let range = try range(query, today: query.contains("03-31") ? "2026-03-31" : "2026-03-10")
        #expect(range.start.description == start)
        #expect(range.end.description == end)
    }

    @Test(
        "what cannot be is refused with LiteMaaS's codes",
        arguments: [
            ("startDate=soon", "INVALID_DATE_FORMAT"), ("endDate=2026-02-30", "INVALID_DATE_FORMAT"),
            ("startDate=2026-02-02&endDate=2026-02-01", "INVALID_DATE_RANGE"),
            ("startDate=2023-12-31&endDate=2024-01-02", "INVALID_DATE_RANGE"),
            ("startDate=2026-03-01&endDate=2026-03-12", "INVALID_DATE_RANGE"),
            ("startDate=2025-12-01&endDate=2026-03-01", "INVALID_DATE_RANGE"),
        ] as [(String, String)])
    func refused(_ query: String, _ code: String) {
        let error = #expect(throws: APIError.self) { try range(query) }
        #expect(error?.code.rawValue == code)
        #expect(error?.status == .badRequest)
    }
}
