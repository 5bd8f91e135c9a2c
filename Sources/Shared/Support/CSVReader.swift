/// Why a text is not CSV.
package struct CSVError: Error, Sendable, Equatable {
    /// The row, from 1; the first row has the titles.
    package let row: Int
    /// What is wrong, to be read after the row.
    package let reason: String
}

/// Reads CSV (RFC 4180): quoted fields may hold commas, quotes and line breaks; lines end with LF or CRLF.
package enum CSVReader {
    /// The rows as texts, without empty ones; the row's number stands beside it. A byte order mark is passed over.
    package static func rows(_ text: String) throws(CSVError) -> [(number: Int, cells: [String])] {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        var scanner = Scanner(bytes: Array(text.utf8.dropFirst(text.utf8.starts(with: mark) ? mark.count : 0)))
        return try scanner.rows()
    }

    private struct Scanner {
        let bytes: [UInt8]
        var position = 0
        var number = 1

        init(bytes: [UInt8]) { self.bytes = bytes }

        mutating func rows() throws(CSVError) -> [(number: Int, cells: [String])] {
            var rows: [(number: Int, cells: [String])] = []
            while position < bytes.count {
                let start = number
                let cells = try row()
                if cells != [""] { rows.append((start, cells)) }
                number += 1
            }
            return rows
        }

        private mutating func row() throws(CSVError) -> [String] {
            var cells: [String] = []
            while true {
                cells.append(try cell())
                guard position < bytes.count else { return cells }
                let end = bytes[position]
                position += 1
                switch end {
                case UInt8(ascii: ","): continue
                case UInt8(ascii: "\n"): return cells
                default:
                    // A carriage return: the line feed behind it belongs to it.
                    if position < bytes.count, bytes[position] == UInt8(ascii: "\n") { position += 1 }
                    return cells
                }
            }
        }

        private mutating func cell() throws(CSVError) -> String {
            guard position < bytes.count, bytes[position] == UInt8(ascii: "\"") else { return plain() }
            position += 1
            var content: [UInt8] = []
            while position < bytes.count {
                let byte = bytes[position]
                position += 1
                guard byte == UInt8(ascii: "\"") else {
                    content.append(byte)
                    continue
                }
                guard position < bytes.count, bytes[position] == byte else {
                    guard isAtEnd else { throw CSVError(row: number, reason: "has text behind a closing quote") }
                    return String(decoding: content, as: UTF8.self)
                }
                content.append(byte)
                position += 1
            }
            throw CSVError(row: number, reason: "has a quote that is not closed")
        }

        private mutating func plain() -> String {
            let start = position
            while !isAtEnd { position += 1 }
            return String(decoding: bytes[start..<position], as: UTF8.self)
        }

        /// Whether a cell ends here.
        private var isAtEnd: Bool {
            guard position < bytes.count else { return true }
            return [UInt8(ascii: ","), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(bytes[position])
        }
    }
}
