import Hummingbird

/// Counts requests that no route answers on the address they come from: nobody is asked who they are there.
struct UnknownPathLimit: RouterMiddleware {
    typealias Context = APIContext

    let limits: RequestLimits

    func handle(
        _ request: Request, context: APIContext,
        next: @concurrent (Request, APIContext) async throws -> Response
    ) async throws -> Response {
        if context.endpointPath == nil {
            try await limits.admit(Call(request: request, context: context), nil, to: .caller)
        }
        return try await next(request, context)
    }
}
