import Foundation
import Synchronization

/// The test double of ``HTTPTransport``: answers from a closure or from a list, and remembers what was asked.
package final class ScriptedTransport: HTTPTransport {
    /// Gives the answer to a request.
    package typealias Handler = @Sendable (HTTPClientRequest) async throws -> HTTPClientResponse

    private let handler: Handler
    private let recorded = Mutex<[HTTPClientRequest]>([])

    /// Answers each request with `handler`.
    package init(_ handler: @escaping Handler) {
        self.handler = handler
    }

    /// Gives these outcomes in order; one request more than that fails as a refused connection.
    package convenience init(outcomes: [Result<HTTPClientResponse, HTTPTransportError>]) {
        let script = Script(outcomes)
        self.init { request in try script.next(request) }
    }

    /// All requests so far, in order of arrival.
    package var requests: [HTTPClientRequest] { recorded.withLock { $0 } }

    package func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        recorded.withLock { $0.append(request) }
        return try await handler(request)
    }
}

extension HTTPClientResponse {
    /// A JSON answer for scripts.
    package static func json(
        _ status: Int = 200, _ body: String, headers: [(String, String)] = []
    ) -> HTTPClientResponse {
        HTTPClientResponse(
            status: status, headers: [("content-type", "application/json")] + headers, body: Array(body.utf8))
    }
}

extension HTTPClientRequest {
    /// The path of the URL, percent-encoded, for scripts that choose by it.
    package var path: String { URLComponents(string: url)?.percentEncodedPath ?? "" }

    /// The decoded query of the URL, for scripts that choose by it.
    package var query: [String: String] {
        let items = URLComponents(string: url)?.queryItems ?? []
        return Dictionary(items.map { ($0.name, $0.value ?? "") }) { _, last in last }
    }
}

private final class Script: Sendable {
    private let outcomes: Mutex<ArraySlice<Result<HTTPClientResponse, HTTPTransportError>>>

    init(_ outcomes: [Result<HTTPClientResponse, HTTPTransportError>]) {
        self.outcomes = Mutex(outcomes[...])
    }

    func next(_ request: HTTPClientRequest) throws(HTTPTransportError) -> HTTPClientResponse {
        guard let outcome = outcomes.withLock({ $0.popFirst() }) else {
            throw HTTPTransportError(
                .connect(refused: true), requestMayHaveReachedServer: false,
                message: "\(request): the script has no further answer")
        }
        return try outcome.get()
    }
}
