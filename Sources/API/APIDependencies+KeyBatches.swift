import Jobs
import Shared

extension APIDependencies {
    /// Many keys at once.
    static func keyBatches(
        database: PostgresClient, queue: JobQueue, sealer: Sealer, provisioning: ProvisioningSettings,
        changes: Changes
    ) -> [any RouteGroup] {
        []
    }
}
