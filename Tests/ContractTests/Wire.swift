import Crypto
import Foundation
import FoundationNetworking
import Testing

/// An HTTP answer as it came over the wire.
struct WireAnswer: Sendable, CustomStringConvertible {
    let status: Int
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

/// Sends raw requests to one LiteLLM.
struct Wire: Sendable {
    private static let session = URLSession(configuration: .ephemeral)

    let url: String
    let masterKey: String

    /// Sends a request; `key` nil leaves the authorization out.
    ///
    /// - Throws: `URLError` when there is no answer.
    func send(
        _ method: String, _ path: String, _ body: JSON? = nil, key: String?, raw: String? = nil,
        headers: [String: String] = [:], timeout: TimeInterval = 60
    ) async throws -> WireAnswer {
        var request = URLRequest(url: try #require(URL(string: url + path)), timeoutInterval: timeout)
        request.httpMethod = method
        request.cachePolicy = .reloadIgnoringLocalCacheData
        if let key { request.setValue("Bearer \(key)", forHTTPHeaderField: "Authorization") }
        for (name, value) in headers { request.setValue(value, forHTTPHeaderField: name) }
        if let raw {
            request.httpBody = Data(raw.utf8)
        } else if let body {
            request.httpBody = try JSONEncoder().encode(body)
        }
        if method != "GET" { request.setValue("application/json", forHTTPHeaderField: "Content-Type") }
        let (data, response) = try await Self.session.data(for: request)
        let http = try #require(response as? HTTPURLResponse)
        var found: [String: String] = [:]
        for (name, value) in http.allHeaderFields { found["\(name)".lowercased()] = "\(value)" }
        let json = (try? JSONDecoder().decode(JSON.self, from: data)) ?? .null
        return WireAnswer(
            status: http.statusCode, headers: found, text: String(decoding: data, as: UTF8.self), json: json)
    }

    /// GET with the master key.
    func get(_ path: String, _ query: KeyValuePairs<String, String> = [:]) async throws -> WireAnswer {
        try await send("GET", path + Self.encoded(query), key: masterKey)
    }

    /// POST with the master key.
    func post(_ path: String, _ body: JSON) async throws -> WireAnswer {
        try await send("POST", path, body, key: masterKey)
    }

    /// `?a=b&c=d`, or nothing.
    static func encoded(_ query: KeyValuePairs<String, String>) -> String {
        guard !query.isEmpty else { return "" }
        var components = URLComponents()
        components.queryItems = query.map { URLQueryItem(name: $0.key, value: $0.value) }
        return "?\(components.percentEncodedQuery ?? "")"
    }

    /// The hex SHA-256 by which LiteLLM knows a secret.
    static func hash(_ secret: String) -> String {
        SHA256.hash(data: Data(secret.utf8)).map { String(format: "%02x", $0) }.joined()
    }
}
