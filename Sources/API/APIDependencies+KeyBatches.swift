import Jobs
import Shared

extension APIDependencies {
    /// Many keys at once.
    static func keyBatches(
        database: PostgresClient, queue: JobQueue, sealer: Sealer, provisioning: ProvisioningSettings,
        settings: APISettings, changes: Changes
    ) -> [any RouteGroup] {
        let keys = KeyProvisioning(queue: queue, sealer: sealer, settings: provisioning)
        let batches = KeyBatches(queue: queue, keys: keys)
        return [
            KeyBatchRoutes(
                database: database, queue: queue, batches: batches, changes: changes, settings: settings),
            KeyBatchResultRoutes(database: database, sealer: sealer),
            LabelledKeyRoutes(database: database, batches: batches, changes: changes),
        ]
    }
}
