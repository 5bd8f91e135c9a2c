import HTTPTypes
import Hummingbird
import Logging
import Shared

/// Logs one line per request and counts it, by the route's template: a path with ids in it would be a label of its
/// own for each object.
struct AccessLog: RouterMiddleware {
    typealias Context = APIContext

    let metrics: HTTPMetrics

    func handle(
        _ request: Request, context: APIContext,
        next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        let start = ContinuousClock.now
        metrics.started()
        defer { metrics.ended() }
        // What is thrown here has been turned into a response already, by the layer inside.
        let response = try await next(request, context)
        let duration = ContinuousClock.now - start
        let route = context.endpointPath ?? "unknown"
        metrics.record(method: request.method, route: route, status: response.status.code, duration: duration)
        guard context.logger.logLevel <= .info else { return response }
        var metadata: Logger.Metadata = [
            "method": .string(request.method.rawValue),
            "route": .string(route),
            "status": .stringConvertible(response.status.code),
            "ms": .stringConvertible(Double(duration.inMicroseconds) / 1000),
        ]
        metadata["user_id"] = context.record.userId.map { .string($0) }
        metadata["code"] = context.record.errorCode.map { .string($0) }
        context.logger.info("request", metadata: metadata)
        return response
    }
}

extension Duration {
    /// Whole microseconds.
    fileprivate var inMicroseconds: Int64 {
        components.seconds * 1_000_000 + components.attoseconds / 1_000_000_000_000
    }
}
