import Foundation
import Hummingbird
import Shared

/// What a client can learn without signing in: what this is, how to sign in, what it can ask for.
struct SystemRoutes: RouteGroup {
    let settings: APISettings
    let provider: any IdentityProvider
    let registry: PrometheusRegistry

    var routes: [Route] {
        [
            .open(.get, "/api/v1") { _ in root() },
            .open(.get, "/api/v1/config") { _ in config() },
            .open(.get, "/metrics") { _ in metrics() },
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

    private func config() -> Response {
        .json(
            Members { json in
                json.member("version", BuildInfo.version)
                json.member("usageCacheTtlMinutes", settings.usageCacheMinutes)
                json.member("environment", settings.environment == .production ? "production" : "development")
                json.member("currency") { json in
                    json.member("code", settings.currency.code)
                    json.member("symbol", settings.currency.symbol)
                    json.member("name", settings.currency.name)
                }
                json.member("litellmApiUrl", settings.litellmURL)
                json.member("authMode", provider.mode)
                json.member("authProvider", provider.name)
            })
    }

    private func metrics() -> Response {
        let bytes = Array(registry.render().utf8)
        return Response(
            status: .ok, headers: [.contentType: PrometheusRegistry.contentType],
            body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
    }
}
