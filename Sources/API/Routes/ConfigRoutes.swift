import Hummingbird
import Shared

/// What a front end needs to know before anybody signs in.
struct ConfigRoutes: RouteGroup {
    let database: PostgresClient
    let settings: APISettings
    let provider: any IdentityProvider
    private let stored = PostgresSettingStore()

    init(database: PostgresClient, settings: APISettings, provider: any IdentityProvider) {
        self.database = database
        self.settings = settings
        self.provider = provider
    }

    var routes: [Route] {
        [
            .open(.get, "/api/v1/config", config),
            .open(.get, "/api/v1/config/api-key-defaults", keyDefaults),
            .open(.get, "/api/v1/config/admin-analytics", analytics),
        ]
    }

    private func config(_ call: Call) async throws -> Response {
        let currency = try await stored.currency(in: database)
        return .json(
            Members { json in
                json.member("version", BuildInfo.version)
                json.member("usageCacheTtlMinutes", settings.usageCacheMinutes)
                json.member("environment", settings.environment == .production ? "production" : "development")
                json.member("currency", CurrencyView(currency: currency))
                json.member("litellmApiUrl", settings.litellmURL)
                json.member("authMode", provider.mode)
                json.member("authProvider", provider.name)
            })
    }

    private func keyDefaults(_ call: Call) async throws -> Response {
        .json(APIKeyDefaultsView(settings: try await stored.get(in: database) ?? APIKeyDefaults()))
    }

    private func analytics(_ call: Call) async throws -> Response {
        let limits = try await stored.analytics(in: database)
        return .json(Members { AnalyticsLimitsView(limits: limits).writeMembers(to: &$0) })
    }
}
