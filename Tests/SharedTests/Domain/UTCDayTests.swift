import Foundation
import Shared
import Testing

struct UTCDayTests {
    @Test func readsAndWritesDays() throws {
        let day = try #require(UTCDay("2024-02-29"))
        #expect(day.description == "2024-02-29")
        #expect(day.next.description == "2024-03-01")
        #expect(day.previous.description == "2024-02-28")
        #expect(day.start == ISO8601.date(from: "2024-02-29T00:00:00Z"))
        #expect(day.end == ISO8601.date(from: "2024-03-01T00:00:00Z"))
        #expect(day < day.next)
    }

    @Test(arguments: ["2023-02-29", "2024-2-1", "2024-02-01T", "", "20240201", "2024-13-01", "2024-00-10", "x24-01-01"])
    func refusesWhatIsNoDay(text: String) {
        #expect(UTCDay(text) == nil)
    }

    @Test func findsTheDayOfAMoment() throws {
        let midnight = try #require(ISO8601.date(from: "2026-11-23T00:00:00Z"))
        #expect(UTCDay(containing: midnight).description == "2026-11-23")
        #expect(UTCDay(containing: midnight.addingTimeInterval(-0.001)).description == "2026-11-22")
        #expect(UTCDay(containing: Date(timeIntervalSince1970: -1)).description == "1969-12-31")
    }

    @Test func isTextInJSON() throws {
        let day = try #require(UTCDay("2026-11-23"))
        let data = try JSON.encoder.encode([day])
        #expect(String(decoding: data, as: UTF8.self) == #"["2026-11-23"]"#)
        #expect(try JSON.decoder.decode([UTCDay].self, from: data) == [day])
        #expect(throws: DecodingError.self) {
            try JSON.decoder.decode([UTCDay].self, from: Data(#"["2026-02-30"]"#.utf8))
        }
    }
}
