import Hummingbird
import Shared

/// How much there is of everything, for administrators.
struct AdminSystemRoutes: RouteGroup {
    let database: PostgresClient

    var routes: [Route] {
        [.permitted(.adminUsage, .get, "/api/v1/admin/system/stats", stats)]
    }

    private func stats(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await PostgresStatisticsStore().system(in: database)
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
}
