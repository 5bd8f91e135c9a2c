import Crypto
import Foundation
import NIOCore
import NIOHTTP1
import NIOPosix
import Testing

/// An HTTP answer as it came over the wire.
struct WireAnswer: Sendable, CustomStringConvertible {
    let status: Int
    /// By lower-case name.
    let headers: [String: String]
    let text: String
    /// The body, null when it is no JSON.
    let json: JSON

    /// `error.message` of LiteLLM's own envelope.
    var message: String? { json["error"]?["message"]?.string }
    /// `error.type` of LiteLLM's own envelope.
    var type: String? { json["error"]?["type"]?.string }
    /// `detail.error` of the web framework's envelope.
    var detail: String? { json["detail"]?["error"]?.string }
    /// The first entry of a 422.
    var violation: JSON? { json["detail"]?[0] }

    var description: String { "\(status) \(text.prefix(400))" }
}

/// Why there is no answer.
enum WireError: Error, Equatable {
    /// Nobody listens.
    case refused
    /// The connection ended before the answer did.
    case dropped
    /// The time was over.
    case timeout
}

/// Sends raw requests to one LiteLLM, a connection each.
struct Wire: Sendable {
    private typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    let url: String
    let masterKey: String

    /// Sends a request; `key` nil leaves the authorization out.
    ///
    /// - Throws: ``WireError`` when there is no answer.
    func send(
        _ method: String, _ path: String, _ body: JSON? = nil, key: String?, raw: String? = nil,
        headers: [String: String] = [:], timeout: Duration = .seconds(60)
    ) async throws -> WireAnswer {
        let base = try #require(URLComponents(string: url))
        let host = try #require(base.host)
        var bytes: ByteBuffer?
        if let raw {
            bytes = ByteBuffer(string: raw)
        } else if let body {
            bytes = ByteBuffer(bytes: try JSONEncoder().encode(body))
        }
        var fields = HTTPHeaders(headers.map { ($0.key, $0.value) })
        fields.add(name: "host", value: "\(host):\(base.port ?? 80)")
        fields.add(name: "connection", value: "close")
        if let key { fields.add(name: "authorization", value: "Bearer \(key)") }
        if method != "GET" {
            fields.add(name: "content-type", value: "application/json")
            fields.add(name: "content-length", value: "\(bytes?.readableBytes ?? 0)")
        }
        let head = HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: method), uri: base.path + path, headers: fields)
        return try await Self.limited(timeout) { [bytes] in
            try await Self.exchange(head, bytes, host: host, port: base.port ?? 80)
        }
    }

    /// GET with the master key.
    func get(_ path: String, _ query: KeyValuePairs<String, String> = [:]) async throws -> WireAnswer {
        try await send("GET", path + Self.encoded(query), key: masterKey)
    }

    /// POST with the master key.
    func post(_ path: String, _ body: JSON) async throws -> WireAnswer {
        try await send("POST", path, body, key: masterKey)
    }

    /// The hex SHA-256 by which LiteLLM knows a secret.
    static func hash(_ secret: String) -> String {
        SHA256.hash(data: Data(secret.utf8)).map { String(format: "%02x", $0) }.joined()
    }

    /// `?a=b&c=d`, or nothing.
    private static func encoded(_ query: KeyValuePairs<String, String>) -> String {
        guard !query.isEmpty else { return "" }
        var components = URLComponents()
        components.queryItems = query.map { URLQueryItem(name: $0.key, value: $0.value) }
        return "?\(components.percentEncodedQuery ?? "")"
    }

    private static func limited(
        _ limit: Duration, _ body: @escaping @Sendable () async throws -> WireAnswer
    ) async throws -> WireAnswer {
        try await withThrowingTaskGroup(of: WireAnswer.self) { group in
            group.addTask(operation: body)
            group.addTask {
                try await Task.sleep(for: limit)
                throw WireError.timeout
            }
            defer { group.cancelAll() }
            return try #require(try await group.next())
        }
    }

    private static func exchange(
        _ head: HTTPRequestHead, _ body: ByteBuffer?, host: String, port: Int
    ) async throws -> WireAnswer {
        let connection = try await connect(host: host, port: port)
        do {
            return try await connection.executeThenClose { inbound, outbound in
                // In one go: the other side may answer and close as soon as it has the head.
                let parts: [HTTPClientRequestPart?] = [.head(head), body.map { .body(.byteBuffer($0)) }, .end(nil)]
                try await outbound.write(contentsOf: parts.compactMap(\.self))
                return try await answer(inbound)
            }
        } catch is IOError {
            throw WireError.dropped
        } catch is HTTPParserError {
            throw WireError.dropped
        } catch is ChannelError {
            throw WireError.dropped
        }
    }

    private static func connect(host: String, port: Int) async throws -> Connection {
        do {
            return try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
                .connect(host: host, port: port) { channel in
                    channel.eventLoop.makeCompletedFuture {
                        try channel.pipeline.syncOperations.addHTTPClientHandlers()
                        return try Connection(wrappingChannelSynchronously: channel)
                    }
                }
        } catch is NIOConnectionError {
            throw WireError.refused
        } catch is IOError {
            throw WireError.refused
        }
    }

    private static func answer(
        _ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>
    ) async throws -> WireAnswer {
        var head: HTTPResponseHead?
        var body = Data()
        for try await part in parts {
            switch part {
            case .head(let received): head = received
            case .body(let buffer): body.append(contentsOf: buffer.readableBytesView)
            case .end:
                guard let head else { throw WireError.dropped }
                return WireAnswer(
                    status: Int(head.status.code),
                    headers: Dictionary(head.headers.map { ($0.name.lowercased(), $0.value) }) { $1 },
                    text: String(decoding: body, as: UTF8.self),
                    json: (try? JSONDecoder().decode(JSON.self, from: body)) ?? .null)
            }
        }
        throw WireError.dropped
    }
}
