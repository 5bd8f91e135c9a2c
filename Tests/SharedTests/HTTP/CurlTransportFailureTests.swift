import Glibc
import Shared
import Synchronization
import TestSupport
import Testing

@Suite("libcurl transport: failures", .hangGuard)
struct CurlTransportFailureTests {
    @Test("a port nobody listens on is refused, and the request never left")
    func refused() async throws {
        let (descriptor, port) = try listenOnLoopback(backlog: 1)
        _ = close(descriptor)
        let error = try await failure(of: HTTPClientRequest(url: "http://127.0.0.1:\(port)/"))
        #expect(error.code == .connect(refused: true))
        #expect(error.curlCode == 7)
        #expect(!error.requestMayHaveReachedServer)
    }

    @Test("a name that cannot exist")
    func unknownName() async throws {
        // A label of more than 63 characters fails without asking anybody.
        let label = String(repeating: "a", count: 64)
        let error = try await failure(of: HTTPClientRequest(url: "http://\(label).invalid/"))
        #expect(error.code == .dns)
        #expect(!error.requestMayHaveReachedServer)
    }

    @Test("a host that does not finish connecting")
    func connectTimeout() async throws {
        // With its queue of one full, the kernel leaves further connections unanswered.
        let (descriptor, port) = try listenOnLoopback(backlog: 0)
        defer { _ = close(descriptor) }
        let transport = transport()
        let limits = HTTPLimits(totalTimeout: .seconds(20), connectTimeout: .milliseconds(300))
        let request = HTTPClientRequest(url: "http://127.0.0.1:\(port)/", limits: limits)
        try await withThrowingTaskGroup(of: HTTPTransportError.self) { group in
            for _ in 0..<6 { group.addTask { try await failure(of: request, transport) } }
            let first = try await group.next()
            group.cancelAll()
            let error = try #require(first)
            #expect(error.code == .timeout)
            #expect(!error.requestMayHaveReachedServer)
        }
    }

    @Test(
        "the answer does not come, or not whole, in time",
        arguments: [
            "", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ])
    func stalled(sent: String) async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.send(sent)
            connection.waitForHangUp()
        }
        defer { server.stop() }
        let total = HTTPLimits(totalTimeout: .milliseconds(300))
        let idle = HTTPLimits(totalTimeout: .seconds(60), idleTimeout: .seconds(1))
        for limits in [total, idle] {
            let error = try await failure(of: HTTPClientRequest(url: server.url(), limits: limits))
            #expect(error.code == .timeout)
            #expect(error.requestMayHaveReachedServer)
        }
    }

    @Test("a write on a kept connection that ends without an answer is not sent again", arguments: [true, false])
    func writeIsSentOnce(isListening: Bool) async throws {
        let writes = Mutex(0)
        let server = try LoopbackServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.respond()
            // Taken, perhaps carried out, never answered.
            if connection.readRequest()?.method == "POST" { writes.withLock { $0 += 1 } }
        }
        defer { server.stop() }
        let transport = transport()
        _ = try await transport.send(HTTPClientRequest(url: server.url()))
        if !isListening { server.stopListening() }
        let write = HTTPClientRequest(method: .post, url: server.url(), body: Array("{}".utf8))
        let error = try await failure(of: write, transport)
        #expect(error.requestMayHaveReachedServer)
        #expect(error.code == (isListening ? .aborted : .connect(refused: true)))
        await transport.shutdown()
        #expect(writes.withLock { $0 } == 1)
    }

    @Test("a read on a kept connection that ends without an answer is sent again")
    func readIsSentAgain() async throws {
        let server = try LoopbackServer { connection in
            guard connection.readRequest() != nil else { return }
            connection.respond(200, "answered")
            _ = connection.readRequest()
        }
        defer { server.stop() }
        let transport = transport()
        for _ in 0..<2 {
            let answer = try await transport.send(HTTPClientRequest(url: server.url()))
            #expect(String(decoding: answer.body, as: UTF8.self) == "answered")
        }
        #expect(server.acceptedCount == 2)
        await transport.shutdown()
    }

    @Test(
        "the connection ends too early",
        arguments: [
            "", "HTTP/1.1 200 OK\r\ncontent-le", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n",
        ], [false, true])
    func cut(sent: String, byReset: Bool) async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.send(sent)
            if byReset { connection.reset() }
        }
        defer { server.stop() }
        let error = try await failure(of: HTTPClientRequest(method: .post, url: server.url(), body: [1]))
        #expect(error.code == .aborted)
        #expect(error.requestMayHaveReachedServer)
    }

    @Test("the connection ends before the request is read")
    func droppedUnread() async throws {
        let server = try LoopbackServer { connection in connection.reset() }
        defer { server.stop() }
        let error = try await failure(of: HTTPClientRequest(method: .post, url: server.url(), body: [1]))
        #expect(error.code == .aborted || error.code == .connect(refused: false))
    }

    @Test("a kept connection that has gone stale is replaced unnoticed")
    func staleConnection() async throws {
        let served = Mutex(0)
        let server = try LoopbackServer { connection in
            guard connection.readRequest() != nil else { return }
            served.withLock { $0 += 1 }
            connection.respond(200, "ok")
        }
        defer { server.stop() }
        let transport = transport()
        for _ in 0..<3 {
            #expect(try await transport.send(HTTPClientRequest(url: server.url())).status == 200)
        }
        #expect(served.withLock { $0 } == 3)
    }

    @Test(
        "more than the limit",
        arguments: [
            "HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nx: \(String(repeating: "y", count: 90_000))\r\n",
        ])
    func tooLarge(head: String) async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.send(head)
            // Without an end: only the limit can end it.
            while connection.send(head.hasSuffix("\r\n\r\n") ? "0123456789" : "x: \(head.count)\r\n") {}
        }
        defer { server.stop() }
        let limits = HTTPLimits(maxResponseBytes: 1000)
        let error = try await failure(of: HTTPClientRequest(url: server.url(), limits: limits))
        #expect(error.code == .tooLarge)
        #expect(error.requestMayHaveReachedServer)
    }

    @Test("a body that is small only while compressed")
    func bomb() async throws {
        // 100 000 zero bytes, compressed by gzip.
        let bomb: [UInt8] =
            [31, 139, 8, 0, 0, 0, 0, 0, 2, 3, 237, 193, 49, 1, 0, 0, 0, 194, 160, 245, 79, 109, 13, 15, 160]
            + [UInt8](repeating: 0, count: 96) + [128, 87, 3, 125, 149, 17, 212, 160, 134, 1, 0]
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.send("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: \(bomb.count)\r\n\r\n")
            connection.send(bomb)
            connection.waitForHangUp()
        }
        defer { server.stop() }
        let limits = HTTPLimits(maxResponseBytes: 1000)
        let error = try await failure(of: HTTPClientRequest(url: server.url(), limits: limits))
        #expect(error.code == .tooLarge)
    }

    @Test("an answer that is not HTTP", arguments: ["SSH-2.0-OpenSSH\r\n", "HTTP/9 what\r\n\r\n"])
    func garbage(sent: String) async throws {
        let server = try LoopbackServer { connection in
            _ = connection.readRequest()
            connection.send(sent)
        }
        defer { server.stop() }
        let error = try await failure(of: HTTPClientRequest(url: server.url()))
        #expect(error.code == .protocolViolation)
        #expect(error.requestMayHaveReachedServer)
    }

    @Test("waiting for a connection ends with the total time, and never left")
    func waitingTimeout() async throws {
        let server = try LoopbackServer { connection in connection.waitForHangUp() }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 1, maxWaiting: 1, metrics: false))
        let occupier = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        try await waitUntil { server.acceptedCount == 1 }
        let short = HTTPLimits(totalTimeout: .milliseconds(200))
        let error = try await failure(of: HTTPClientRequest(url: server.url(), limits: short), transport)
        #expect(error.code == .timeout)
        #expect(!error.requestMayHaveReachedServer)
        occupier.cancel()
        _ = await occupier.result
        #expect(server.acceptedCount == 1)
    }

    @Test("beyond the limit of waiting requests the next one is turned away")
    func overloaded() async throws {
        let server = try LoopbackServer { connection in connection.waitForHangUp() }
        defer { server.stop() }
        let transport = transport(HTTPSettings(maxConnectionsPerHost: 1, maxWaiting: 0, metrics: false))
        let occupier = Task { try await transport.send(HTTPClientRequest(url: server.url())) }
        try await waitUntil { server.acceptedCount == 1 }
        let error = try await failure(of: HTTPClientRequest(url: server.url()), transport)
        #expect(error.code == .overloaded)
        #expect(!error.requestMayHaveReachedServer)
        occupier.cancel()
        _ = await occupier.result
    }
}
