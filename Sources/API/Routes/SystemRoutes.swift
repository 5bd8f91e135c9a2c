import Foundation
import Hummingbird
import Shared

/// What this is, what it can be asked for, and how it fares.
struct SystemRoutes: RouteGroup {
    let registry: PrometheusRegistry

    var routes: [Route] {
        [
            .open(.get, "/api/v1") { _ in root() },
            .open(.get, "/metrics") { _ in metrics() },
            // Where LiteMaaS has it.
            .open(.get, "/api/v1/health/metrics") { _ in metrics() },
        ]
    }

    private func root() -> Response {
        .json(
            Members { json in
                json.member("name", "LiteMaaS API")
                json.member("version", BuildInfo.version)
                json.member(
                    "description", "Models as a service: keys, models and usage, provisioned in LiteLLM by jobs.")
                json.member("docs", "/docs")
            })
    }

    private func metrics() -> Response {
        let bytes = Array(registry.render().utf8)
        return Response(
            status: .ok, headers: [.contentType: PrometheusRegistry.contentType],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
