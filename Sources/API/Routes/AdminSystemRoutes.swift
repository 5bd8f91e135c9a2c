import Hummingbird
import Jobs
import Shared

/// How much there is of everything, and how the whole is doing, for administrators. Nothing here calls LiteLLM.
struct AdminSystemRoutes: RouteGroup {
    let database: PostgresClient
    let settings: APISettings
    private let statistics = PostgresStatisticsStore()

    init(database: PostgresClient, settings: APISettings) {
        self.database = database
        self.settings = settings
    }

    var routes: [Route] {
        [
            .permitted(.adminUsage, .get, "/api/v1/admin/system/stats", stats),
            .permitted(.adminUsage, .get, "/api/v1/admin/system/status", status),
        ]
    }

    private func stats(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await statistics.system(in: database)
        return .json(
            Members { json in
                json.member("totalUsers", found.totalUsers)
                json.member("activeUsers", found.activeUsers)
                json.member("totalApiKeys", found.totalAPIKeys)
                json.member("activeApiKeys", found.activeAPIKeys)
                json.member("totalModels", found.totalModels)
                json.member("availableModels", found.availableModels)
            })
    }

    private func status(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await statistics.system(in: database)
        let models = try await PostgresModelStore().counts(in: database)
        let breakers = try await PostgresBreakerStore().statuses(in: database)
        let pool = ConnectionPoolView(statistics: database.statistics)
        return .json(
            Members { json in
                json.member("system") { json in
                    json.member("uptime", (ContinuousClock.now - HealthRoutes.started).inSeconds)
                    json.member("version", BuildInfo.version)
                    json.member("environment", settings.environment.rawValue)
                }
                json.member("database") { json in
                    // Without it there would be no answer.
                    json.member("status", "healthy")
                    json.member("connectionPool", pool)
                }
                json.member("litellm") { json in
                    json.member("status", breakers.allSatisfy(\.admits) ? "healthy" : "unhealthy")
                    json.nullable("lastSync", models.syncedAt)
                    json.member("modelCount", models.available)
                }
                json.member("usage") { json in
                    json.member("totalUsers", found.totalUsers)
                    json.member("activeUsers", found.activeUsers)
                    json.member("totalSubscriptions", found.totalSubscriptions)
                    json.member("totalApiKeys", found.totalAPIKeys)
                }
            })
    }
}

/// This process's connections to the database.
struct ConnectionPoolView: JSONRepresentable {
    let statistics: PostgresPoolStatistics

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("active", statistics.active)
            json.member("idle", statistics.idle)
            json.member("total", statistics.total)
            json.member("waiting", statistics.waiting)
        }
    }
}
