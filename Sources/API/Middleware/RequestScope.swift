import Foundation
import HTTPTypes
import Hummingbird
import Logging
import Shared

/// The outermost layer: gives every request its ids and its logger, and every answer its headers.
struct RequestScope: RouterMiddleware {
    typealias Context = APIContext

    let proxies: TrustedProxies

    init(proxies: TrustedProxies) {
        self.proxies = proxies
    }

    /// Sent with every answer that does not have its own: what is no page needs none of what browsers would otherwise allow.
    private let securityHeaders: [HTTPField] = [
        HTTPField(name: .xContentTypeOptions, value: "nosniff"),
        HTTPField(name: .contentSecurityPolicy, value: "default-src 'none'; frame-ancestors 'none'"),
        HTTPField(name: .known("X-Frame-Options"), value: "DENY"),
        HTTPField(name: .known("Referrer-Policy"), value: "no-referrer"),
        HTTPField(name: .known("Cross-Origin-Resource-Policy"), value: "same-site"),
        HTTPField(name: .strictTransportSecurity, value: "max-age=31536000; includeSubDomains"),
    ]

    func handle(
        _ request: Request, context: APIContext,
        next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        var context = context
        context.clientIP = proxies.client(peer: context.clientIP, headers: request.headers)
        context.requestId = RequestIdentity.requestId(from: request.headers[.requestId])
        context.correlationId = RequestIdentity.correlationId(from: request.headers[.correlationId])
        context.logger = logger(for: context)
        let scoped = context
        var response = try await withLogger(scoped.logger) { _ in
            try await next(request, scoped)
        }
        response.headers[.requestId] = scoped.requestId
        if let correlationId = scoped.correlationId {
            response.headers[.correlationId] = correlationId
        }
        scoped.record.rateLimit?.write(to: &response.headers)
        for header in securityHeaders where response.headers[header.name] == nil {
            response.headers.append(header)
        }
        if response.headers[.cacheControl] == nil {
            response.headers[.cacheControl] = "no-store"
        }
        return response
    }

    private func logger(for context: APIContext) -> Logger {
        var logger = context.logger
        logger[metadataKey: "hb.request.id"] = nil
        logger[metadataKey: "request_id"] = .string(context.requestId)
        if let correlationId = context.correlationId {
            logger[metadataKey: "correlation_id"] = .string(correlationId)
        }
        return logger
    }
}

/// The ids that tie a request to its log lines, its jobs and what they send to LiteLLM.
enum RequestIdentity {
    /// The client's id if it is short and plain, else a new one.
    static func requestId(from field: String?) -> String {
        guard let field, (1...128).contains(field.utf8.count), field.utf8.allSatisfy(isPlain) else {
            return UUID().uuidString.lowercased()
        }
        return field
    }

    /// The client's id if it is a UUID of version 4.
    static func correlationId(from field: String?) -> String? {
        guard let field, field.utf8.count == 36, UUID(uuidString: field) != nil else { return nil }
        let digits = Array(field.lowercased().utf8)
        guard digits[14] == UInt8(ascii: "4"), "89ab".utf8.contains(digits[19]) else { return nil }
        return field
    }

    private static func isPlain(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"), UInt8(ascii: "."),
            UInt8(ascii: ":"):
            true
        default: false
        }
    }
}
