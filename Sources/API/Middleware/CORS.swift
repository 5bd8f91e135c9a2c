import HTTPTypes
import Hummingbird

/// Lets pages of listed origins call this API from a browser. Other origins get no headers, which is a refusal.
struct CORS: RouterMiddleware {
    typealias Context = APIContext

    private static let methods = "GET, POST, PUT, PATCH, DELETE"
    private static let requestHeaders =
        "Authorization, Content-Type, Idempotency-Key, Prefer, X-Request-Id, X-Correlation-Id, traceparent"
    private static let responseHeaders =
        "Location, Preference-Applied, Idempotency-Replayed, Retry-After, X-Request-Id, X-Correlation-Id, "
        + "X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, Content-Disposition, X-Export-Limit, "
        + "X-Export-Truncated"

    let origins: Set<String>

    func handle(
        _ request: Request, context: APIContext,
        next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        guard let origin = request.headers[.origin] else { return try await next(request, context) }
        let isAllowed = origins.contains(origin)
        if request.method == .options, request.headers[.accessControlRequestMethod] != nil {
            var response = Response(status: .noContent)
            response.headers[.vary] = "Origin"
            if isAllowed {
                response.headers[.accessControlAllowOrigin] = origin
                response.headers[.accessControlAllowCredentials] = "true"
                response.headers[.accessControlAllowMethods] = Self.methods
                response.headers[.accessControlAllowHeaders] = Self.requestHeaders
                response.headers[.accessControlMaxAge] = "600"
            }
            return response
        }
        var response = try await next(request, context)
        response.headers[.vary] = "Origin"
        if isAllowed {
            response.headers[.accessControlAllowOrigin] = origin
            response.headers[.accessControlAllowCredentials] = "true"
            response.headers[.accessControlExposeHeaders] = Self.responseHeaders
        }
        return response
    }
}
