import Foundation
import Logging
import Shared
import Synchronization
import Testing

/// A LiteLLM that answers each `METHOD /path` from a list, the last entry again and again; anything else is a 404 of
/// the framework, as for a route that does not exist.
final class FakeLiteLLM: Sendable {
    typealias Outcome = Result<HTTPClientResponse, HTTPTransportError>

    let transport: ScriptedTransport
    /// The client's present.
    static let now = Date(timeIntervalSince1970: 1_795_392_000)

    init(_ routes: [String: [Outcome]]) {
        let routes = Routes(routes)
        transport = ScriptedTransport { request in try routes.next(request) }
    }

    /// One that answers each request by itself.
    init(answer: @escaping @Sendable (HTTPClientRequest) throws -> HTTPClientResponse) {
        transport = ScriptedTransport(answer)
    }

    convenience init(_ routes: [String: Outcome]) { self.init(routes.mapValues { [$0] }) }

    /// What was asked, as `METHOD /path`.
    var calls: [String] { transport.requests.map { "\($0.method.rawValue) \($0.path)" } }

    /// The JSON bodies of the requests to `call`.
    func bodies(_ call: String) throws -> [JSONValue] {
        try transport.requests.filter { "\($0.method.rawValue) \($0.path)" == call }.map {
            try JSON.decoder.decode(JSONValue.self, from: Data($0.body))
        }
    }

    func client(_ change: (inout LiteLLMSettings) -> Void = { _ in }) -> LiteLLMClient {
        var settings = LiteLLMSettings(baseURL: "http://litellm.test/", apiKey: Secret("sk-master-secret"))
        change(&settings)
        return LiteLLMClient(
            transport: transport, settings: settings, logger: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
            now: { Self.now })
    }

    private final class Routes: Sendable {
        private let value: Mutex<[String: [Outcome]]>

        init(_ routes: [String: [Outcome]]) { value = Mutex(routes) }

        func next(_ request: HTTPClientRequest) throws -> HTTPClientResponse {
            let name = "\(request.method.rawValue) \(request.path)"
            let outcome = value.withLock { routes -> Outcome in
                guard let outcomes = routes[name], let first = outcomes.first else {
                    return .answer(404, #"{"detail":"Not Found"}"#)
                }
                if outcomes.count > 1 { routes[name] = Array(outcomes.dropFirst()) }
                return first
            }
            return try outcome.get()
        }
    }
}

extension Result where Success == HTTPClientResponse, Failure == HTTPTransportError {
    static func answer(_ status: Int = 200, _ body: String, headers: [(String, String)] = []) -> Self {
        .success(.json(status, body, headers: headers))
    }

    /// LiteLLM's usual envelope.
    static func refusal(_ status: Int, _ message: String, type: String = "internal_server_error") -> Self {
        .answer(status, #"{"error":{"message":"\#(message)","type":"\#(type)","param":null,"code":"\#(status)"}}"#)
    }

    static func lost(_ code: HTTPTransportError.Code, reached: Bool) -> Self {
        .failure(
            HTTPTransportError(code, curlCode: 56, requestMayHaveReachedServer: reached, message: "GET host: lost"))
    }
}

let someHash = String(repeating: "0a", count: 32)
let emptyKeyList = #"{"keys":[],"total_count":0,"current_page":1,"total_pages":0}"#
let noDatabaseAnswer = FakeLiteLLM.Outcome.refusal(503, "Service Unavailable", type: "no_db_connection")

/// The error a call must end with.
func liteLLMError(_ body: () async throws -> some Any) async throws -> LiteLLMError {
    try await #require(throws: LiteLLMError.self) { _ = try await body() }
}

/// Remembers every line, whatever its level.
final class LogRecorder: LogHandler {
    struct Entry: Sendable {
        let level: Logger.Level
        let message: String
        let metadata: Logger.Metadata
    }

    private let recorded = Mutex<[Entry]>([])

    var entries: [Entry] { recorded.withLock { $0 } }

    func log(event: LogEvent) {
        let entry = Entry(level: event.level, message: "\(event.message)", metadata: event.metadata ?? [:])
        recorded.withLock { $0.append(entry) }
    }

    var metadata: Logger.Metadata {
        get { [:] }
        set {}
    }
    var logLevel: Logger.Level {
        get { .trace }
        set {}
    }
    subscript(metadataKey _: String) -> Logger.Metadata.Value? {
        get { nil }
        set {}
    }
}
