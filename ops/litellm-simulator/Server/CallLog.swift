import Foundation
import Synchronization

/// What was asked of the simulator and what it answered, without secrets: one JSON object a line in a file, and the
/// newest in memory.
final class CallLog: Sendable {
    /// Calls kept in memory; the oldest go first.
    private static let mostCalls = 20_000
    /// Characters kept of an answer.
    private static let longestAnswer = 4000
    /// Characters kept of a request; longer than any management call.
    private static let longestRequest = 16_000

    private struct Record {
        let path: String
        let json: JSON
        let aliases: Set<String>
        let haystack: String
    }

    private struct Book {
        var records: [Record] = []
        var file: FileHandle?
    }

    private let book: Mutex<Book>
    private let masterKey: String

    /// - Throws: ``SettingsError`` when `file` cannot be written.
    init(file path: String?, masterKey: String) throws {
        self.masterKey = masterKey
        var handle: FileHandle?
        if let path {
            if !FileManager.default.fileExists(atPath: path) {
                _ = FileManager.default.createFile(atPath: path, contents: nil)
            }
            guard let opened = FileHandle(forWritingAtPath: path) else {
                throw SettingsError("--call-log: cannot write \(path)")
            }
            try opened.seekToEnd()
            handle = opened
        }
        book = Mutex(Book(file: handle))
    }

    /// Writes one call down.
    ///
    /// - Parameter faults: the faults that hit it.
    func record(_ call: Call, _ outcome: Outcome, started: ContinuousClock.Instant, faults: [FaultRule]) {
        let record = Self.record(call, outcome, started: started, faults: faults, masterKey: masterKey)
        let line = Data("\(record.json.text)\n".utf8)
        book.withLock { book in
            if book.records.count >= Self.mostCalls { book.records.removeFirst(Self.mostCalls / 10) }
            book.records.append(record)
            do {
                try book.file?.write(contentsOf: line)
            } catch {
                FileHandle.standardError.write(Data("litellm-simulator: call log: \(error)\n".utf8))
                book.file = nil
            }
        }
    }

    /// The calls in memory, oldest first.
    ///
    /// - Parameters:
    ///   - path: how their path starts.
    ///   - alias: a key alias they name in the body or the query.
    ///   - text: what their path or body contains.
    func calls(path: String?, alias: String?, containing text: String?) -> [JSON] {
        book.withLock(\.records).filter { record in
            if let path, !record.path.hasPrefix(path) { return false }
            if let alias, !record.aliases.contains(alias) { return false }
            if let text, !record.haystack.contains(text) { return false }
            return true
        }
        .map(\.json)
    }

    /// Forgets the calls in memory; the file stays.
    func clear() { book.withLock { $0.records = [] } }

    private static func record(
        _ call: Call, _ outcome: Outcome, started: ContinuousClock.Instant, faults: [FaultRule], masterKey: String
    ) -> Record {
        let elapsed = ContinuousClock.now - started
        let (seconds, attoseconds) = elapsed.components
        let request = clipped(Redaction.body(call.body), longestRequest)
        let (status, response, end): (JSON, JSON, String?) =
            switch outcome {
            case .answer(let answer): (.integer(answer.status), shown(answer), nil)
            case .cut(let answer): (.integer(answer.status), shown(answer), "cut")
            case .dropped(let reason): (.null, .null, "dropped: \(reason)")
            }
        let target = Redaction.text(call.target.removingPercentEncoding ?? call.target)
        let labels = faults.map { rule in rule.name.map { "\($0): \(rule.action.word)" } ?? rule.action.word }
        let json: JSONObject = [
            "ts": Moment(nowPlus: 0).zulu, "id": .integer(call.id), "method": .string(call.method),
            "path": .string(target), "status": status,
            "ms": .double(Double(seconds) * 1000 + (Double(attoseconds) / 1e13).rounded() / 100),
            "fault": labels.isEmpty ? .null : .string(labels.joined(separator: ", ")), "end": JSON(end),
            "caller": .string(caller(call, masterKey)), "requestBody": .string(request), "responseBody": response,
        ]
        return Record(
            path: call.path, json: .object(json), aliases: aliases(call), haystack: "\(target)\n\(request)")
    }

    /// LiteLLM shows no secret in an answer but fresh keys, and those look like keys.
    private static func shown(_ answer: Answer) -> JSON {
        .string(clipped(Redaction.text(String(decoding: answer.body, as: UTF8.self)), longestAnswer))
    }

    private static func clipped(_ text: String, _ most: Int) -> String {
        text.utf8.count <= most ? text : "\(text.prefix(most))…"
    }

    private static func caller(_ call: Call, _ masterKey: String) -> String {
        guard let secret = Authentication.credential(of: call) else { return "nobody" }
        return secret == masterKey ? "master" : Redaction.hashed(secret)
    }

    private static func aliases(_ call: Call) -> Set<String> {
        var aliases = Set([call.query["key_alias"]].compactMap(\.self))
        guard let body = JSON(parsing: call.body) else { return aliases }
        if let alias = body["key_alias"]?.string { aliases.insert(alias) }
        aliases.formUnion(body["key_aliases"]?.strings ?? [])
        return aliases
    }
}
