/// Cells of CSV (RFC 4180).
package enum CSVCell {
    /// Begins what spreadsheets would carry out as a formula.
    private static let dangerous: Set<Character> = ["=", "+", "-", "@", "\t", "\r", "\n", "\r\n"]

    /// Quoted where it has to be; what a spreadsheet would take for a formula gets an apostrophe before it.
    package static func text(_ value: String) -> String {
        let harmless = value.first.map(dangerous.contains) == true ? "'" + value : value
        let needsQuotes = harmless.utf8.contains { [0x22, 0x2c, 0x0a, 0x0d].contains($0) }
        return needsQuotes ? "\"" + harmless.replacing("\"", with: "\"\"") + "\"" : harmless
    }
}
