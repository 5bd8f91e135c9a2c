/// Why no answer came. Its texts name method, host and kind of failure, never query, headers or body.
package struct HTTPTransportError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of failure.
    package enum Code: Sendable, Equatable {
        /// The host's name could not be resolved.
        case dns
        /// No connection; `refused` when the host answered that nothing listens there.
        case connect(refused: Bool)
        /// The host's name leads only to addresses that the request may not connect to.
        case addressRefused
        /// The TLS handshake or the certificate check failed.
        case tls
        /// A limit in time was reached, while waiting, connecting or receiving.
        case timeout
        /// The connection ended before the answer was complete.
        case aborted
        /// The answer is larger than the limit.
        case tooLarge
        /// What came is not HTTP.
        case protocolViolation
        /// The calling task was cancelled.
        case cancelled
        /// The URL, a header or a setting cannot be sent.
        case invalidRequest
        /// Too many requests wait already.
        case overloaded
        /// The transport has been shut down.
        case closed
    }

    /// The kind of failure.
    package var code: Code
    /// libcurl's number, 0 when the failure is not libcurl's.
    package var curlCode: Int32
    /// False only when the request certainly never left: sent again it cannot act twice.
    package var requestMayHaveReachedServer: Bool
    /// A sentence without secrets.
    package var message: String

    /// An error; `curlCode` is 0 for those that are not libcurl's.
    package init(_ code: Code, curlCode: Int32 = 0, requestMayHaveReachedServer: Bool, message: String) {
        self.code = code
        self.curlCode = curlCode
        self.requestMayHaveReachedServer = requestMayHaveReachedServer
        self.message = message
    }

    package var description: String { message }
}
