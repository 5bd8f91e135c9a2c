package import Foundation
package import Logging

/// A log handler that writes each event as one line, as JSON or as text.
///
/// JSON lines have the keys `ts` (RFC 3339, UTC, milliseconds), `level`, `msg` and `logger`, in this order, then the
/// metadata sorted by key; a metadata key that equals one of the four gets an underscore in front. All values are
/// strings, arrays or objects, so that a key never changes its type. Secrets are redacted, long values are cut.
package struct JSONLogHandler: LogHandler {
    private static let ownKeys: Set<String> = ["ts", "level", "msg", "logger"]

    private let label: String
    private let sink: any LogSink
    private let format: LogFormat
    private let now: @Sendable () -> Date

    /// The lowest level that is written.
    package var logLevel: Logger.Level
    /// Metadata of every event of this logger.
    package var metadata: Logger.Metadata
    /// Metadata from the current task, asked for at every event.
    package var metadataProvider: Logger.MetadataProvider?

    /// Makes a handler for the logger `label`.
    ///
    /// - Parameters:
    ///   - label: the logger's name, written as `logger`.
    ///   - level: the lowest level that is written.
    ///   - format: how a line looks.
    ///   - sink: where the line goes.
    ///   - metadata: metadata of every event, such as the service's name.
    ///   - metadataProvider: metadata from the current task.
    ///   - now: the clock.
    package init(
        label: String, level: Logger.Level, format: LogFormat = .json, sink: any LogSink,
        metadata: Logger.Metadata = [:], metadataProvider: Logger.MetadataProvider? = nil,
        now: @escaping @Sendable () -> Date = { Date() }
    ) {
        self.label = label
        self.logLevel = level
        self.format = format
        self.sink = sink
        self.metadata = metadata
        self.metadataProvider = metadataProvider
        self.now = now
    }

    /// One entry of the handler's metadata.
    package subscript(metadataKey key: String) -> Logger.MetadataValue? {
        get { metadata[key] }
        set { metadata[key] = newValue }
    }

    /// Writes the event as one line.
    package func log(event: LogEvent) {
        let line = LogLine(
            event: event, logger: label, metadata: metadata, provider: metadataProvider, date: now())
        switch format {
        case .json: sink.write(Self.json(line))
        case .text: sink.write(TextLogFormat.bytes(line))
        }
    }

    private static func json(_ line: LogLine) -> [UInt8] {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(256)
        bytes.append(contentsOf: #"{"ts":""#.utf8)
        bytes.append(contentsOf: ISO8601.string(from: line.date).utf8)
        bytes.append(contentsOf: #"","level":""#.utf8)
        bytes.append(contentsOf: line.level.rawValue.utf8)
        bytes.append(contentsOf: #"","msg":"#.utf8)
        JSONText.appendString(line.message, to: &bytes)
        bytes.append(contentsOf: #","logger":"#.utf8)
        JSONText.appendString(line.logger, to: &bytes)
        for (key, value) in line.metadata {
            bytes.append(UInt8(ascii: ","))
            appendKey(ownKeys.contains(key) ? "_" + key : key, to: &bytes)
            append(value, named: key, depth: 0, to: &bytes)
        }
        bytes.append(contentsOf: "}\n".utf8)
        return bytes
    }

    private static func appendKey(_ key: String, to bytes: inout [UInt8]) {
        JSONText.appendString(LogLimits.safe(key, limit: LogLimits.keyBytes), to: &bytes)
        bytes.append(UInt8(ascii: ":"))
    }

    private static func append(
        _ value: Logger.MetadataValue, named name: String, depth: Int, to bytes: inout [UInt8]
    ) {
        guard !Redaction.isSecretName(name) else {
            return JSONText.appendString(Redaction.placeholder, to: &bytes)
        }
        switch value {
        case .array(let elements) where depth < LogLimits.depth:
            bytes.append(UInt8(ascii: "["))
            for (index, element) in elements.prefix(LogLimits.elements).enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                append(element, named: name, depth: depth + 1, to: &bytes)
            }
            bytes.append(UInt8(ascii: "]"))
        case .dictionary(let members) where depth < LogLimits.depth:
            bytes.append(UInt8(ascii: "{"))
            let sorted = members.sorted { $0.key < $1.key }.prefix(LogLimits.elements)
            for (index, member) in sorted.enumerated() {
                if index > 0 { bytes.append(UInt8(ascii: ",")) }
                appendKey(member.key, to: &bytes)
                append(member.value, named: member.key, depth: depth + 1, to: &bytes)
            }
            bytes.append(UInt8(ascii: "}"))
        case .array, .dictionary:
            JSONText.appendString("...", to: &bytes)
        case .string, .stringConvertible:
            JSONText.appendString(LogLimits.safe(value.description, limit: LogLimits.valueBytes), to: &bytes)
        }
    }
}
