import Foundation

/// Columns of text, as wide as what is in them. Numbers stand on the right.
struct Table {
    private let titles: [String]
    private let rightAligned: Set<String>
    private var rows: [[String]] = []

    /// - Parameter rightAligned: titles of the columns with numbers.
    init(_ titles: [String], rightAligned: Set<String> = []) {
        self.titles = titles
        self.rightAligned = rightAligned
    }

    var isEmpty: Bool { rows.isEmpty }

    mutating func add(_ cells: String?...) { add(cells) }

    /// One row; nil is an empty cell.
    mutating func add(_ cells: [String?]) {
        rows.append(cells.map { cell in Self.oneLine(cell ?? "") })
    }

    /// The titles and the rows, without trailing spaces.
    var text: String {
        let widths = titles.indices.map { column in
            ([titles] + rows).map { $0[column].count }.max() ?? 0
        }
        return ([titles] + rows).map { cells in
            let padded = cells.enumerated().map { column, cell -> String in
                let space = String(repeating: " ", count: widths[column] - cell.count)
                return rightAligned.contains(titles[column]) ? space + cell : cell + space
            }
            let line = padded.joined(separator: "  ")
            return String(line.reversed().drop { $0 == " " }.reversed())
        }.joined(separator: "\n")
    }

    /// What others wrote (messages, names) must not move the cursor.
    static func oneLine(_ text: String) -> String {
        String(
            text.map { character in
                character.isNewline || character.unicodeScalars.contains { $0.properties.generalCategory == .control }
                    ? " " : character
            })
    }
}

/// `name   value` lines about one thing.
struct Sheet {
    private var lines: [(String, String)] = []

    /// Nothing is added for nil.
    mutating func add(_ name: String, _ value: String?) {
        guard let value, !value.isEmpty else { return }
        lines.append((name, Table.oneLine(value)))
    }

    var text: String {
        let width = lines.map(\.0.count).max() ?? 0
        return lines.map { $0.0.padding(toLength: width + 2, withPad: " ", startingAt: 0) + $0.1 }
            .joined(separator: "\n")
    }
}

/// Times and durations, as the tables show them.
enum Words {
    /// `2026-11-23 05:10:00Z`; seconds are enough for people.
    static func time(_ date: Date?) -> String? {
        date.map { date in
            let style = Date.ISO8601FormatStyle(timeZone: .gmt)
                .year().month().day().dateSeparator(.dash).time(includingFractionalSeconds: false)
                .timeSeparator(.colon).dateTimeSeparator(.space)
            return date.formatted(style) + "Z"
        }
    }

    /// `3 min ago`, `in 12 s`.
    static func distance(_ date: Date?, from now: Date = Date()) -> String? {
        date.map { date in
            let seconds = date.timeIntervalSince(now)
            return seconds > 0.5
                ? "in \(Duration.seconds(seconds).words)" : "\(Duration.seconds(max(0, -seconds)).words) ago"
        }
    }

    static func duration(_ seconds: Double?) -> String? { seconds.map { Duration.seconds($0).words } }

    /// `~1200` for an estimate.
    static func count(_ value: Int, isExact: Bool) -> String { isExact ? "\(value)" : "~\(value)" }
}
