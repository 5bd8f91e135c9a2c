import Jobs
import Shared

extension APIDependencies {
    /// Whether LiteLLM is as it should be.
    static func reconciliation(
        database: PostgresClient, queue: JobQueue, changes: Changes
    ) -> [any RouteGroup] {
        []
    }
}
