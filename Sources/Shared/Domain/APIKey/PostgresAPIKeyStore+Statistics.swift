package import Foundation

/// How many keys there are, of which kinds.
package struct APIKeyStatistics: Sendable, Equatable {
    /// Keys that were not deleted.
    package var total = 0
    /// Those that clients see as active.
    package var active = 0
    /// Those whose time is over.
    package var expired = 0
    /// Those that were taken away.
    package var revoked = 0
    /// Those that were asked for by naming one subscription, by its id.
    package var bySubscription: [UUID: Int] = [:]
    /// By the models they name.
    package var byModel: [String: Int] = [:]
}

extension PostgresAPIKeyStore {
    /// Counts a user's keys; nil for everybody's.
    package func statistics(ofUser userId: UUID?, in executor: any PostgresExecutor) async throws -> APIKeyStatistics {
        let mine: PostgresFragment =
            "(\(userId)::uuid is null or k.user_id = \(userId)::uuid) and k.revoke_reason is distinct from 'deleted'"
        let results = try await executor.pipeline([
            """
            select count(*), count(*) filter (where \(unescaped: Self.isListedActive)),
                count(*) filter (where k.expires_at <= now() and (k.is_active or k.revoke_reason = 'expired')),
                count(*) filter (where not k.is_active and k.revoke_reason is distinct from 'expired')
            from api_keys k where \(mine)
            """,
            """
            select k.subscription_id, count(*) from api_keys k where \(mine) and k.subscription_id is not null
            group by 1 order by 2 desc, 1 limit 1000
            """,
            """
            select m.model_id, count(*) from api_keys k join api_key_models m on m.api_key_id = k.id where \(mine)
            group by 1 order by 2 desc, 1 limit 1000
            """,
        ])
        var statistics = APIKeyStatistics()
        (statistics.total, statistics.active, statistics.expired, statistics.revoked) =
            try results[0][0].decode(Int.self, Int.self, Int.self, Int.self)
        for row in results[1] {
            let (id, count) = try row.decode(UUID.self, Int.self)
            statistics.bySubscription[id] = count
        }
        for row in results[2] {
            let (model, count) = try row.decode(String.self, Int.self)
            statistics.byModel[model] = count
        }
        return statistics
    }
}
