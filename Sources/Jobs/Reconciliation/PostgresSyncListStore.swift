import Foundation
import Shared

/// Which rows a synchronisation of everything is about.
struct PostgresSyncListStore: Sendable {
    /// How far a synchronisation goes.
    struct Extent: Sendable {
        /// Also what LiteLLM was seen to have.
        var isForced: Bool
        /// Only this user, and what is theirs.
        var userId: UUID?
        /// Only this team, and what belongs to it.
        var teamId: UUID?
        var limit: Int
    }

    func teams(_ extent: Extent, in executor: any PostgresExecutor) async throws -> [UUID] {
        try await executor.query(
            """
            select id from teams
            where is_active and (\(extent.isForced) or sync_status <> 'synced' or version_applied < version_wanted)
                and (\(extent.teamId)::uuid is null or id = \(extent.teamId)::uuid)
                and (\(extent.userId)::uuid is null or id in (
                    select team_id from team_members where user_id = \(extent.userId)::uuid))
            order by id limit \(extent.limit)
            """
        ).map { try $0.decode(UUID.self) }
    }

    func users(_ extent: Extent, in executor: any PostgresExecutor) async throws -> [UUID] {
        try await executor.query(
            """
            select id from users
            where id <> \(User.systemId)
                and (\(extent.isForced) or sync_status <> 'synced' or version_applied < version_wanted)
                and (\(extent.userId)::uuid is null or id = \(extent.userId)::uuid)
                and (\(extent.teamId)::uuid is null or id in (
                    select user_id from team_members where team_id = \(extent.teamId)::uuid))
            order by id limit \(extent.limit)
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Keys that nobody revoked and that LiteLLM once had.
    func keys(_ extent: Extent, in executor: any PostgresExecutor) async throws -> [UUID] {
        try await executor.query(
            """
            select id from api_keys
            where is_active and version_applied > 0 and (expires_at is null or expires_at > now())
                and (\(extent.isForced) or sync_status <> 'synced' or version_applied < version_wanted)
                and (\(extent.userId)::uuid is null or user_id = \(extent.userId)::uuid)
                and (\(extent.teamId)::uuid is null or team_id = \(extent.teamId)::uuid)
            order by id limit \(extent.limit)
            """
        ).map { try $0.decode(UUID.self) }
    }
}
