import Testing

@testable import Shared

@Suite("CSV")
struct CSVReaderTests {
    private func read(_ text: String) throws -> [[String]] { try CSVReader.rows(text).map(\.cells) }

    @Test("quoted cells hold commas, quotes and line breaks; lines end as they like; empty ones are passed over")
    func rows() throws {
        #expect(try read("a,b\r\n1,\"x, \"\"y\"\"\nz\"\r\n\r\n3,") == [["a", "b"], ["1", "x, \"y\"\nz"], ["3", ""]])
        #expect(try read("\u{FEFF}a\n1\n") == [["a"], ["1"]])
        #expect(try read("").isEmpty)
        #expect(try CSVReader.rows("a\n\nb").map(\.number) == [1, 3])
    }

    @Test("a quote that is not closed, or text behind one, is refused with its row")
    func malformed() {
        #expect(throws: CSVError(row: 2, reason: "has a quote that is not closed")) { try CSVReader.rows("a\n\"b") }
        #expect(throws: CSVError(row: 1, reason: "has text behind a closing quote")) { try CSVReader.rows("\"a\"b") }
    }
}
