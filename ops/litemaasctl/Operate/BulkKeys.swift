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
}

/// Which keys an action is about, in the words of its path.
enum BulkTarget: Sendable {
    case batch(String)
    case labels([String], match: String)
}

/// Many keys at once, over REST alone: only there is it known who may read the secrets.
extension RESTOperator {
    private static let bulk = "/bulk/keys"

    func createBatch(_ body: JSONValue) async throws -> BatchReport { try await send(.post, Self.bulk, body: body) }

    func batches(limit: Int) async throws -> [BatchReport] {
        struct Page: Decodable { let data: [BatchReport] }
        let page: Page = try await send(.get, Self.bulk, query: [("limit", "\(limit)")])
        return page.data
    }

    func batch(_ id: String) async throws -> BatchReport { try await send(.get, "\(Self.bulk)/\(Self.path(id))") }

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
enum PeopleFile {
    /// CSV whose first row names `id`, or `username`, `email` and `fullName`; or lines of JSON (`.jsonl`, `.ndjson`).
    static func read(_ path: String) throws -> JSONValue {
        let text: String
        do {
            text = try String(contentsOf: URL(filePath: path), encoding: .utf8)
        } catch {
            throw CommandFailure(description: "\(path) cannot be read as UTF-8.")
        }
        guard !path.hasSuffix(".jsonl"), !path.hasSuffix(".ndjson") else { return try lines(text, path) }
        do {
            let rows = try CSVReader.rows(text)
            guard let titles = rows.first?.cells else { throw CommandRefusal(status: .usage, "\(path) is empty.") }
            return .array(
                try rows.dropFirst().map { row in
                    guard row.cells.count == titles.count else {
                        throw CommandRefusal(
                            status: .usage,
                            "\(path), row \(row.number): it has \(row.cells.count) columns, not \(titles.count).")
                    }
                    let members = zip(titles, row.cells).filter { !$0.1.isEmpty }.map {
                        ($0.trimmingCharacters(in: .whitespaces), JSONValue.string($1))
                    }
                    return .object(Dictionary(members, uniquingKeysWith: { first, _ in first }))
                })
        } catch let error as CSVError {
            throw CommandRefusal(status: .usage, "\(path), row \(error.row): it \(error.reason).")
        }
    }

    private static func lines(_ text: String, _ path: String) throws -> JSONValue {
        var people: [JSONValue] = []
        for (index, line) in text.split(omittingEmptySubsequences: false, whereSeparator: \.isNewline).enumerated()
        where line.contains(where: { !$0.isWhitespace }) {
            do {
                people.append(try JSON.decoder.decode(JSONValue.self, from: Data(line.utf8)))
            } catch is DecodingError {
                throw CommandRefusal(status: .usage, "\(path), row \(index + 1): it is not JSON.")
            }
        }
        return .array(people)
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
