import Foundation
import Logging
import Shared
import Synchronization
import Testing

/// Keeps what was written.
final class MemorySink: LogSink {
    private let written = Mutex<[UInt8]>([])

    func write(_ line: [UInt8]) {
        written.withLock { $0 += line }
    }

    var text: String {
        String(decoding: written.withLock { $0 }, as: UTF8.self)
    }
}

@Suite struct JSONLogHandlerTests {
    let sink = MemorySink()

    func logger(
        _ format: LogFormat = .json, level: Logger.Level = .info, provider: Logger.MetadataProvider? = nil
    ) -> Logger {
        let sink = sink
        return Logger(label: "jobs.worker") { label in
            JSONLogHandler(
                label: label, level: level, format: format, sink: sink, metadata: ["service": "test"],
                metadataProvider: provider, now: { Date(timeIntervalSince1970: 1_769_850_307.12) })
        }
    }

    func object() throws -> JSONValue {
        try JSON.decoder.decode(JSONValue.self, from: Data(sink.text.utf8))
    }

    @Test func oneLineWithFixedKeysFirst() throws {
        logger().warning("lease lost", metadata: ["job_id": "7", "a": "b"])
        #expect(
            sink.text
                == #"{"ts":"2026-01-31T09:05:07.120Z","level":"warning","msg":"lease lost","logger":"jobs.worker","#
                + #""a":"b","job_id":"7","service":"test"}"# + "\n")
    }

    @Test func staysOneLineWhateverComes() throws {
        let nasty = "line\nbreak \"quote\" \\ \u{1b}[31m \u{0} ü"
        logger().info("\(nasty)", metadata: ["k\n": "\(nasty)"])
        #expect(sink.text.utf8.count(where: { $0 == UInt8(ascii: "\n") }) == 1)
        #expect(try object()["msg"]?.stringValue == nasty)
        #expect(try object()["k\n"]?.stringValue == nasty)
    }

    @Test func redactsNamesAndValuesAtAnyDepth() throws {
        logger().info(
            "got sk-12345678",
            metadata: [
                "authorization": "whatever",
                "list": ["sk-12345678", "fine"],
                "nested": ["password": "hunter2", "plain": ["url": "http://u:hunter2@h/"]],
                "max_tokens": "5",
            ])
        #expect(!sink.text.contains("12345678"))
        #expect(!sink.text.contains("hunter2"))
        #expect(!sink.text.contains("whatever"))
        let line = try object()
        #expect(line["msg"] == "got redacted")
        #expect(line["list"] == ["redacted", "fine"])
        #expect(line["max_tokens"] == "5")
    }

    @Test func redactsThrownErrors() throws {
        struct Failure: Error { let key = "sk-12345678" }
        logger().error("failed", error: Failure())
        #expect(!sink.text.contains("12345678"))
        #expect(try object()["error"]?.stringValue?.contains("Failure") == true)
    }

    @Test func boundsEverything() throws {
        let long = String(repeating: "ü", count: 50_000)
        var deep: Logger.MetadataValue = "end"
        for _ in 0..<100 { deep = ["d": deep] }
        var metadata: Logger.Metadata = ["value": "\(long)", "deep": deep]
        metadata["list"] = .array(Array(repeating: "x", count: 10_000))
        metadata["\(long)"] = "x"
        for index in 0..<200 { metadata["n\(index)"] = "x" }
        logger().info("\(long)", metadata: metadata)
        #expect(sink.text.utf8.count < 20_000)
        let line = try object()
        #expect(line["msg"]?.stringValue?.hasSuffix("...(91808 more bytes)") == true)
        #expect(line["dropped_entries"] != nil)
    }

    @Test func hidesASecretThatCrossesTheLimit() throws {
        let value = String(repeating: "x ", count: 2046) + "sk-" + String(repeating: "9", count: 5000)
        logger().info("m", metadata: ["value": "\(value)"])
        #expect(!sink.text.contains("999"))
    }

    @Test func ownKeysAreNotOverwritten() throws {
        logger().info("m", metadata: ["ts": "1", "level": "2", "msg": "3", "logger": "4"])
        let line = try object()
        #expect(line["msg"] == "m")
        #expect(line["_msg"] == "3")
        #expect(line["_ts"] == "1")
    }

    @Test func mergesLoggerProviderAndEvent() throws {
        let provider = Logger.MetadataProvider { ["b": "provider", "c": "provider"] }
        var logger = logger(provider: provider)
        logger[metadataKey: "a"] = "logger"
        logger[metadataKey: "b"] = "logger"
        logger.info("m", metadata: ["c": "event"])
        let line = try object()
        #expect(line["a"] == "logger")
        #expect(line["b"] == "provider")
        #expect(line["c"] == "event")
    }

    @Test func respectsTheLevel() {
        let logger = logger(level: .warning)
        logger.info("no")
        #expect(sink.text == "")
        logger.warning("yes")
        #expect(sink.text.contains("yes"))
    }

    @Test func textFormatIsForPeople() {
        logger(.text).error(
            "lost\nit", metadata: ["id": "7", "why": "took too long", "token": "x", "list": ["a", ["b": "c d"]]])
        #expect(
            sink.text
                == #"09:05:07.120 ERROR jobs.worker: lost\nit id=7 list=[a,{b:"c d"}] service=test token=redacted "#
                + "why=\"took too long\"\n")
    }

    @Test func traceOfTheTaskIsLogged() throws {
        let trace = TraceContext()
        TraceContext.$current.withValue(trace) {
            logger(provider: TraceContext.metadataProvider).info("m")
        }
        #expect(try object()["trace_id"]?.stringValue == trace.traceId)
    }
}
