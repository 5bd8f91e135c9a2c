import Jobs
import Shared

extension APIDependencies {
    /// What was used.
    static func usage(
        database: PostgresClient, queue: JobQueue, limits: AnalyticsLimits, changes: Changes
    ) -> [any RouteGroup] {
        [
            UsageRoutes(database: database, collection: UsageCollection(queue: queue), changes: changes),
            OwnUsageRoutes(database: database, limits: limits),
            AdminUsageRoutes(database: database, limits: limits),
        ]
    }
}
