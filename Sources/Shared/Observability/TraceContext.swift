package import Logging

/// The identity of a trace that crosses processes, in the form of the W3C `traceparent` header.
package struct TraceContext: Sendable, Hashable {
    /// The trace of the current task, if any. Written as `trace_id` into each log line.
    @TaskLocal package static var current: TraceContext?

    /// Adds `trace_id` of the current trace to log events.
    package static let metadataProvider = Logger.MetadataProvider {
        guard let current else { return [:] }
        return ["trace_id": "\(current.traceId)"]
    }

    /// 32 lower-case hexadecimal digits, not all zero.
    package let traceId: String
    /// 16 lower-case hexadecimal digits, not all zero: the caller's span.
    package let spanId: String
    /// Whether the trace is recorded.
    package let isSampled: Bool

    /// Starts a new trace.
    package init(isSampled: Bool = true) {
        self.init(
            traceId: Self.randomHex(words: 2), spanId: Self.randomHex(words: 1), isSampled: isSampled)
    }

    private init(traceId: String, spanId: String, isSampled: Bool) {
        self.traceId = traceId
        self.spanId = spanId
        self.isSampled = isSampled
    }

    /// Reads a `traceparent` header: `00-<traceId>-<spanId>-<flags>`. Nil for anything malformed; a version above 0
    /// may have further fields, as the specification asks.
    package init?(traceparent: String) {
        let parts = traceparent.split(separator: "-", omittingEmptySubsequences: false)
        guard traceparent.utf8.count <= 128, parts.count >= 4,
            Self.isHex(parts[0], count: 2), parts[0] != "ff", parts[0] != "00" || parts.count == 4,
            Self.isHex(parts[1], count: 32), Self.isHex(parts[2], count: 16), Self.isHex(parts[3], count: 2),
            parts[1].utf8.contains(where: { $0 != UInt8(ascii: "0") }),
            parts[2].utf8.contains(where: { $0 != UInt8(ascii: "0") }),
            let flags = UInt8(parts[3], radix: 16)
        else { return nil }
        self.init(traceId: String(parts[1]), spanId: String(parts[2]), isSampled: flags & 1 == 1)
    }

    /// The header's value.
    package var traceparent: String {
        "00-\(traceId)-\(spanId)-\(isSampled ? "01" : "00")"
    }

    /// The same trace with a new span.
    package func child() -> TraceContext {
        TraceContext(traceId: traceId, spanId: Self.randomHex(words: 1), isSampled: isSampled)
    }

    private static func isHex(_ text: Substring, count: Int) -> Bool {
        text.utf8.count == count
            && text.utf8.allSatisfy {
                (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0)
                    || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains($0)
            }
    }

    private static func randomHex(words: Int) -> String {
        (0..<words).map { _ in
            let digits = String(UInt64.random(in: 1...UInt64.max), radix: 16)
            return String(repeating: "0", count: 16 - digits.utf8.count) + digits
        }.joined()
    }
}
