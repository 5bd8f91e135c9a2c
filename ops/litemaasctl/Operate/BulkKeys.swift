import Foundation
import Shared

/// A batch of keys, as the API shows it.
struct BatchReport: Codable, Sendable {
    var id: String
    var name: String
    var state: String
    var total: Int
    var counts: [String: Int]
    var labels: [String]
    var requestedBy: String
    var expiresAt: Date?
    var resultsUntil: Date?
    var createdAt: Date
    var jobId: String?

    /// Keys whose creation has come to its end.
    var settled: Int { total - (counts["waiting"] ?? 0) - (counts["creating"] ?? 0) }
}

/// What an action on many keys answers.
struct BulkAnswer: Codable, Sendable {
    struct Job: Codable, Sendable { var id: String }
    var job: Job?
    /// Live keys that labels mean.
    var matched: Int?
    /// Keys with these labels that are still to be made.
    var waiting: Int?
}

/// Which keys an action is about, in the words of its path.
enum BulkTarget: Sendable {
    /// By its id.
    case batch(String)
    case labels([String], match: String)
}

/// Many keys at once, over REST alone: only there is it known who may read the secrets.
extension RESTOperator {
    private static let bulk = "/bulk/keys"

    func createBatch(_ body: JSONValue) async throws -> BatchReport { try await send(.post, Self.bulk, body: body) }

    /// The newest batches; with a name only those.
    func batches(named name: String? = nil, limit: Int) async throws -> [BatchReport] {
        struct Page: Decodable { let data: [BatchReport] }
        let page: Page = try await send(
            .get, Self.bulk, query: [("limit", "\(limit)")] + (name.map { [("name", $0)] } ?? []))
        return page.data
    }

    /// The batch with this id, or else of this name, which different people may have given.
    func batch(_ nameOrId: String) async throws -> BatchReport {
        if UUID(uuidString: nameOrId) != nil {
            return try await send(.get, "\(Self.bulk)/\(Self.path(nameOrId))")
        }
        let found = try await batches(named: nameOrId, limit: 50)
        guard found.count <= 1 else {
            let each = found.map { "  \($0.id), asked for by \($0.requestedBy)" }.joined(separator: "\n")
            throw CommandRefusal(
                status: .usage, "There are \(found.count) batches named '\(nameOrId)'; name one by its id:\n\(each)")
        }
        guard let batch = found.first else {
            throw CommandRefusal(status: .notFound, "There is no batch of keys with the name or id '\(nameOrId)'.")
        }
        return batch
    }

    /// Tries again what failed.
    func retry(batch id: String) async throws -> BatchReport {
        try await send(.post, "\(Self.bulk)/\(Self.path(id))/retry")
    }

    /// Stops a batch; the job revokes its keys where that was asked for.
    func cancel(batch id: String, revoking: Bool, reason: String?) async throws -> BulkAnswer {
        try await send(
            .post, "\(Self.bulk)/\(Self.path(id))/cancel", query: [("revoke", "\(revoking)")],
            body: .object(reason.map { ["reason": .string($0)] } ?? [:]))
    }

    /// The results as a file of this format.
    func results(_ id: String, format: String) async throws -> [UInt8] {
        try await fetch(.get, "\(Self.bulk)/\(Self.path(id))/results", query: [("format", format)])
    }

    /// Prolongs or revokes keys, or counts them with `dryRun`.
    func change(
        _ target: BulkTarget, _ verb: String, _ members: [String: JSONValue], dryRun: Bool
    ) async throws -> BulkAnswer {
        var body = members
        switch target {
        case .batch(let id):
            return try await send(.post, "\(Self.bulk)/\(Self.path(id))/\(verb)", body: .object(body))
        case .labels(let labels, let match):
            body["labels"] = .array(labels.map(JSONValue.string))
            body["match"] = .string(match)
            body["dryRun"] = .bool(dryRun)
            return try await send(.post, "\(Self.bulk)/\(verb)", body: .object(body))
        }
    }
}

/// People for whom keys are, as a file names them.
struct PeopleFile: Sendable {
    let path: String
    private(set) var people: [JSONValue] = []
    /// The file's row of each of them, from 1.
    private var rows: [Int] = []

    /// CSV whose first row names `id`, or `username`, `email` and `fullName`; or lines of JSON (`.jsonl`, `.ndjson`).
    init(_ path: String) throws {
        self.path = path
        let text: String
        do {
            text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
        } catch {
            throw CommandFailure(description: "\(path) cannot be read as UTF-8.")
        }
        if path.hasSuffix(".jsonl") || path.hasSuffix(".ndjson") { try readLines(text) } else { try readCSV(text) }
        guard !people.isEmpty else { throw CommandRefusal(status: .usage, "\(path) names nobody.") }
    }

    private mutating func readCSV(_ text: String) throws {
        let table: [(number: Int, cells: [String])]
        do throws(CSVError) {
            table = try CSVReader.rows(text)
        } catch {
            throw CommandRefusal(status: .usage, "\(path), row \(error.row): it \(error.reason).")
        }
        let titles = (table.first?.cells ?? []).map { $0.trimmingCharacters(in: .whitespaces) }
        for row in table.dropFirst() {
            guard row.cells.count == titles.count else {
                throw CommandRefusal(
                    status: .usage,
                    "\(path), row \(row.number): it has \(row.cells.count) columns, not \(titles.count).")
            }
            let members = zip(titles, row.cells).filter { !$0.1.isEmpty }.map { ($0, JSONValue.string($1)) }
            people.append(.object(Dictionary(members, uniquingKeysWith: { first, _ in first })))
            rows.append(row.number)
        }
    }

    private mutating func readLines(_ text: String) throws {
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
        where line.contains(where: { !$0.isWhitespace }) {
            do {
                people.append(try JSON.decoder.decode(JSONValue.self, from: Data(line.utf8)))
                rows.append(index + 1)
            } catch is DecodingError {
                throw CommandRefusal(status: .usage, "\(path), row \(index + 1): it is not JSON.")
            }
        }
    }

    /// Says where in the file the people are whom the API refuses: `users[3].email` is `people.csv, row 5, email`.
    func naming(_ refusal: CommandRefusal) -> CommandRefusal {
        let text = refusal.description.replacing(/users\[([0-9]+)\](?:\.([A-Za-z]+))?/) { match in
            guard let index = Int(match.1), rows.indices.contains(index) else { return String(match.0) }
            return "\(path), row \(rows[index])" + (match.2.map { ", \($0)" } ?? "")
        }
        return CommandRefusal(status: refusal.status, text)
    }
}

/// A file that only its owner can read.
enum PrivateFile {
    /// Writes a new file; one that is there is left alone.
    static func write(_ bytes: [UInt8], to path: String) throws {
        let mask = umask(0o077)
        defer { umask(mask) }
        do {
            try Data(bytes).write(to: URL(filePath: path), options: .withoutOverwriting)
        } catch {
            throw CommandFailure(description: "\(path) cannot be written: is it there already?")
        }
    }
}
