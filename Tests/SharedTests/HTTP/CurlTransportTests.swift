import Logging
import Shared
import Synchronization
import TestSupport
import Testing

@Suite("libcurl transport", .hangGuard)
struct CurlTransportTests {
    @Test("gives status, headers and body")
    func answer() async throws {
        let server = try LoopbackServer { connection in
            connection.serve { _ in connection.respond(404, "nope", headers: ["X-Thing: a b ", "x-empty:"]) }
        }
        defer { server.stop() }
        let response = try await transport().send(HTTPClientRequest(url: server.url("/a?b=c")))
        #expect(response.status == 404)
        #expect(response.body == Array("nope".utf8))
        #expect(response.header("x-thing") == "a b")
        #expect(response.header("X-EMPTY") == "")
        #expect(response.header("absent") == nil)
        #expect(!response.reusedConnection)
    }

    @Test(
        "sends method, target, headers and body",
        arguments: [
            (HTTPClientRequest.Method.get, 0), (.head, 0), (.post, 2), (.post, 0), (.put, 1), (.patch, 1),
            (.delete, 0), (.delete, 2), (.post, 3 << 20),
        ])
    func request(method: HTTPClientRequest.Method, bodySize: Int) async throws {
        let body = [UInt8](repeating: UInt8(ascii: "z"), count: bodySize)
        let seen = Mutex<LoopbackRequest?>(nil)
        let server = try LoopbackServer { connection in
            connection.serve { request in
                seen.withLock { $0 = request }
                connection.respond(200, method == .head ? "" : "ok")
            }
        }
        defer { server.stop() }
        let request = HTTPClientRequest(
            method: method, url: server.url("/p%20q?x=%C3%A9"), headers: [("X-One", "1"), ("x-empty", "")],
            body: body)
        #expect(try await transport().send(request).status == 200)
        let received = try #require(seen.withLock { $0 })
        #expect(received.method == method.rawValue)
        #expect(received.target == "/p%20q?x=%C3%A9")
        #expect(received.headers["x-one"] == "1")
        #expect(received.headers["x-empty"] == "")
        #expect(received.headers["user-agent"] == "litemaas")
        #expect(received.headers["expect"] == nil)
        #expect(received.body == body)
    }

    @Test("keeps the connection for the next request")
    func reuse() async throws {
        let server = try LoopbackServer { connection in connection.serve { _ in connection.respond(200, "ok") } }
        defer { server.stop() }
        let transport = transport()
        for index in 0..<5 {
            let response = try await transport.send(HTTPClientRequest(url: server.url()))
            #expect(response.reusedConnection == (index > 0))
        }
        #expect(server.acceptedCount == 1)
    }

    @Test("has 24 requests under way at once, then uses their connections again")
    func concurrency() async throws {
        let count = 24
        let barrier = Barrier(count)
        let server = try LoopbackServer { connection in
            connection.serve { request in
                if request.target == "/together" { barrier.arriveAndWait() }
                connection.respond(200, request.target)
            }
        }
        defer { server.stop() }
        let transport = transport()
        for target in ["/together", "/later"] {
            try await withThrowingTaskGroup(of: String.self) { group in
                for _ in 0..<count {
                    group.addTask {
                        let response = try await transport.send(HTTPClientRequest(url: server.url(target)))
                        return String(decoding: response.body, as: UTF8.self)
                    }
                }
                for try await body in group { #expect(body == target) }
            }
        }
        #expect(server.acceptedCount == count)
    }

    @Test("keeps to the limit of connections per host")
    func limit() async throws {
        let active = Mutex((now: 0, peak: 0))
        let barrier = Barrier(4)
        let server = try LoopbackServer { connection in
            connection.serve { _ in
                active.withLock { $0 = ($0.now + 1, max($0.peak, $0.now + 1)) }
                barrier.arriveAndWait()
                active.withLock { $0.now -= 1 }
                connection.respond(200, "ok")
            }
        }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 4))
        try await withThrowingTaskGroup(of: Int.self) { group in
            for _ in 0..<20 {
                group.addTask { try await transport.send(HTTPClientRequest(url: server.url())).status }
            }
            for try await status in group { #expect(status == 200) }
        }
        #expect(active.withLock { $0.peak } == 4)
        #expect(server.acceptedCount <= 4)
    }

    @Test("follows no redirect")
    func redirect() async throws {
        let server = try LoopbackServer { connection in
            connection.serve { _ in connection.respond(302, "", headers: ["location: /elsewhere"]) }
        }
        defer { server.stop() }
        let response = try await transport().send(HTTPClientRequest(url: server.url("/first")))
        #expect(response.status == 302)
        #expect(response.header("location") == "/elsewhere")
        #expect(server.acceptedCount == 1)
    }

    @Test("leaves out interim answers and decodes a compressed body")
    func decoding() async throws {
        let server = try LoopbackServer { connection in
            connection.serve { request in
                #expect(request.headers["accept-encoding"]?.contains("gzip") == true)
                connection.send("HTTP/1.1 103 Early Hints\r\nlink: early\r\n\r\n")
                connection.send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: \(hello.count)\r\n\r\n")
                connection.send(hello)
            }
        }
        defer { server.stop() }
        let response = try await transport().send(HTTPClientRequest(url: server.url()))
        #expect(response.status == 200)
        #expect(String(decoding: response.body, as: UTF8.self) == "hello")
        #expect(response.header("link") == nil)
    }

    @Test(
        "refuses what cannot be sent",
        arguments: [
            HTTPClientRequest(url: "nonsense"), HTTPClientRequest(url: "ftp://127.0.0.1/"),
            HTTPClientRequest(url: "file:///etc/passwd"), HTTPClientRequest(url: "http://127.0.0.1:99999/"),
            HTTPClientRequest(url: "http://127.0.0.1/", headers: [("x-a", "b\r\nx-injected: 1")]),
            HTTPClientRequest(url: "http://127.0.0.1/", headers: [("x:a", "b")]),
            HTTPClientRequest(url: "http://127.0.0.1/\r\nx-injected: 1"),
        ])
    func unsendable(request: HTTPClientRequest) async throws {
        let error = try await #require(throws: HTTPTransportError.self) { try await transport().send(request) }
        #expect(error.code == .invalidRequest)
        #expect(!error.requestMayHaveReachedServer)
    }

    @Test("says nothing of query, headers and body in its texts")
    func secrecy() async throws {
        let server = try LoopbackServer { connection in _ = connection.readRequest() }
        defer { server.stop() }
        let request = HTTPClientRequest(
            method: .post, url: "http://user:pw-secret@127.0.0.1:\(server.port)/path?token=q-secret",
            headers: [("authorization", "h-secret")], body: Array("b-secret".utf8))
        let error = try await #require(throws: HTTPTransportError.self) { try await transport().send(request) }
        let texts = ["\(error)", error.message, "\(request)", String(reflecting: request), dumped(request)]
        for text in texts {
            #expect(!text.contains("secret"))
            #expect(!text.contains("token"))
        }
        #expect(error.message.contains("127.0.0.1:\(server.port)"))
    }
}

/// "hello", compressed by gzip.
private let hello: [UInt8] = [
    0x1f, 0x8b, 0x08, 0, 0, 0, 0, 0, 0x02, 0x03, 0xcb, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0, 0x86, 0xa6, 0x10, 0x36, 5, 0,
    0, 0,
]

private func dumped(_ value: some Any) -> String {
    var text = ""
    dump(value, to: &text)
    return text
}
