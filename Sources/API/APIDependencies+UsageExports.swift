import Jobs
import Shared

extension APIDependencies {
    /// Files of usage, taking it over anew, and single requests.
    static func usageExports(
        database: PostgresClient, queue: JobQueue, provisioning: ProvisioningSettings, changes: Changes
    ) -> [any RouteGroup] {
        [
            UsageExportRoutes(database: database, exports: UsageExports(queue: queue), changes: changes),
            UsageRebuildRoutes(collection: UsageCollection(queue: queue), changes: changes),
            UsageRequestRoutes(database: database, isKept: provisioning.keepsRequestLog),
        ]
    }
}
