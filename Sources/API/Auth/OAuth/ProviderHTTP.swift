import Shared

/// Requests to the identity provider: bounded in time and size, redirects never followed.
struct ProviderHTTP: Sendable {
    /// An answer whose body is JSON, or null where it is not.
    struct Answer: Sendable {
        let status: Int
        let json: JSONValue

        var isSuccess: Bool { (200...299).contains(status) }
    }

    private static let limits = HTTPLimits(
        totalTimeout: .seconds(10), connectTimeout: .seconds(5), maxResponseBytes: 1 << 20)

    let transport: any HTTPTransport

    /// Throws `SignInFailure` when no answer comes.
    func get(_ url: String, bearer: Secret? = nil) async throws -> Answer {
        var headers = [("Accept", "application/json")]
        if let bearer { headers.append(("Authorization", "Bearer \(bearer.reveal())")) }
        return try await send(HTTPClientRequest(url: url, headers: headers, limits: Self.limits))
    }

    /// Sends a form. Throws `SignInFailure` when no answer comes.
    ///
    /// - Parameter authorization: the value of the header, if there is to be one.
    func post(_ url: String, form: [(String, String)], authorization: Secret? = nil) async throws -> Answer {
        var headers = [("Accept", "application/json"), ("Content-Type", "application/x-www-form-urlencoded")]
        if let authorization { headers.append(("Authorization", authorization.reveal())) }
        return try await send(
            HTTPClientRequest(
                method: .post, url: url, headers: headers, body: Array(Self.encoded(form).utf8), limits: Self.limits))
    }

    /// `name=value&...`, for bodies and queries.
    static func encoded(_ form: [(String, String)]) -> String {
        form.map { "\($0)=\(PercentCoding.encode($1))" }.joined(separator: "&")
    }

    private func send(_ request: HTTPClientRequest) async throws -> Answer {
        let response: HTTPClientResponse
        do {
            response = try await transport.send(request)
        } catch let error as HTTPTransportError {
            if error.code == .cancelled { throw CancellationError() }
            throw SignInFailure.unavailable("provider_unreachable", detail: error.message)
        }
        do {
            return Answer(status: response.status, json: try JSONParser.parse(response.body))
        } catch {
            return Answer(status: response.status, json: .null)
        }
    }
}
