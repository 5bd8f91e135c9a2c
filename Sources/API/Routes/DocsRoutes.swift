import HTTPTypes
import Hummingbird

/// The description of this API, to read and to try out.
struct DocsRoutes: RouteGroup {
    let openAPI: OpenAPIDocument
    let page: DocsPage

    var routes: [Route] {
        [
            .open(.get, "/api/v1/openapi.json") { _ in .json(bytes: openAPI.json) },
            .open(.get, "/docs/openapi.json") { _ in .json(bytes: openAPI.json) },
            .open(.get, "/docs") { _ in try page.answer("index.html") },
            .open(.get, "/docs/assets/{name}") { call in try page.answer(try call.parameter("name")) },
            .open(.get, "/api/docs") { _ in Response(status: .permanentRedirect, headers: [.location: "/docs"]) },
        ]
    }
}
