package import Foundation

/// How much there is of everything.
package struct SystemStatistics: Sendable, Equatable {
    /// The system's own user is not counted.
    package var totalUsers: Int
    package var activeUsers: Int
    /// Keys that were not deleted.
    package var totalAPIKeys: Int
    package var activeAPIKeys: Int
    package var totalModels: Int
    package var availableModels: Int
    package var totalSubscriptions: Int
}

/// What one user has used.
package struct UserUsageStatistics: Sendable, Equatable {
    package var totalRequests: Int
    package var totalTokens: Int
    /// Since the first of the month, in UTC.
    package var monthRequests: Int
    package var monthTokens: Int
}

/// Sums over several tables.
package struct PostgresStatisticsStore: Sendable {
    /// A store without state.
    package init() {}

    /// Counts everything.
    package func system(in executor: any PostgresExecutor) async throws -> SystemStatistics {
        let results = try await executor.pipeline([
            "select count(*), count(*) filter (where is_active) from users where id <> \(User.systemId)",
            """
            select count(*), count(*) filter (where \(unescaped: PostgresAPIKeyStore.isUsable)) from api_keys k
            where k.revoke_reason is distinct from 'deleted'
            """,
            "select count(*), count(*) filter (where availability = 'available') from models",
            "select count(*), 0::bigint from subscriptions",
        ])
        let counts = try results.map { try $0[0].decode(Int.self, Int.self) }
        return SystemStatistics(
            totalUsers: counts[0].0, activeUsers: counts[0].1, totalAPIKeys: counts[1].0, activeAPIKeys: counts[1].1,
            totalModels: counts[2].0, availableModels: counts[2].1, totalSubscriptions: counts[3].0)
    }

    /// Adds up what a user has used, as far as the daily tables tell.
    package func usage(ofUser userId: UUID, in executor: any PostgresExecutor) async throws -> UserUsageStatistics {
        let (requests, tokens, monthRequests, monthTokens) = try await executor.query(
            """
            select coalesce(sum(requests), 0)::bigint, coalesce(sum(total_tokens), 0)::bigint,
                coalesce(sum(requests) filter (where day >= m.first), 0)::bigint,
                coalesce(sum(total_tokens) filter (where day >= m.first), 0)::bigint
            from (select date_trunc('month', now() at time zone 'UTC')::date as first) m
            left join usage_daily on user_id = \(userId)
            """
        )[0].decode(Int.self, Int.self, Int.self, Int.self)
        return UserUsageStatistics(
            totalRequests: requests, totalTokens: tokens, monthRequests: monthRequests, monthTokens: monthTokens)
    }
}
