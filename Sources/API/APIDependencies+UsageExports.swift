import Jobs
import Shared

extension APIDependencies {
    /// Files of usage, and taking it over anew.
    static func usageExports(
        database: PostgresClient, queue: JobQueue, changes: Changes
    ) -> [any RouteGroup] {
        []
    }
}
