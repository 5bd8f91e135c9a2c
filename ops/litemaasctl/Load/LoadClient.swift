import Foundation
import Shared

/// The API as a client sees it.
struct LoadClient: Sendable {
    /// What an answer says that cannot be worked with.
    struct Refusal: Error, CustomStringConvertible {
        let description: String
    }

    struct Answer: Sendable {
        let status: Int
        let body: JSONValue
        let retryAfter: Duration?
        /// From the request to the last byte of the answer.
        let took: Duration

        /// The API's own words for what is wrong.
        var message: String {
            body["error"]?["message"]?.stringValue ?? body["message"]?.stringValue ?? "no message"
        }
    }

    let transport: any HTTPTransport
    let api: String

    init(transport: any HTTPTransport, api: String) {
        self.transport = transport
        self.api = api.hasSuffix("/") ? String(api.dropLast()) : api
    }

    /// Sends a request. Throws `HTTPTransportError` when there is no answer.
    func send(
        _ method: HTTPClientRequest.Method, _ path: String, _ body: JSONValue? = nil, session: Secret? = nil,
        headers: [(String, String)] = []
    ) async throws -> Answer {
        var request = HTTPClientRequest(method: method, url: api + path, headers: headers)
        if let session { request.headers.append(("authorization", "Bearer \(session.reveal())")) }
        if let body {
            request.headers.append(("content-type", "application/json"))
            request.body = Array(body.encodedString().utf8)
        }
        let started = ContinuousClock.now
        let response = try await transport.send(request)
        let took = .now - started
        let content: JSONValue =
            response.body.isEmpty ? .null : try JSON.decoder.decode(JSONValue.self, from: Data(response.body))
        return Answer(
            status: response.status, body: content,
            retryAfter: response.header("retry-after").flatMap(Int.init).map { .seconds($0) }, took: took)
    }

    /// A session of a made-up user, who is there from then on.
    func session(of user: String) async throws -> Secret {
        let answer = try await send(.post, "/api/auth/dev-token", ["username": .string(user), "roles": ["user"]])
        guard answer.status == 200, let token = answer.body["access_token"]?.stringValue else {
            throw Refusal(
                description: "No session for \(user) (\(answer.status): \(answer.message)). "
                    + "Made-up users need MOCK_AUTH; name a session with --token otherwise.")
        }
        return Secret(token)
    }

    /// The first model there is.
    func firstModel(session: Secret) async throws -> String {
        let answer = try await send(.get, "/api/v1/models?limit=1", session: session)
        guard answer.status == 200, let id = answer.body["data"]?[0]?["id"]?.stringValue else {
            throw Refusal(
                description: "There is no model to ask a key for (\(answer.status)). Synchronise the models first.")
        }
        return id
    }

    /// Subscribes whoever is signed in, unless they are.
    func subscribe(session: Secret, to model: String) async throws {
        let answer = try await send(.post, "/api/v1/subscriptions", ["modelId": .string(model)], session: session)
        guard answer.status == 201 || answer.status == 409 else {
            throw Refusal(description: "Subscribing to \(model) was refused: \(answer.status) \(answer.message)")
        }
    }
}
