import Foundation
import HTTPTypes
import Logging
import Synchronization
import TestSupport
import Testing

@testable import API
@testable import Shared

@Suite("Layers around every request", .needsDatabase, .hangGuard)
struct LayerTests {
    @Test("the error body has the shape that both generations of clients read")
    func errorBody() async throws {
        try await APIHarness.run { api in
            let correlation = "9b2f8f0e-6d0b-4c37-8b1e-0f6a4b1c2d3e"
            let answer = try await api.send(
                .get, "/api/v1/nowhere", headers: [.requestId: "abc-1", .correlationId: correlation])
            #expect(answer.status == 404 && answer.errorCode == "NOT_FOUND")
            #expect(
                answer["error"]?.objectValue.map { Set($0.keys) } == [
                    "code", "message", "statusCode", "requestId", "correlationId", "timestamp",
                ])
            #expect(answer["error", "statusCode"] == 404 && answer["error", "requestId"] == "abc-1")
            #expect(answer["requestId"] == "abc-1" && answer["error", "correlationId"]?.stringValue == correlation)
            #expect(answer["error", "timestamp"]?.stringValue.flatMap(ISO8601.date(from:)) != nil)
            #expect(answer.headers[.requestId] == "abc-1" && answer.headers[.correlationId] == correlation)
            #expect(answer.headers[.contentType] == "application/json; charset=utf-8")
        }
    }

    @Test(
        "request ids that are not short and plain are replaced",
        arguments: ["", "a b", "a\tb", "é", String(repeating: "x", count: 129), "<script>"])
    func requestIds(_ id: String) async throws {
        let made = RequestIdentity.requestId(from: id)
        #expect(made != id && UUID(uuidString: made) != nil)
        #expect(RequestIdentity.requestId(from: "Ab1-_.:") == "Ab1-_.:")
    }

    @Test("only a UUID of version 4 is echoed as correlation id")
    func correlationIds() {
        let good = "9B2F8F0E-6d0b-4c37-ab1e-0f6a4b1c2d3e"
        #expect(RequestIdentity.correlationId(from: good) == good)
        for bad in [
            nil, "", "x", "9b2f8f0e-6d0b-1c37-8b1e-0f6a4b1c2d3e", "9b2f8f0e-6d0b-4c37-cb1e-0f6a4b1c2d3e",
            "{9b2f8f0e-6d0b-4c37-8b1e-0f6a4b1c2d3e}", "9b2f8f0e6d0b4c378b1e0f6a4b1c2d3e",
        ] {
            #expect(RequestIdentity.correlationId(from: bad) == nil)
        }
    }

    @Test("every answer has the security headers, none says what serves it")
    func securityHeaders() async throws {
        try await APIHarness.run {
            $0.isLive = true
        } _: { api in
            for path in ["/api/v1", "/api/v1/nowhere", "/api/v1/auth/me"] {
                let answer = try await api.send(.get, path)
                #expect(answer.headers[.xContentTypeOptions] == "nosniff")
                #expect(answer.headers[.contentSecurityPolicy]?.contains("default-src 'none'") == true)
                #expect(answer.headers[.strictTransportSecurity] != nil && answer.headers[.cacheControl] == "no-store")
                #expect(answer.headers[.server] == nil && answer.headers[.requestId] != nil)
            }
        }
    }

    @Test("bodies are bounded, need no content type when empty, and must be JSON otherwise")
    func bodies() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let path = "/api/v1/models/sync"
            let big =
                Array(#"{"x":""#.utf8) + Array(repeating: UInt8(ascii: "x"), count: 1024 * 1024) + Array(#""}"#.utf8)
            let tooLarge = try await api.send(.post, path, bytes: big, as: admin)
            #expect(tooLarge.status == 413 && tooLarge.errorCode == "PAYLOAD_TOO_LARGE")
            let text = try await api.send(
                .post, path, bytes: Array("{}".utf8), as: admin, headers: [.contentType: "text/plain"])
            #expect(text.status == 415)
            for type in [
                "application/json", "application/json; charset=utf-8", "Application/JSON",
                "application/merge-patch+json",
            ] {
                let answer = try await api.send(
                    .post, path, bytes: Array("{}".utf8), as: admin, headers: [.contentType: type])
                #expect(answer.status == 202, "\(type)")
            }
            let empty = try await api.send(.post, path, bytes: [], as: admin, headers: [.contentType: "text/plain"])
            #expect(empty.status == 202)
            let blank = try await api.send(.post, path, bytes: Array(" \n".utf8), as: admin)
            #expect(blank.status == 202)
            for bad in ["{", "nul", "\u{1}", "{\"a\":\"\\ud800\"}"] {
                let answer = try await api.send(.post, path, bytes: Array(bad.utf8), as: admin)
                #expect(answer.status == 400 && answer.refusedFields == ["body"], "\(bad)")
            }
            let notUTF8 = try await api.send(.post, path, bytes: [0x22, 0xff, 0x22], as: admin)
            #expect(notUTF8.status == 400)
        }
    }

    @Test("a URI that is too long is 414; a broken query 400")
    func uris() async throws {
        try await APIHarness.run { api in
            let long = "/api/v1/models?search=" + String(repeating: "x", count: 8192)
            let tooLong = try await api.send(.get, long)
            #expect(tooLong.status == 414)
            #expect(try await api.send(.get, "/api/v1/models?search=%zz").refusedFields == ["query"])
            #expect(try await api.send(.get, "/api/v1/models?search=%00").status == 400)
        }
    }

    @Test("pages of listed origins may call, others get nothing")
    func cors() async throws {
        try await APIHarness.run {
            $0.settings.frontendOrigins = ["https://a.example"]
        } _: { api in
            let allowed = try await api.send(.get, "/api/v1/config", headers: [.origin: "https://a.example"])
            #expect(allowed.headers[.accessControlAllowOrigin] == "https://a.example")
            #expect(allowed.headers[.accessControlExposeHeaders]?.contains("Location") == true)
            let other = try await api.send(.get, "/api/v1/config", headers: [.origin: "https://evil.example"])
            #expect(other.headers[.accessControlAllowOrigin] == nil && other.headers[.vary] == "Origin")
            let preflight: HTTPFields = [.origin: "https://a.example", .accessControlRequestMethod: "POST"]
            let answer = try await api.send(.options, "/api/v1/api-keys", headers: preflight)
            #expect(answer.status == 204)
            #expect(answer.headers[.accessControlAllowHeaders]?.contains("Idempotency-Key") == true)
        }
    }

    @Test("one line per request, by template, with its ids and without secrets")
    func accessLog() async throws {
        let lines = LogLines()
        try await APIHarness.run { options in
            options.logger = Logger(label: "test", factory: { _ in lines.handler })
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let created = try await api.createKey(as: user, headers: [.requestId: "req-7"])
            let secret = try #require(created["key"]?.stringValue)
            let id = try #require(created["id"]?.stringValue)
            _ = try await api.send(.get, "/api/v1/api-keys/\(id)?token=\(secret)")
            let requests = lines.all.filter { $0.contains("\"msg\":\"request\"") }.compactMap { line in
                try? JSONParser.parse(Array(line.utf8))
            }
            #expect(requests.count == 2)
            #expect(requests[0]["route"] == "/api/v1/api-keys" && requests[0]["status"] == "202")
            #expect(requests[0]["method"] == "POST" && requests[0]["request_id"] == "req-7")
            #expect(requests[0]["user_id"]?.stringValue == user.id.text && requests[0]["ms"] != nil)
            #expect(requests[1]["route"] == "/api/v1/api-keys/{id}" && requests[1]["code"] == "UNAUTHORIZED")
            #expect(requests[1]["user_id"] == nil)
            let token = try await api.token(of: user)
            for line in lines.all {
                #expect(!line.contains(secret) && !line.contains(token.suffix(40)) && !line.contains("alice@"))
            }
        }
    }

    /// Collects log lines as they would be written.
    private final class LogLines: LogSink {
        private let lines = Mutex<[String]>([])

        var all: [String] { lines.withLock { $0 } }

        var handler: JSONLogHandler { JSONLogHandler(label: "test", level: .info, sink: self) }

        func write(_ line: [UInt8]) { lines.withLock { $0.append(String(decoding: line, as: UTF8.self)) } }
    }
}

@Suite("Error translation")
struct ErrorTranslatorTests {
    @Test(
        "SQL states become statuses, and never words of the database",
        arguments: [
            ("23505", 409), ("23503", 400), ("23514", 400), ("23502", 400), ("22021", 400), ("40001", 409),
            ("40P01", 409),
            ("55P03", 409), ("57014", 504), ("25006", 503), ("57P01", 503), ("53300", 503), ("42P01", 500),
            ("XX000", 500),
        ] as [(String, Int)])
    func sqlStates(_ state: String, _ status: Int) {
        var error = PostgresError(.server, "relation \"secret_table\" does not exist")
        error.sqlState = state
        let answer = ErrorTranslator.apiError(for: error)
        #expect(answer.status.code == status)
        #expect(!answer.message.contains("secret_table"))
    }

    @Test("an error nobody thought of is a bare 500")
    func unknown() {
        struct Surprise: Error { let password = "hunter2" }
        let answer = ErrorTranslator.apiError(for: Surprise())
        #expect(answer.status == .internalServerError && answer.code == .internalError)
        #expect(!answer.message.contains("hunter2"))
    }
}
