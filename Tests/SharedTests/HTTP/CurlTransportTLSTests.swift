import Foundation
import Shared
import TestSupport
import Testing

@Suite("libcurl transport: TLS", .hangGuard)
struct CurlTransportTLSTests {
    @Test("a server whose authority is in the CA file is trusted")
    func trusted() async throws {
        let server = try await TLSServer(name: "localhost")
        defer { server.stop() }
        let transport = transport(HTTPSettings(caFile: server.authority, metrics: false))
        let response = try await transport.send(HTTPClientRequest(url: server.url("localhost")))
        #expect(response.status == 200)
    }

    @Test("a server of an unknown authority is refused before anything is sent")
    func unknownAuthority() async throws {
        let server = try await TLSServer(name: "localhost")
        let other = try await TLSServer(name: "localhost")
        defer {
            server.stop()
            other.stop()
        }
        for file in [nil, other.authority, "/nonexistent.pem"] {
            let transport = transport(HTTPSettings(caFile: file, metrics: false))
            let error = try await failure(of: HTTPClientRequest(url: server.url("localhost")), transport)
            #expect(error.code == .tls)
            #expect(!error.requestMayHaveReachedServer)
        }
    }

    @Test("a certificate for another name is refused")
    func wrongName() async throws {
        let server = try await TLSServer(name: "elsewhere.invalid")
        defer { server.stop() }
        let transport = transport(HTTPSettings(caFile: server.authority, metrics: false))
        let error = try await failure(of: HTTPClientRequest(url: server.url("localhost")), transport)
        #expect(error.code == .tls)
        #expect(!error.requestMayHaveReachedServer)
    }

    @Test("a server that does not speak TLS is refused")
    func noTLS() async throws {
        let server = try LoopbackServer { connection in
            connection.send("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
            connection.waitForHangUp()
        }
        defer { server.stop() }
        let error = try await failure(of: HTTPClientRequest(url: "https://127.0.0.1:\(server.port)/"))
        #expect(error.code == .tls)
        #expect(!error.requestMayHaveReachedServer)
    }
}

@Suite("libcurl transport: proxy", .hangGuard)
struct CurlTransportProxyTests {
    @Test("the environment's proxy is used only when asked for")
    func proxy() async throws {
        // In a process of its own, as the environment belongs to all tests.
        await #expect(processExitsWith: .success) {
            let proxy = try LoopbackServer { connection in
                connection.serve { request in connection.respond(200, "by proxy: \(request.target)") }
            }
            let server = try LoopbackServer { connection in
                connection.serve { request in connection.respond(200, "direct: \(request.target)") }
            }
            _ = unsafe setenv("http_proxy", proxy.url(), 1)
            let asked = transport(HTTPSettings(proxyFromEnvironment: true, metrics: false))
            #expect(try await body(server.url("/x"), transport()) == "direct: /x")
            #expect(try await body(server.url("/x"), asked) == "by proxy: \(server.url("/x"))")
            _ = unsafe setenv("no_proxy", "127.0.0.1", 1)
            #expect(try await body(server.url("/y"), asked) == "direct: /y")
            server.stop()
            proxy.stop()
        }
    }
}

private func body(_ url: String, _ transport: CurlTransport) async throws -> String {
    String(decoding: try await transport.send(HTTPClientRequest(url: url)).body, as: UTF8.self)
}

/// `openssl s_server` with a certificate of an authority of its own.
private struct TLSServer {
    /// PEM file of the authority.
    let authority: String
    private let directory: URL
    private let process: ChildProcess
    private let port: Int

    init(name: String) async throws {
        directory = FileManager.default.temporaryDirectory.appending(path: "tls-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: directory, withIntermediateDirectories: true)
        authority = directory.appending(path: "ca.pem").path
        let ca = ["-CA", "ca.pem", "-CAkey", "ca.key", "-addext", "basicConstraints=critical,CA:FALSE"]
        let new = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
        try await Self.openssl(new + ["-subj", "/CN=test ca", "-keyout", "ca.key", "-out", "ca.pem"], in: directory)
        let server = ["-subj", "/CN=test", "-addext", "subjectAltName=DNS:\(name)"]
        try await Self.openssl(new + server + ca + ["-keyout", "server.key", "-out", "server.pem"], in: directory)

        let output = directory.appending(path: "server.log")
        process = try Self.openssl(
            ["s_server", "-accept", "127.0.0.1:0", "-cert", "server.pem", "-key", "server.key", "-www"],
            in: directory, output: output)
        var text = ""
        while !text.contains("ACCEPT") || !text.hasSuffix("\n") {
            try #require(process.status == nil, "openssl ended: \(text)")
            try await Task.sleep(for: .milliseconds(10))
            text = try String(contentsOf: output, encoding: .utf8)
        }
        let digits = text.split(separator: "\n").last?.split(separator: ":").last?.prefix { $0.isNumber } ?? ""
        port = try #require(Int(digits))
    }

    func url(_ host: String) -> String { "https://\(host):\(port)/" }

    func stop() {
        process.signal(SIGKILL)
        do {
            try FileManager.default.removeItem(at: directory)
        } catch {
            Issue.record(error)
        }
    }

    private static func openssl(_ arguments: [String], in directory: URL) async throws {
        let status = await (try openssl(arguments, in: directory, output: nil)).wait()
        try #require(status == 0, "openssl \(arguments)")
    }

    private static func openssl(_ arguments: [String], in directory: URL, output: URL?) throws -> ChildProcess {
        try ChildProcess(
            URL(filePath: "/usr/bin/env"), ["openssl"] + arguments, environment: ProcessInfo.processInfo.environment,
            directory: directory, output: output)
    }
}
