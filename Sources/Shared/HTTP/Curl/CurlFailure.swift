import CCurl
import Glibc

extension CurlTransfer {
    /// What a result code of libcurl means for the caller.
    func failure(_ code: CURLcode) -> HTTPTransportError {
        let kind = isTooLarge ? HTTPTransportError.Code.tooLarge : kind(of: code)
        let reason =
            switch kind {
            case .tooLarge where isTooLarge: "the answer is larger than the limit"
            case .addressRefused: "it may not connect to the host's address"
            default: curlErrorText(code)
            }
        return HTTPTransportError(
            kind, curlCode: Int32(code.rawValue), requestMayHaveReachedServer: mayHaveReachedServer,
            message: "\(request): \(reason)")
    }

    /// The transfer ends before libcurl finished it.
    func interruption(_ code: HTTPTransportError.Code, _ reason: String) -> HTTPTransportError {
        HTTPTransportError(
            code, requestMayHaveReachedServer: mayHaveReachedServer, message: "\(request): \(reason)")
    }

    private func kind(of code: CURLcode) -> HTTPTransportError.Code {
        switch code {
        case CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY: .dns
        case CURLE_COULDNT_CONNECT where wasAddressRefused: .addressRefused
        case CURLE_COULDNT_CONNECT: .connect(refused: easy.number(CURLINFO_OS_ERRNO) == Int(ECONNREFUSED))
        case CURLE_PROXY: .connect(refused: false)
        case CURLE_OPERATION_TIMEDOUT: .timeout
        case CURLE_FILESIZE_EXCEEDED: .tooLarge
        case CURLE_SSL_CONNECT_ERROR, CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CERTPROBLEM, CURLE_SSL_CIPHER,
            CURLE_SSL_CACERT_BADFILE, CURLE_SSL_ISSUER_ERROR, CURLE_SSL_ENGINE_NOTFOUND,
            CURLE_SSL_ENGINE_SETFAILED, CURLE_SSL_ENGINE_INITFAILED, CURLE_SSL_CRL_BADFILE,
            CURLE_SSL_PINNEDPUBKEYNOTMATCH, CURLE_SSL_INVALIDCERTSTATUS, CURLE_SSL_CLIENTCERT:
            .tls
        case CURLE_UNSUPPORTED_PROTOCOL where mayHaveReachedServer:
            // An answer without a status line, which libcurl takes for HTTP/0.9.
            .protocolViolation
        case CURLE_UNSUPPORTED_PROTOCOL, CURLE_URL_MALFORMAT, CURLE_BAD_FUNCTION_ARGUMENT, CURLE_UNKNOWN_OPTION:
            .invalidRequest
        case CURLE_WEIRD_SERVER_REPLY, CURLE_HTTP2, CURLE_HTTP2_STREAM, CURLE_BAD_CONTENT_ENCODING:
            .protocolViolation
        default: .aborted
        }
    }
}
