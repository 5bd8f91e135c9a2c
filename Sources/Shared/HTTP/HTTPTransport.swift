/// Sends one HTTP request and gives its complete answer.
///
/// Conformers never follow redirects, never repeat a request that failed and throw ``HTTPTransportError`` only. Every
/// status is an answer.
package protocol HTTPTransport: Sendable {
    /// Sends the request and waits for the last byte of the answer.
    /// - Throws: ``HTTPTransportError``, with `.cancelled` when the calling task was cancelled.
    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse
}

/// The limits of one request.
package struct HTTPLimits: Sendable, Equatable {
    /// From the call of `send` to the last byte of the answer, the wait for a free connection included.
    package var totalTimeout: Duration
    /// For name lookup, connect and TLS handshake together.
    package var connectTimeout: Duration
    /// The longest time without a single byte, in whole seconds; nil leaves it to `totalTimeout`.
    package var idleTimeout: Duration?
    /// The largest body that is accepted, in bytes, after decompression.
    package var maxResponseBytes: Int

    /// The usual limits: 30 s in total, 5 s to connect, 32 MiB.
    package init(
        totalTimeout: Duration = .seconds(30), connectTimeout: Duration = .seconds(5), idleTimeout: Duration? = nil,
        maxResponseBytes: Int = 32 << 20
    ) {
        self.totalTimeout = totalTimeout
        self.connectTimeout = connectTimeout
        self.idleTimeout = idleTimeout
        self.maxResponseBytes = maxResponseBytes
    }
}

/// A request. Its description holds neither query, headers nor body, since all three may hold secrets.
package struct HTTPClientRequest: Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    /// The methods in use.
    package enum Method: String, Sendable {
        /// Read.
        case get = "GET"
        /// Read without the body.
        case head = "HEAD"
        /// Create or act.
        case post = "POST"
        /// Replace.
        case put = "PUT"
        /// Change in part.
        case patch = "PATCH"
        /// Remove.
        case delete = "DELETE"
    }

    /// The method.
    package var method: Method
    /// The absolute `http` or `https` URL, already percent-encoded.
    package var url: String
    /// Name and value pairs, sent in this order.
    package var headers: [(String, String)]
    /// The body; empty for none.
    package var body: [UInt8]
    /// The limits.
    package var limits: HTTPLimits
    /// Which addresses it may connect to, whatever the host's name leads to; nil for any.
    package var addresses: AddressPolicy?

    /// Describes a request; nothing is checked before it is sent.
    package init(
        method: Method = .get, url: String, headers: [(String, String)] = [], body: [UInt8] = [],
        limits: HTTPLimits = HTTPLimits()
    ) {
        self.method = method
        self.url = url
        self.headers = headers
        self.body = body
        self.limits = limits
    }

    /// The first value of a header, whatever the case of its name.
    package func header(_ name: String) -> String? { firstValue(of: name, in: headers) }

    /// Scheme, host and port in lower case: what connections are shared by. Nil when the URL is not an absolute one.
    package var origin: String? {
        guard let scheme = url.firstRange(of: "://"), scheme.lowerBound > url.startIndex else { return nil }
        let authority = url[scheme.upperBound...].prefix { $0 != "/" && $0 != "?" && $0 != "#" }
        let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? ""
        return host.isEmpty ? nil : "\(url[..<scheme.lowerBound])://\(host)".lowercased()
    }

    package var description: String { "\(method.rawValue) \(origin ?? "?")" }
    package var debugDescription: String { description }
    package var customMirror: Mirror { Mirror(self, children: ["request": description]) }
}

/// A complete answer.
package struct HTTPClientResponse: Sendable {
    /// The status code, 200 to 599.
    package var status: Int
    /// Name and value pairs as they came, trailers included.
    package var headers: [(String, String)]
    /// The decompressed body.
    package var body: [UInt8]
    /// False when a connection had to be opened for it.
    package var reusedConnection: Bool
    /// From the start of the transfer to its last byte.
    package var duration: Duration

    /// An answer, as a test double makes it.
    package init(
        status: Int, headers: [(String, String)] = [], body: [UInt8] = [], reusedConnection: Bool = false,
        duration: Duration = .zero
    ) {
        self.status = status
        self.headers = headers
        self.body = body
        self.reusedConnection = reusedConnection
        self.duration = duration
    }

    /// The first value of a header, whatever the case of its name.
    package func header(_ name: String) -> String? { firstValue(of: name, in: headers) }
}

private func firstValue(of name: String, in headers: [(String, String)]) -> String? {
    let wanted = name.lowercased()
    return headers.first { $0.0.lowercased() == wanted }?.1
}
