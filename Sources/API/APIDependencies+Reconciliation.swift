import Jobs
import Shared

extension APIDependencies {
    /// Whether LiteLLM is as it should be.
    static func reconciliation(
        database: PostgresClient, queue: JobQueue, changes: Changes
    ) -> [any RouteGroup] {
        let requests = ReconciliationRequests(queue: queue)
        return [
            DriftRoutes(database: database, requests: requests, changes: changes),
            IntegrationSyncRoutes(queue: queue, requests: requests, changes: changes),
        ]
    }
}
