import CCurl

/// One request on its way: what libcurl's callbacks fill, and who waits for it. Confined to the loop's thread.
final class CurlTransfer {
    let easy: CurlEasy
    let request: HTTPClientRequest
    let origin: String
    let continuation: CheckedContinuation<HTTPClientResponse, any Error>

    private var headers: [(String, String)] = []
    private var headerBytes = 0
    private var body: [UInt8] = []
    private(set) var isTooLarge = false
    /// libcurl takes the end of the connection within the header for the end of the answer.
    private(set) var isHeaderComplete = false
    /// Whether libcurl was kept from an address that the host's name leads to.
    private(set) var wasAddressRefused = false
    /// How often libcurl was about to send the request.
    private var sends = 0

    /// More than any proxy in front of LiteLLM lets through.
    private static let maxHeaderBytes = 256 << 10

    init(
        easy: CurlEasy, request: HTTPClientRequest, origin: String,
        continuation: CheckedContinuation<HTTPClientResponse, any Error>
    ) {
        self.easy = easy
        self.request = request
        self.origin = origin
        self.continuation = continuation
    }

    /// Sets up the easy handle for the request.
    /// - Parameter remaining: what is left of the request's total time.
    func configure(id: UInt64, settings: HTTPSettings, remaining: Duration) throws(HTTPTransportError) {
        try easy.set(CURLOPT_PRIVATE, tag: id)
        try easy.set(CURLOPT_NOSIGNAL, 1)
        // Else ending a transfer during name lookup would hold the loop until the lookup is over.
        try easy.set(CURLOPT_QUICK_EXIT, 1)
        try easy.set(CURLOPT_PROTOCOLS_STR, "http,https")
        try easy.set(CURLOPT_FOLLOWLOCATION, 0)
        try easy.set(CURLOPT_ACCEPT_ENCODING, "")
        try easy.set(CURLOPT_SUPPRESS_CONNECT_HEADERS, 1)
        try easy.set(CURLOPT_HTTP_VERSION, Int(CURL_HTTP_VERSION_2TLS))
        // A burst waits for the first handshake to learn whether one connection can carry it all.
        if origin.hasPrefix("https:") { try easy.set(CURLOPT_PIPEWAIT, 1) }
        try easy.set(CURLOPT_URL, request.url)
        try easy.set(CURLOPT_USERAGENT, settings.userAgent)
        try configureConnection(settings)
        if request.addresses != nil { try configureAddressCheck() }
        try configureLimits(remaining)
        try configureMessage()
        try easy.setSink(self)
    }

    /// The complete answer.
    func response() -> HTTPClientResponse {
        HTTPClientResponse(
            status: easy.number(CURLINFO_RESPONSE_CODE), headers: headers, body: body,
            reusedConnection: easy.number(CURLINFO_NUM_CONNECTS) == 0, duration: duration)
    }

    /// So far.
    var duration: Duration { .microseconds(easy.offset(CURLINFO_TOTAL_TIME_T)) }

    /// False only when no byte of the request can have left, on whatever connection.
    var mayHaveReachedServer: Bool { sends > 0 }

    /// Called by libcurl on a connection that is ready for the request; false ends the transfer.
    ///
    /// libcurl has no option against sending a request again when the connection it had kept ends without an answer:
    /// this is where it is kept from doing so with a write.
    func maySend() -> Bool {
        sends += 1
        return sends == 1 || request.method == .get || request.method == .head
    }

    /// Called by libcurl with each address it is about to connect to; false keeps it from that one.
    func mayConnect(to address: IPAddress?) -> Bool {
        guard let policy = request.addresses else { return true }
        if let address, policy.allows(address) { return true }
        wasAddressRefused = true
        return false
    }

    /// Called by libcurl with a piece of the decompressed body; false ends the transfer.
    func receiveBody(_ bytes: UnsafeRawBufferPointer) -> Bool {
        guard body.count + bytes.count <= request.limits.maxResponseBytes else {
            isTooLarge = true
            return false
        }
        unsafe body.append(contentsOf: bytes)
        return true
    }

    /// Called by libcurl with one line of the header, its end included; false ends the transfer.
    func receiveHeaderLine(_ bytes: UnsafeRawBufferPointer) -> Bool {
        headerBytes += bytes.count
        guard headerBytes <= Self.maxHeaderBytes else {
            isTooLarge = true
            return false
        }
        let line = unsafe String(decoding: bytes, as: UTF8.self)
        if line.hasPrefix("HTTP/") {
            // A status line: what came before belonged to an interim answer.
            headers = []
            isHeaderComplete = false
        } else if line == "\r\n" || line == "\n" {
            isHeaderComplete = true
        } else if let colon = line.firstIndex(of: ":") {
            let value = line[line.index(after: colon)...].drop { $0.isWhitespace }
            headers.append((String(line[..<colon]), String(value.reversed().drop { $0.isWhitespace }.reversed())))
        }
        return true
    }

    private func configureConnection(_ settings: HTTPSettings) throws(HTTPTransportError) {
        try easy.set(CURLOPT_TCP_KEEPALIVE, 1)
        try easy.set(CURLOPT_MAXAGE_CONN, max(1, settings.connectionIdleAge.wholeSeconds))
        try easy.set(CURLOPT_MAXLIFETIME_CONN, max(1, settings.connectionMaxAge.wholeSeconds))
        try easy.set(CURLOPT_SSL_VERIFYPEER, 1)
        try easy.set(CURLOPT_SSL_VERIFYHOST, 2)
        try easy.set(CURLOPT_SSLVERSION, Int(CURL_SSLVERSION_TLSv1_2))
        if let file = settings.caFile {
            try easy.set(CURLOPT_CAINFO, file)
            try easy.clear(CURLOPT_CAPATH)
        }
        // The empty string, unlike none, keeps libcurl from looking at the environment.
        if !settings.proxyFromEnvironment { try easy.set(CURLOPT_PROXY, "") }
    }

    /// Each connection is opened for this request alone, to an address that was looked at.
    private func configureAddressCheck() throws(HTTPTransportError) {
        try easy.set(CURLOPT_FRESH_CONNECT, 1)
        try easy.set(CURLOPT_FORBID_REUSE, 1)
        try easy.setAddressCheck(self)
    }

    private func configureLimits(_ remaining: Duration) throws(HTTPTransportError) {
        let limits = request.limits
        // 0 would mean no limit at all.
        try easy.set(CURLOPT_TIMEOUT_MS, max(1, Int(remaining.inMilliseconds)))
        try easy.set(CURLOPT_CONNECTTIMEOUT_MS, max(1, Int(limits.connectTimeout.inMilliseconds)))
        try easy.set(CURLOPT_MAXFILESIZE_LARGE, offset: max(1, limits.maxResponseBytes))
        if let idle = limits.idleTimeout {
            try easy.set(CURLOPT_LOW_SPEED_LIMIT, 1)
            try easy.set(CURLOPT_LOW_SPEED_TIME, max(1, idle.wholeSeconds))
        }
    }

    private func configureMessage() throws(HTTPTransportError) {
        // Without "Expect:" libcurl would wait for a 100 before a large body.
        var lines = ["Expect:"]
        for (name, value) in request.headers {
            let isSafe = !name.isEmpty && (name + value).utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7f }
            guard isSafe, !name.contains(":") else { throw .unsendable("a header holds a control character") }
            lines.append(value.isEmpty ? "\(name);" : "\(name): \(value)")
        }
        try easy.setHeaders(lines)
        switch request.method {
        case .get where request.body.isEmpty: try easy.set(CURLOPT_HTTPGET, 1)
        case .head: try easy.set(CURLOPT_NOBODY, 1)
        default:
            try easy.set(CURLOPT_POST, 1)
            try easy.setBody(request.body)
            if request.method != .post { try easy.set(CURLOPT_CUSTOMREQUEST, request.method.rawValue) }
        }
    }
}

extension Duration {
    /// Rounded up, since libcurl's limits in seconds have no fraction and 0 means none.
    var wholeSeconds: Int {
        let (seconds, attoseconds) = components
        return Int(seconds) + (attoseconds > 0 ? 1 : 0)
    }
}
