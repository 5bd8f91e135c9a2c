package import Foundation
package import Shared

/// How far LiteLLM agrees with one sort of rows.
package struct SyncCounts: Sendable, Equatable {
    package var inSync: Int
    /// On their way, or seen to differ.
    package var pending: Int
    /// Given up.
    package var failed: Int

    package var outOfSync: Int { pending + failed }
}

/// How far LiteLLM agrees with us, as our tables tell.
package struct IntegrationHealth: Sendable {
    package var users: SyncCounts
    package var teams: SyncCounts
    /// Live ones.
    package var keys: SyncCounts
    /// Those that are kept here.
    package var models: SyncCounts
    /// When a worker last called LiteLLM, whatever came of it; nil when that was long ago.
    package var lastCall: Date?
    /// When everything was last compared with LiteLLM, or the list of models read.
    package var lastSync: Date?
    /// When that is to happen next.
    package var nextSync: Date?

    package var pending: Int { users.pending + teams.pending + keys.pending + models.pending }
    package var failed: Int { users.failed + teams.failed + keys.failed + models.failed }
}

/// Reads how far LiteLLM agrees with our tables.
package struct PostgresIntegrationStore: Sendable {
    package init() {}

    /// In one round trip.
    package func health(in executor: any PostgresExecutor) async throws -> IntegrationHealth {
        let results = try await executor.pipeline([
            Self.counts("users", where: "id <> \(User.systemId)"), Self.counts("teams", where: "is_active"),
            Self.counts("api_keys", where: "is_active"), Self.counts("model_specs", where: "true"),
            """
            select (select max(bucket) from breaker_windows),
                greatest(
                    (select max(finished_at) from reconciliations where is_complete),
                    (select max(finished_at) from model_syncs where success)),
                (select min(look_at) from job_schedules
                    where enabled and kind in ('integration.sync', 'reconcile.orphans', \(ModelSync.name)))
            """,
        ])
        let counts = try results.prefix(4).map { result in
            let (inSync, pending, failed) = try result[0].decode(Int.self, Int.self, Int.self)
            return SyncCounts(inSync: inSync, pending: pending, failed: failed)
        }
        let (lastCall, lastSync, nextSync) = try results[4][0].decode(Date?.self, Date?.self, Date?.self)
        return IntegrationHealth(
            users: counts[0], teams: counts[1], keys: counts[2], models: counts[3], lastCall: lastCall,
            lastSync: lastSync, nextSync: nextSync)
    }

    private static func counts(_ table: StaticString, where condition: PostgresFragment) -> PostgresQuery {
        """
        select count(*) filter (where sync_status = 'synced'),
            count(*) filter (where sync_status in ('pending', 'drifted')),
            count(*) filter (where sync_status = 'failed')
        from \(unescaped: table) where \(condition)
        """
    }
}
