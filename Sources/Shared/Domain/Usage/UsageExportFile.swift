package import Foundation

/// What a file of usage is about.
package struct UsageExportRequest: Codable, Sendable, Equatable {
    /// Whose usage, and by what it is added up.
    package enum Scope: String, Sendable, Codable {
        /// Of one person, or of all that a program sees, by day.
        case own
        /// Everybody's, by user.
        case admin
    }

    /// How the file is written.
    package enum Format: String, Sendable, Codable, CaseIterable {
        case csv
        case json

        /// The media type.
        package var contentType: String {
            switch self {
            case .csv: "text/csv; charset=utf-8"
            case .json: "application/json; charset=utf-8"
            }
        }
    }

    package var scope: Scope
    package var format: Format
    /// The first day.
    package var from: UTCDay
    /// The last day.
    package var to: UTCDay
    /// Only keys of these users; empty for all, as are the others.
    package var userIds: [UUID] = []
    package var modelIds: [String] = []
    package var providers: [String] = []
    /// Only these keys of ours, with every secret they ever had; nil for all, and none when there is none.
    package var apiKeyIds: [UUID]?
    /// The code of the currency that the column of money names.
    package var currency = Currency.usDollar.code

    /// All usage of a range of days.
    package init(scope: Scope, format: Format, from: UTCDay, to: UTCDay) {
        self.scope = scope
        self.format = format
        self.from = from
        self.to = to
    }

    /// As the file is to be stored by whoever fetches it.
    package var fileName: String {
        switch scope {
        case .own: "usage-export-\(from)-\(to).\(format.rawValue)"
        case .admin: "admin-usage-export-\(from)-to-\(to).\(format.rawValue)"
        }
    }
}

/// A file that a job writes, or has written.
package struct UsageExportFile: Sendable, Equatable {
    /// How far it is.
    package enum Status: String, Sendable, PostgresDecodable {
        case pending
        case ready
        case failed
    }

    package var id: UUID
    /// Who may fetch it; nil for what a program asked for.
    package var ownerId: UUID?
    package var request: UsageExportRequest
    package var status: Status
    /// Known once it is ready, as is its size in bytes.
    package var rowCount: Int?
    package var byteCount: Int?
    /// Why there will be none.
    package var error: JSONValue?
    package var jobId: Int64?
    package var createdAt: Date
    package var finishedAt: Date?
    /// When it is deleted.
    package var expiresAt: Date
}

/// Writes rows of usage as a file, in pieces.
package struct UsageExportWriter {
    /// One cell.
    package enum Value: Sendable, Equatable {
        case text(String)
        case count(Int)
        case money(Decimal)
        case percent(Double)

        fileprivate var csv: String {
            switch self {
            case .text(let text): CSVCell.text(text)
            case .count(let count): String(count)
            case .money(let amount): amount.description
            case .percent(let value): Int(exactly: value).map(String.init) ?? "\(value)"
            }
        }

        fileprivate var json: String {
            if case .text(let text) = self { JSONValue.string(text).encodedString() } else { csv }
        }
    }

    private let request: UsageExportRequest
    /// Names of the columns in CSV, and of the members in JSON.
    private let columns: [(csv: String, json: String)]
    /// What was written and not taken yet.
    private var bytes: [UInt8] = []
    /// Rows so far.
    package private(set) var rowCount = 0

    /// Begins a file.
    package init(_ request: UsageExportRequest) {
        self.request = request
        columns =
            switch request.scope {
            case .own:
                [
                    ("Date", "date"), ("Requests", "requests"), ("Total Tokens", "totalTokens"),
                    ("Prompt Tokens", "promptTokens"), ("Completion Tokens", "completionTokens"),
                    ("Avg Latency (ms)", "averageLatency"), ("Error Rate (%)", "errorRate"),
                    ("Success Rate (%)", "successRate"),
                ]
            case .admin:
                [
                    ("User ID", "userId"), ("Username", "username"), ("Email", "email"),
                    ("Total Requests", "totalRequests"), ("Total Tokens", "totalTokens"),
                    ("Prompt Tokens", "promptTokens"), ("Completion Tokens", "completionTokens"),
                    ("Total Cost (\(request.currency))", "totalCost"),
                ]
            }
        switch request.format {
        case .csv: write(columns.map { CSVCell.text($0.csv) }.joined(separator: ",") + "\r\n")
        case .json: write("[")
        }
    }

    /// Writes rows that follow those before.
    package mutating func append(_ rows: [[Value]]) {
        for row in rows {
            switch request.format {
            case .csv: write(row.map(\.csv).joined(separator: ",") + "\r\n")
            case .json:
                let members = zip(columns, row).map { "\"\($0.json)\":\($1.json)" }
                write((rowCount == 0 ? "{" : ",\n{") + members.joined(separator: ",") + "}")
            }
            rowCount += 1
        }
    }

    /// Ends the file.
    package mutating func end() {
        if request.format == .json { write("]\n") }
    }

    /// The next `size` bytes; fewer than that only when `isLast`. Nil when there are not that many.
    package mutating func take(_ size: Int, isLast: Bool = false) -> [UInt8]? {
        guard bytes.count >= size || (isLast && !bytes.isEmpty) else { return nil }
        let chunk = Array(bytes.prefix(size))
        bytes.removeFirst(chunk.count)
        return chunk
    }

    private mutating func write(_ text: String) {
        bytes.append(contentsOf: text.utf8)
    }
}
