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
            .open(.get, "/api/v1/config/admin-analytics") { _ in analytics() },
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

    private func analytics() -> Response {
        let limits = settings.analytics
        return .json(
            Members { json in
                json.member("pagination") { json in
                    json.member("defaultPageSize", limits.pageSizes.usual)
                    json.member("maxPageSize", limits.pageSizes.largest)
                    json.member("minPageSize", limits.pageSizes.smallest)
                }
                json.member("topLimits") { json in
                    json.member("users", limits.topUsers)
                    json.member("models", limits.topModels)
                    json.member("providers", limits.topProviders)
                }
                json.member("dateRangeLimits") { json in
                    json.member("maxAnalyticsDays", limits.maxDays)
                    json.member("maxExportDays", limits.maxExportDays)
                }
                json.member("warnings") { json in json.member("largeDateRangeDays", limits.largeRangeDays) }
                json.member("trends") { json in json.member("calculationPrecision", limits.trendDigits) }
                json.member("export") { json in json.member("maxRows", limits.maxExportRows) }
            })
    }
}

/// How much one look at everybody's usage may show. What clients are told and what the routes allow are one value.
struct AnalyticsLimits: Sendable {
    /// Rows on a page of a breakdown.
    var pageSizes = (smallest: 1, usual: 50, largest: 200)
    var topUsers = 10
    var topModels = 10
    var topProviders = 5
    /// Users in the list of an analytics answer; `by-user` has them all.
    var listedUsers = 5
    /// Filters that one request may name of one sort, and choices that it is offered.
    var maxChoices = 1000
    /// Days of one look.
    var maxDays = 90
    /// Days of one export.
    var maxExportDays = 365
    /// From here on a front end warns that it takes long.
    var largeRangeDays = 30
    /// Decimal places of a trend in percent.
    var trendDigits = 2
    /// Rows of one export.
    var maxExportRows = 10_000
}
