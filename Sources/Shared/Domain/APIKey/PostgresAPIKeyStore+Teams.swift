package import Foundation

extension PostgresAPIKeyStore {
    /// The names of a team's keys that work or are to work, the oldest first; ids stand for keys without a name.
    ///
    /// - Parameters:
    ///   - userId: only this member's; nil for all.
    ///   - limit: at most so many.
    package func liveNames(
        inTeam teamId: UUID, ofUser userId: UUID? = nil, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [String] {
        try await executor.query(
            """
            select coalesce(k.name, k.id::text) from api_keys k
            where k.team_id = \(teamId) and (\(userId)::uuid is null or k.user_id = \(userId)::uuid)
                and \(unescaped: Self.isUsable)
            order by k.created_at, k.id limit \(limit)
            """
        ).map { try $0.decode(String.self) }
    }
}
