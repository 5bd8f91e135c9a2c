import HTTPTypes
import Hummingbird
import Shared

/// Every route of this API: the list that is registered, and that tests hold against the documentation.
func allRoutes(_ dependencies: APIDependencies) -> [Route] {
    let groups: [any RouteGroup] = [
        dependencies.system, dependencies.docs, dependencies.config, dependencies.settingRoutes, dependencies.health,
        dependencies.auth, dependencies.authInformation, dependencies.sessions, dependencies.serviceTokens,
        dependencies.permissions, dependencies.models, dependencies.modelStatus, dependencies.adminModels,
        dependencies.users, dependencies.ownUser, dependencies.adminUsers, dependencies.userConflicts,
        dependencies.teams, dependencies.audit, dependencies.jobs,
    ]
    return (groups + dependencies.rights + dependencies.operations + dependencies.engine).flatMap(\.routes)
}

/// The router with all routes and layers; the same for the process and for tests.
func buildRouter(_ dependencies: APIDependencies) -> Router<APIContext> {
    let router = Router(context: APIContext.self, options: .autoGenerateHeadEndpoints)
    router.add(middleware: RequestScope(proxies: TrustedProxies(networks: dependencies.settings.trustedProxies)))
    router.add(middleware: CORS(origins: Set(dependencies.settings.frontendOrigins)))
    router.add(middleware: AccessLog(metrics: dependencies.metrics))
    router.add(middleware: ErrorMiddleware())
    let limits = dependencies.limits
    router.add(middleware: UnknownPathLimit(limits: limits))
    let authenticator = dependencies.authenticator
    let routes = allRoutes(dependencies)
    for route in routes {
        router.on(RouterPath(route.path), method: route.method) { request, context in
            try await route.answer(Call(request: request, context: context), by: authenticator, limits)
        }
    }
    refuseOtherMethods(routes, on: router, limits)
    return router
}

/// A path that exists answers other methods with 405 and the ones that it knows, instead of 404.
private func refuseOtherMethods(_ routes: [Route], on router: Router<APIContext>, _ limits: RequestLimits) {
    let all =
        [.get, .head, .post, .put, .patch, .delete, .options, .trace, .connect]
        + ["QUERY", "PROPFIND", "SEARCH"].compactMap { HTTPRequest.Method(rawValue: $0) }
    for (path, routes) in Dictionary(grouping: routes, by: \.path) {
        var known = Set(routes.map(\.method))
        if known.contains(.get) { known.insert(.head) }
        let allow = known.map(\.rawValue).sorted().joined(separator: ", ")
        for method in all where !known.contains(method) {
            router.on(RouterPath(path), method: method) { request, context -> Response in
                try await limits.admit(Call(request: request, context: context), nil, to: .caller)
                var error = APIError(
                    .methodNotAllowed, .methodNotAllowed, "This path does not know the method \(method.rawValue).")
                error.headers[.allow] = allow
                throw error
            }
        }
    }
}
