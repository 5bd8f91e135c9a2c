import HTTPTypes
import NIOCore
import NIOHTTP1
import NIOPosix

/// Hands requests to another LiteLLM, one connection each, and brings its answers back whole.
struct Forwarder: Backend {
    /// Headers that are about one connection and are not handed on.
    private static let perConnection: Set<String> = [
        "connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te", "trailer", "expect",
        "host", "content-length",
    ]
    /// Bytes of the largest answer.
    private static let largestAnswer = 64 << 20
    /// How long LiteLLM may take; longer than any client of ours waits.
    private static let limit = Duration.seconds(120)

    private typealias Connection = NIOAsyncChannel<HTTPClientResponsePart, HTTPClientRequestPart>

    private enum ForwardError: Error { case timeout, tooLarge, incomplete }

    let upstream: SimulatorSettings.Upstream

    /// The answer of LiteLLM; the connection is dropped when there is none, as it would be without a proxy.
    func serve(_ call: Call) async -> Outcome {
        do {
            return .answer(try await forward(call))
        } catch {
            return .dropped("upstream: \(error)")
        }
    }

    private func forward(_ call: Call) async throws -> Answer {
        try await withThrowingTaskGroup(of: Answer.self) { group in
            group.addTask { try await exchange(call) }
            group.addTask {
                try await Task.sleep(for: Self.limit)
                throw ForwardError.timeout
            }
            defer { group.cancelAll() }
            guard let answer = try await group.next() else { throw ForwardError.incomplete }
            return answer
        }
    }

    private func exchange(_ call: Call) async throws -> Answer {
        let connection = try await ClientBootstrap(group: MultiThreadedEventLoopGroup.singleton)
            .connectTimeout(.seconds(5))
            .connect(host: upstream.host, port: upstream.port) { channel in
                channel.eventLoop.makeCompletedFuture {
                    try channel.pipeline.syncOperations.addHTTPClientHandlers()
                    return try Connection(wrappingChannelSynchronously: channel)
                }
            }
        return try await connection.executeThenClose { inbound, outbound in
            // In one go: the other side may answer and close as soon as it has the head.
            let body = call.body.isEmpty ? nil : HTTPClientRequestPart.body(.byteBuffer(ByteBuffer(bytes: call.body)))
            let parts: [HTTPClientRequestPart?] = [.head(head(of: call)), body, .end(nil)]
            try await outbound.write(contentsOf: parts.compactMap(\.self))
            return try await Self.answer(inbound)
        }
    }

    private func head(of call: Call) -> HTTPRequestHead {
        var headers = HTTPHeaders()
        for field in call.headers where !Self.perConnection.contains(field.name.canonicalName) {
            headers.add(name: field.name.rawName, value: field.value)
        }
        headers.add(name: "host", value: "\(upstream.host):\(upstream.port)")
        headers.add(name: "connection", value: "close")
        if !call.body.isEmpty || call.method == "POST" {
            headers.add(name: "content-length", value: String(call.body.count))
        }
        return HTTPRequestHead(
            version: .http1_1, method: HTTPMethod(rawValue: call.method), uri: upstream.prefix + call.target,
            headers: headers)
    }

    private static func answer(_ parts: NIOAsyncChannelInboundStream<HTTPClientResponsePart>) async throws -> Answer {
        var answer: Answer?
        for try await part in parts {
            switch part {
            case .head(let head):
                answer = Answer(
                    status: Int(head.status.code), contentType: head.headers.first(name: "content-type") ?? "",
                    body: [],
                    headers: head.headers.filter {
                        !perConnection.contains($0.name.lowercased()) && $0.name.lowercased() != "content-type"
                    }.map { ($0.name, $0.value) })
            case .body(let buffer):
                answer?.body.append(contentsOf: buffer.readableBytesView)
                if let size = answer?.body.count, size > largestAnswer { throw ForwardError.tooLarge }
            case .end:
                if let answer { return answer }
            }
        }
        throw ForwardError.incomplete
    }
}
