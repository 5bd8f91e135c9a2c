import Foundation
import Shared
import Testing

@Suite struct JSONTests {
    struct Sample: Codable, Equatable {
        var b: Date
        var a: String
    }

    @Test func writesSortedWithMillisecondsAndPlainSlashes() throws {
        let data = try JSON.encoder.encode(Sample(b: Date(timeIntervalSince1970: 1.5), a: "x/y"))
        #expect(String(decoding: data, as: UTF8.self) == #"{"a":"x/y","b":"1970-01-01T00:00:01.500Z"}"#)
    }

    @Test(arguments: [
        ("2026-01-31T09:05:07Z", 1_769_850_307.0),
        ("2026-01-31T09:05:07.1Z", 1_769_850_307.1),
        ("2026-01-31T09:05:07.123456Z", 1_769_850_307.123456),
        ("2026-01-31T09:05:07.123456789Z", 1_769_850_307.123456789),
        ("2026-01-31t09:05:07.5z", 1_769_850_307.5),
        ("2026-01-31 09:05:07+00", 1_769_850_307.0),
        ("2026-01-31T11:05:07+02:00", 1_769_850_307.0),
        ("2026-01-31T04:35:07-0430", 1_769_850_307.0),
        ("2026-01-31T09:05:07", 1_769_850_307.0),
        ("1969-12-31T23:59:59.250Z", -0.75),
        ("2024-02-29T00:00:00Z", 1_709_164_800.0),
        ("0001-01-01T00:00:00Z", -62_135_596_800.0),
        ("9999-12-31T23:59:59Z", 253_402_300_799.0),
    ])
    func readsTimestamps(text: String, seconds: Double) throws {
        let dates = try JSON.decoder.decode([Date].self, from: Data("[\"\(text)\"]".utf8))
        #expect(abs(dates[0].timeIntervalSince1970 - seconds) < 0.000_001)
    }

    @Test(arguments: [
        "", "2026-01-31", "2026-02-30T00:00:00Z", "2023-02-29T00:00:00Z", "2026-13-01T00:00:00Z",
        "2026-01-31T24:00:00Z", "2026-01-31T09:60:00Z", "2026-01-31T09:05:07.Z", "2026-01-31T09:05:07Zx",
        "2026-01-31T09:05:07+2", "2026-01-31T09:05", "26-01-31T09:05:07Z", "2026-01-00T00:00:00Z", "now",
    ])
    func refusesWhatIsNoMoment(text: String) {
        #expect(ISO8601.date(from: text) == nil)
        #expect(throws: DecodingError.self) {
            try JSON.decoder.decode([Date].self, from: Data("[\"\(text)\"]".utf8))
        }
    }

    @Test func writesWhatFoundationReads() throws {
        let style = Date.ISO8601FormatStyle(includingFractionalSeconds: true)
        var generator = SystemRandomNumberGenerator()
        for _ in 0..<2000 {
            let date = Date(
                timeIntervalSince1970: Double(Int.random(in: -30_000_000_000...200_000_000_000, using: &generator)) / 8)
            let text = ISO8601.string(from: date)
            #expect(abs(try style.parse(text).timeIntervalSince(date)) < 0.001)
            #expect(abs(try #require(ISO8601.date(from: text)).timeIntervalSince(date)) < 0.001)
        }
    }

    @Test func writesImpossibleDatesAsTheNearest() {
        #expect(ISO8601.string(from: Date(timeIntervalSince1970: .infinity)) == "9999-12-31T23:59:59.999Z")
        #expect(ISO8601.string(from: Date(timeIntervalSince1970: -.infinity)) == "0001-01-01T00:00:00.000Z")
        #expect(ISO8601.string(from: Date(timeIntervalSince1970: .nan)) == "0001-01-01T00:00:00.000Z")
    }
}
