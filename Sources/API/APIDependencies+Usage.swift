import Jobs
import Shared

extension APIDependencies {
    /// What was used.
    static func usage(
        database: PostgresClient, queue: JobQueue, changes: Changes
    ) -> [any RouteGroup] {
        [
            UsageRoutes(database: database, collection: UsageCollection(queue: queue), changes: changes),
            OwnUsageRoutes(database: database),
            AdminUsageRoutes(database: database),
        ]
    }
}
