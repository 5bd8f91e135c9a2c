import Logging

/// Lines for people: `09:05:07.120 WARNING jobs.worker: lease lost job_id=7 reason="took too long"`.
enum TextLogFormat {
    static func bytes(_ line: LogLine) -> [UInt8] {
        let time = ISO8601.string(from: line.date).dropFirst(11).dropLast()
        let level = line.level.rawValue.uppercased()
        var text = "\(time) \(level) \(line.logger): \(oneLine(line.message))"
        for (key, value) in line.metadata {
            text += " \(oneLine(LogLimits.safe(key, limit: LogLimits.keyBytes)))=\(rendered(value, named: key))"
        }
        return Array((text + "\n").utf8)
    }

    private static func rendered(_ value: Logger.MetadataValue, named name: String, depth: Int = 0) -> String {
        guard !Redaction.isSecretName(name) else { return Redaction.placeholder }
        switch value {
        case .array(let elements) where depth < LogLimits.depth:
            let parts = elements.prefix(LogLimits.elements).map { rendered($0, named: name, depth: depth + 1) }
            return "[" + parts.joined(separator: ",") + "]"
        case .dictionary(let members) where depth < LogLimits.depth:
            let sorted = members.sorted { $0.key < $1.key }.prefix(LogLimits.elements)
            let parts = sorted.map { "\($0.key):\(rendered($0.value, named: $0.key, depth: depth + 1))" }
            return "{" + parts.joined(separator: ",") + "}"
        case .array, .dictionary:
            return "..."
        case .string, .stringConvertible:
            let text = LogLimits.safe(value.description, limit: LogLimits.valueBytes)
            let needsQuotes =
                text.isEmpty || text.utf8.contains { $0 <= 0x20 || $0 == 0x7f || $0 == UInt8(ascii: "\"") }
            guard needsQuotes else { return text }
            var bytes: [UInt8] = []
            JSONText.appendString(text, to: &bytes)
            return String(decoding: bytes, as: UTF8.self)
        }
    }

    /// Escapes what would break the line or talk to the terminal.
    private static func oneLine(_ text: String) -> String {
        guard text.utf8.contains(where: { $0 < 0x20 || $0 == 0x7f }) else { return text }
        var bytes: [UInt8] = []
        JSONText.appendString(text, to: &bytes)
        return String(decoding: bytes.dropFirst().dropLast(), as: UTF8.self)
    }
}
