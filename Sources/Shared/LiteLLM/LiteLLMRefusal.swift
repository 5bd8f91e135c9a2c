import Foundation

/// What an answer other than success says, out of LiteLLM's four envelopes:
/// `{"error": {...}}`, `{"detail": {"error": ...}}`, `{"detail": "..."}` and `{"detail": [{...}]}`.
struct LiteLLMRefusal: Sendable, Equatable {
    let status: Int
    /// The text, for matching only, as it may quote values: show the `excerpt`.
    let text: String
    let type: String?
    /// Whether it came in one of LiteLLM's envelopes, rather than from something in front of it.
    let isFromLiteLLM: Bool

    init(status: Int, body: [UInt8]) {
        self.status = status
        // Not JSON: an answer of a proxy in front, told apart by `isFromLiteLLM`.
        let document = try? JSON.decoder.decode(JSONValue.self, from: Data(body))
        if let error = document?["error"] {
            text = error["message"]?.textValue ?? error.textValue ?? ""
            type = error["type"]?.stringValue
            isFromLiteLLM = true
        } else if let detail = document?["detail"] {
            text = Self.text(ofDetail: detail)
            type = nil
            // What FastAPI says of a path it does not know says nothing about an object.
            isFromLiteLLM = !["Not Found", "Method Not Allowed"].contains(text)
        } else if let database = document?["db"]?.stringValue {
            text = database.lowercased() == "connected" ? "" : "db not connected"
            type = nil
            isFromLiteLLM = true
        } else {
            text = String(decoding: body.prefix(2000), as: UTF8.self)
            type = nil
            isFromLiteLLM = false
        }
    }

    /// The beginning of the text with secrets taken out; nil when there is none.
    var excerpt: String? { text.isEmpty ? nil : String(Redaction.text(text).prefix(300)) }

    /// Whether the text holds one of these, in any case.
    func says(_ parts: String...) -> Bool {
        parts.contains { text.range(of: $0, options: .caseInsensitive) != nil }
    }

    /// Whether it comes from LiteLLM's database being out of reach, whatever the status says.
    var isDatabaseDown: Bool {
        if type == "no_db_connection" { return true }
        // Only the database can know of another object; such a message quotes a name that may say anything.
        guard !says("already exists") else { return false }
        return says(
            "can't reach database server", "cannot reach database server", "server has closed the connection",
            "not connected to the query engine", "authentication database", "db not connected", "no connected db",
            "connection pool", "can't connect to the database", "all connection attempts failed",
            "connection refused", "connection reset by peer", "broken pipe", "network is unreachable")
    }

    /// Whether a feature was asked for that needs a licence.
    var isEnterpriseOnly: Bool {
        says("LiteLLM Enterprise user", "Enterprise feature", "is a premium feature")
    }

    private static func text(ofDetail detail: JSONValue) -> String {
        if let text = detail.textValue { return text }
        if let text = (detail["error"] ?? detail["message"])?.textValue { return text }
        // Validation errors: what is wrong with which field, never the value.
        let problems = detail.arrayValue?.compactMap { problem -> String? in
            let place = (problem["loc"]?.arrayValue ?? []).compactMap(\.textValue).joined(separator: ".")
            return problem["msg"]?.stringValue.map { "\(place): \($0)" }
        }
        return problems?.joined(separator: "; ") ?? detail.encodedString()
    }
}
