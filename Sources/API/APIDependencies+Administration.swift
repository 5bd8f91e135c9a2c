import Jobs
import Shared

extension APIDependencies {
    /// What operators see of the whole.
    static func operatorViews(
        database: PostgresClient, queue: JobQueue, settings: APISettings, changes: Changes
    ) -> [any RouteGroup] {
        [
            AdminSystemRoutes(database: database, settings: settings),
            UserSpendRoutes(
                database: database, administration: UserAdministration(queue: queue), changes: changes),
            IntegrationRoutes(database: database),
        ]
    }
}
