import Foundation
import Logging
import Shared
import Testing

@Suite("LiteLLM: every call")
struct LiteLLMClientTests {
    @Test("a call carries the key, who asks and why; a read changes nothing, so it names no changer")
    func headers() async throws {
        let litellm = FakeLiteLLM([
            "GET /key/list": .answer(body: emptyKeyList), "POST /key/block": .answer(body: "{}"),
        ])
        let client = litellm.client()
        try await client.probe()
        try await client.withCorrelation(requestId: "r-1", jobId: "7").blockKey(hash: someHash)
        try await client.withCorrelation(requestId: nil, jobId: "7").blockKey(hash: someHash)
        let requests = litellm.transport.requests
        #expect(requests.map { $0.header("authorization") } == Array(repeating: "Bearer sk-master-secret", count: 3))
        #expect(requests.map { $0.header("x-request-id") } == [nil, "r-1", "job-7"])
        #expect(requests.map { $0.header("litellm-changed-by") } == [nil, "litemaas", "litemaas"])
        #expect(requests.map { $0.header("content-type") } == [nil, "application/json", "application/json"])
        #expect(requests.allSatisfy { $0.url.hasPrefix("http://litellm.test/key/") })
    }

    @Test("values in a URL are encoded")
    func encoding() async throws {
        let litellm = FakeLiteLLM(["GET /user/info": .refusal(404, "User not found")])
        _ = try await litellm.client().user(id: "a b&c=d/é?#%+")
        #expect(
            litellm.transport.requests.first?.url
                == "http://litellm.test/user/info?user_id=a%20b%26c%3Dd%2F%C3%A9%3F%23%25%2B")
        #expect(litellm.transport.requests.first?.query["user_id"] == "a b&c=d/é?#%+")
    }

    @Test("each request passes the gate, with its class and time limit")
    func gate() async throws {
        let gate = RecordingGate()
        let litellm = FakeLiteLLM([
            "GET /key/list": .answer(body: emptyKeyList),
            "GET /user/daily/activity": .answer(body: #"{"results":[],"metadata":{"page":1,"total_pages":0}}"#),
        ])
        let client = litellm.client { $0.usageTimeout = .seconds(99) }.gated(by: gate)
        try await client.probe()
        _ = try await client.dailyActivity(date: "2026-11-23")
        #expect(gate.admitted.map(\.0) == [.litellmAdmin, .litellmUsage])
        #expect(gate.admitted.map(\.1) == [.seconds(30), .seconds(99)])
        #expect(gate.upstreams == [.litellmAdmin, .litellmUsage])
        #expect(gate.finished.allSatisfy { $0 == nil })
        #expect(litellm.transport.requests.map(\.limits.totalTimeout) == [.seconds(30), .seconds(99)])
    }

    @Test("what the gate throws is thrown, and nothing is sent or reported")
    func refusedByGate() async throws {
        let litellm = FakeLiteLLM(["GET /key/list": .answer(body: emptyKeyList)])
        let gate = RecordingGate(refuseAfter: 0)
        await #expect(throws: RecordingGate.Refused.self) { try await litellm.client().gated(by: gate).probe() }
        #expect(litellm.calls.isEmpty)
        #expect(gate.finished.isEmpty)
    }

    @Test("a gate that closes before the second read keeps the first answer from being believed")
    func refusedInBetween() async throws {
        let litellm = FakeLiteLLM(["GET /team/info": .refusal(404, "Team not found, passed team id: t")])
        let gate = RecordingGate(refuseAfter: 1)
        await #expect(throws: RecordingGate.Refused.self) {
            try await litellm.client().gated(by: gate).team(id: "t")
        }
        #expect(gate.finished.count == 1)
        #expect(gate.finished.first??.countsForBreaker == false)
    }

    @Test(
        "a request without an answer",
        arguments: [
            (HTTPTransportError.Code.connect(refused: true), "litellm_unreachable", true, true),
            (.connect(refused: false), "litellm_unreachable", true, false), (.dns, "litellm_unreachable", true, false),
            (.tls, "litellm_tls_failed", true, false), (.timeout, "litellm_timeout", true, false),
            (.aborted, "litellm_connection_lost", true, false),
            (.protocolViolation, "litellm_bad_response", true, false),
            (.tooLarge, "litellm_response_too_large", false, false), (.cancelled, "litellm_cancelled", false, false),
            (.closed, "litellm_cancelled", false, false), (.overloaded, "litellm_client_overloaded", false, false),
        ] as [(HTTPTransportError.Code, String, Bool, Bool)])
    func lost(code: HTTPTransportError.Code, expected: String, counts: Bool, opensAll: Bool) async throws {
        for reached in [false, true] {
            let lost = FakeLiteLLM.Outcome.lost(code, reached: reached)
            let gate = RecordingGate()
            let client = FakeLiteLLM(["GET /key/list": lost, "POST /key/block": lost]).client().gated(by: gate)
            let read = try await liteLLMError { try await client.probe() }
            let write = try await liteLLMError { try await client.blockKey(hash: someHash) }
            for error in [read, write] {
                #expect(error.kind == .retryable)
                #expect(error.code == expected)
                #expect(error.countsForBreaker == counts)
                #expect(error.opensEveryClass == opensAll)
                #expect(error.httpStatus == nil)
            }
            #expect(!read.outcomeUnknown)
            #expect(write.outcomeUnknown == reached)
            #expect(gate.finished == [read, write])
        }
    }

    @Test("a request that cannot be sent is permanent")
    func unsendable() async throws {
        let lost = FakeLiteLLM.Outcome.lost(.invalidRequest, reached: false)
        let error = try await liteLLMError { try await FakeLiteLLM(["GET /key/list": lost]).client().probe() }
        #expect(error.kind == .permanent)
        #expect(error.code == "invalid_request")
    }

    @Test("a success with something else than the expected JSON", arguments: ["", "<html>", "[1", "\"ok\"", "null"])
    func badResponse(body: String) async throws {
        let litellm = FakeLiteLLM([
            "GET /key/list": .answer(body: body), "POST /key/block": .answer(body: body),
            "POST /key/generate": .answer(body: body),
        ])
        let read = try await liteLLMError { try await litellm.client().probe() }
        let write = try await liteLLMError { try await litellm.client().blockKey(hash: someHash) }
        let spec = LiteLLMKeySpec(
            alias: "k", marker: LiteLLMMarker(.key, id: "1", intentId: "1", version: 1), models: .init("a"))
        let make = try await liteLLMError {
            try await litellm.client().generateKey(spec, secret: Secret("sk-chosen-0123456789"))
        }
        for error in [read, write, make] {
            #expect(error.kind == .retryable)
            #expect(error.code == "litellm_bad_response")
            #expect(error.countsForBreaker)
        }
        #expect([read, write, make].map(\.outcomeUnknown) == [false, true, true])
    }

    @Test(
        "how long to wait, in seconds or as a date",
        arguments: [
            ("60", Duration.seconds(60)), ("0", .zero), ("1.5", .milliseconds(1500)), (" 3 ", .seconds(3)),
            ("Mon, 23 Nov 2026 00:01:30 GMT", .seconds(90)), ("Mon, 23 Nov 2020 00:00:00 GMT", .zero),
            ("soon", nil), ("-5", nil), ("", nil),
        ] as [(String, Duration?)])
    func retryAfter(header: String, expected: Duration?) async throws {
        let limited = FakeLiteLLM.Outcome.answer(429, "{}", headers: [("Retry-After", header)])
        let error = try await liteLLMError { try await FakeLiteLLM(["GET /key/list": limited]).client().probe() }
        #expect(error.code == "litellm_rate_limited")
        #expect(error.retryAfter == expected)
        #expect(!error.countsForBreaker)
    }

    @Test("one line for each call, with neither secrets nor values")
    func logging() async throws {
        let log = LogRecorder()
        let logger = Logger(label: "test") { _ in log }
        let litellm = FakeLiteLLM([
            "POST /key/generate": .refusal(400, "Invalid key format. Received: sk-chosen-0123456789"),
            "GET /key/list": .answer(body: emptyKeyList), "GET /key/info": .refusal(404, "Key not found in database"),
        ])
        let client = LiteLLMClient(
            transport: litellm.transport,
            settings: LiteLLMSettings(baseURL: "http://litellm.test", apiKey: Secret("sk-master-secret")),
            logger: logger
        ).withCorrelation(requestId: "r-1", jobId: "7")
        let spec = LiteLLMKeySpec(
            alias: "k", marker: LiteLLMMarker(.key, id: "1", intentId: "1", version: 1), models: .init("a"))
        let error = try await liteLLMError {
            try await client.generateKey(spec, secret: Secret("sk-chosen-0123456789"))
        }
        #expect(try await client.keyInfo(hash: someHash) == nil)
        #expect(log.entries.count == 3)
        let first = try #require(log.entries.first)
        #expect(first.level == .debug)
        #expect(first.metadata["method"] == "POST")
        #expect(first.metadata["path"] == "/key/generate")
        #expect(first.metadata["status"] == "400")
        #expect(first.metadata["error"] == "validation")
        #expect(first.metadata["request_id"] == "r-1")
        #expect(first.metadata["job_id"] == "7")
        let everything =
            log.entries.map { "\($0.message) \($0.metadata)" } + ["\(error)", error.message, "\(error.detail ?? "")"]
        for text in everything {
            #expect(!text.contains("sk-chosen"))
            #expect(!text.contains("sk-master"))
            #expect(!text.contains(someHash))
        }
    }

    @Test("the settings drop slashes at the end of the base URL, and print no key")
    func settings() {
        let settings = LiteLLMSettings(baseURL: "http://h:4000//", apiKey: Secret("sk-master-secret"))
        #expect(settings.baseURL == "http://h:4000")
        #expect(!"\(settings)".contains("sk-master"))
    }

    @Test("the stored numbers of the classes never change")
    func upstreams() {
        #expect(Upstream.allCases.map(\.code) == [1, 2])
        #expect(Upstream.allCases.map { Upstream(code: $0.code) } == [.litellmAdmin, .litellmUsage])
        #expect(Upstream(code: 3) == nil)
        #expect(Upstream.allCases.map(\.rawValue) == ["litellm.admin", "litellm.usage"])
    }

    @Test("a marker survives its way through metadata, and nobody else's is taken for ours")
    func marker() {
        for resource in LiteLLMMarker.Resource.allCases {
            let marker = LiteLLMMarker(resource, id: "5", intentId: "i", version: 4, client: ["a": [1]])
            #expect(LiteLLMMarker(metadata: marker.metadata) == marker)
        }
        #expect(LiteLLMMarker(metadata: nil) == nil)
        #expect(LiteLLMMarker(metadata: ["db_key_id": "5"]) == nil)
        #expect(LiteLLMMarker(metadata: ["created_by": "somebody", "db_key_id": "5"]) == nil)
        #expect(LiteLLMMarker(metadata: ["created_by": "litemaas"]) == nil)
    }
}
