import HTTPTypes

/// What the client prefers (RFC 7240); only `wait` is known here.
///
/// A preference is never an error: what cannot be read counts as not sent.
struct Prefer: Equatable, Sendable {
    /// The longest time an answer is held, in seconds.
    static let longestWait = 30

    /// Seconds to hold the answer for the job's end, 0...30; nil when the client does not want to wait.
    let wait: Int?

    /// Reads all `Prefer` fields of a request. Of several `wait` the first one counts.
    init(_ fields: HTTPFields) {
        wait = fields[values: .prefer].lazy.compactMap(Self.wait(in:)).first
    }

    /// What `Preference-Applied` says; nil when nothing was applied.
    var applied: String? {
        wait.map { "wait=\($0)" }
    }

    private static func wait(in field: String) -> Int? {
        for preference in field.split(separator: ",") {
            // What follows a semicolon are parameters of the preference, of which `wait` has none.
            let parts = preference.prefix { $0 != ";" }.split(separator: "=", maxSplits: 1)
            guard parts.count == 2, trimmed(parts[0]).lowercased() == "wait" else { continue }
            var text = trimmed(parts[1])
            if text.count >= 2, text.first == "\"", text.last == "\"" {
                text = text.dropFirst().dropLast()
            }
            guard !text.isEmpty, text.count <= 9, text.utf8.allSatisfy({ (0x30...0x39).contains($0) }),
                let seconds = Int(text)
            else { continue }
            return min(seconds, longestWait)
        }
        return nil
    }

    private static func trimmed(_ text: Substring) -> Substring {
        var text = text
        while let first = text.first, first == " " || first == "\t" { text.removeFirst() }
        while let last = text.last, last == " " || last == "\t" { text.removeLast() }
        return text
    }
}

extension HTTPField.Name {
    static let prefer = HTTPField.Name.known("Prefer")
    static let preferenceApplied = HTTPField.Name.known("Preference-Applied")
    static let idempotencyKey = HTTPField.Name.known("Idempotency-Key")
    static let idempotencyReplayed = HTTPField.Name.known("Idempotency-Replayed")
    static let requestId = HTTPField.Name.known("X-Request-Id")
    static let correlationId = HTTPField.Name.known("X-Correlation-Id")

    /// A name that is a literal of this program.
    static func known(_ name: StaticString) -> HTTPField.Name {
        guard let parsed = HTTPField.Name(name.description) else {
            preconditionFailure("\(name) is not a header field name")
        }
        return parsed
    }
}
