import Foundation
import Logging

/// Where finished log lines go.
package protocol LogSink: Sendable {
    /// Writes one line; `line` ends with a line feed. Never throws: a log that cannot be written must not stop work.
    func write(_ line: [UInt8])
}

/// Writes to standard error or standard output, one line at a time.
package struct StandardStreamSink: LogSink {
    /// The two streams.
    package enum Stream: String, Sendable, CaseIterable {
        /// Standard error.
        case standardError = "stderr"
        /// Standard output.
        case standardOutput = "stdout"
    }

    private let handle: FileHandle

    /// Writes to `stream`.
    package init(_ stream: Stream) {
        handle = stream == .standardError ? .standardError : .standardOutput
    }

    /// Writes the line with one system call where the kernel takes it whole.
    package func write(_ line: [UInt8]) {
        do {
            try handle.write(contentsOf: Data(line))
        } catch {
            // The reader of the stream is gone, and this is the place where failures are reported.
        }
    }
}

/// How a log event becomes a line.
package enum LogFormat: String, Sendable, CaseIterable {
    /// One JSON object per line, for machines.
    case json
    /// Time, level, logger, message and `key=value`, for people at a terminal.
    case text
}

/// The limits that keep a line readable and bounded.
enum LogLimits {
    static let messageBytes = 8192
    static let valueBytes = 4096
    static let keyBytes = 128
    static let entries = 64
    static let elements = 64
    static let depth = 4

    /// `text` without secrets, cut to `limit` bytes at a character's border.
    static func safe(_ text: String, limit: Int) -> String {
        // Twice the limit is kept for the search, so that a secret across the border is still seen as one.
        let redacted = Redaction.text(cut(text, limit: limit * 2).text)
        let (kept, dropped) = cut(redacted, limit: limit)
        let missing = dropped + max(0, text.utf8.count - limit * 2)
        return missing > 0 ? kept + "...(\(missing) more bytes)" : kept
    }

    private static func cut(_ text: String, limit: Int) -> (text: String, dropped: Int) {
        guard text.utf8.count > limit else { return (text, 0) }
        var end = text.utf8.index(text.startIndex, offsetBy: limit)
        while end > text.startIndex, end.samePosition(in: text.unicodeScalars) == nil {
            end = text.utf8.index(before: end)
        }
        let kept = String(text[..<end])
        return (kept, text.utf8.count - kept.utf8.count)
    }
}

/// The parts of an event that both formats write, already merged and in order.
struct LogLine {
    let date: Date
    let level: Logger.Level
    let logger: String
    let message: String
    let metadata: [(key: String, value: Logger.MetadataValue)]

    /// Merges handler, provider and event metadata, the later ones winning, and adds the event's error.
    init(
        event: LogEvent, logger: String, metadata: Logger.Metadata, provider: Logger.MetadataProvider?, date: Date
    ) {
        self.date = date
        self.level = event.level
        self.logger = logger
        self.message = LogLimits.safe(event.message.description, limit: LogLimits.messageBytes)
        var merged = metadata
        if let provider { merged.merge(provider.get()) { _, new in new } }
        if let own = event.metadata { merged.merge(own) { _, new in new } }
        if let error = event.error, merged["error"] == nil { merged["error"] = "\(error)" }
        let sorted = merged.sorted { $0.key < $1.key }
        var entries = sorted.prefix(LogLimits.entries).map { (key: $0.key, value: $0.value) }
        if sorted.count > LogLimits.entries {
            entries.append((key: "dropped_entries", value: "\(sorted.count - LogLimits.entries)"))
        }
        self.metadata = entries
    }
}
