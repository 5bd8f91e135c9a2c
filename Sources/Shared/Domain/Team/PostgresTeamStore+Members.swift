package import Foundation

/// The tables `team_members` and `team_departures`.
extension PostgresTeamStore {
    // MARK: Reading

    /// A user's part in a team; nil when they have none. Everybody is a member of the default team, with or without row.
    package func member(
        _ userId: UUID, ofTeam teamId: UUID, in executor: any PostgresExecutor
    ) async throws -> TeamMember? {
        try await executor.query(
            "select user_id, role, joined_at from team_members where team_id = \(teamId) and user_id = \(userId)"
        ).first.map(Self.member)
    }

    /// One page of a team's members, those who joined first before the others.
    package func members(
        ofTeam teamId: UUID, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> Page<TeamMember> {
        let results = try await executor.pipeline([
            """
            select user_id, role, joined_at from team_members where team_id = \(teamId)
            order by joined_at, user_id limit \(page.size) offset \(page.offset)
            """,
            "select count(*) as n from team_members where team_id = \(teamId)",
        ])
        return Page(items: try results[0].map(Self.member), total: try results[1].one(Int.self))
    }

    /// The teams, each with those of its members who joined first.
    ///
    /// - Parameter limit: members of each.
    package func summaries(
        _ teams: [Team], members limit: Int, in executor: any PostgresExecutor
    ) async throws -> [TeamSummary] {
        let ids = teams.map(\.id)
        let results = try await executor.pipeline([
            """
            select t.id as team_id, m.user_id, m.role, m.joined_at
            from unnest(\(ids)) as t (id) cross join lateral (
                select user_id, role, joined_at from team_members where team_id = t.id
                order by joined_at, user_id limit \(limit)) as m
            order by m.joined_at, m.user_id
            """,
            "select team_id, count(*) as n from team_members where team_id = any (\(ids)) group by team_id",
        ])
        var members: [UUID: [TeamMember]] = [:]
        for row in results[0] { members[try row.get("team_id"), default: []].append(try Self.member(row)) }
        var counts: [UUID: Int] = [:]
        for row in results[1] { counts[try row.get("team_id")] = try row.get("n", as: Int.self) }
        return teams.map {
            TeamSummary(team: $0, members: members[$0.id] ?? [], memberCount: counts[$0.id] ?? 0)
        }
    }

    /// The ids of the members whom LiteLLM was once seen to have, and who were not given up since.
    package func provisionedMemberIds(
        ofTeam teamId: UUID, in executor: any PostgresExecutor
    ) async throws -> [UUID] {
        try await executor.query(
            """
            select m.user_id from team_members m join users u on u.id = m.user_id
            where m.team_id = \(teamId) and u.version_applied > 0 and u.sync_status <> 'failed'
            order by m.user_id
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Who left the team and may still be in LiteLLM's.
    package func departedIds(ofTeam teamId: UUID, in executor: any PostgresExecutor) async throws -> [UUID] {
        try await executor.query("select user_id from team_departures where team_id = \(teamId) order by user_id")
            .map { try $0.decode(UUID.self) }
    }

    // MARK: Changing

    /// Puts a user into a team; nothing happens when they are in it.
    package func addMember(
        userId: UUID, teamId: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            "insert into team_members (team_id, user_id) values (\(teamId), \(userId)) on conflict do nothing")
    }

    /// Puts a user into a team, or gives a member another role.
    package func setMember(
        userId: UUID, teamId: UUID, role: TeamRole, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into team_members (team_id, user_id, role) values (\(teamId), \(userId), \(role.rawValue))
            on conflict (team_id, user_id) do update set role = excluded.role
            """)
        try await transaction.query(
            "delete from team_departures where team_id = \(teamId) and user_id = \(userId)")
    }

    /// Takes a user out of a team, and notes that LiteLLM has to hear of it.
    package func removeMember(userId: UUID, teamId: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query("delete from team_members where team_id = \(teamId) and user_id = \(userId)")
        try await noteDeparture(userId: userId, teamId: teamId, in: transaction)
    }

    /// Notes that LiteLLM's team may have somebody who is no member.
    package func noteDeparture(userId: UUID, teamId: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            insert into team_departures (team_id, user_id) values (\(teamId), \(userId))
            on conflict (team_id, user_id) do nothing
            """)
    }

    /// Forgets who left, once LiteLLM was read back without them. Nothing happens when the team was changed since
    /// `version`, as somebody may have come back and left again: the job of that change looks anew.
    package func forgetDepartures(
        ofTeam teamId: UUID, _ userIds: [UUID], version: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            delete from team_departures where team_id = \(teamId) and user_id = any (\(userIds))
                and exists (select from teams where id = \(teamId) and version_wanted <= \(version))
            """)
    }

    private static func member(_ row: PostgresRow) throws(PostgresError) -> TeamMember {
        TeamMember(userId: try row.get("user_id"), role: try row.get("role"), joinedAt: try row.get("joined_at"))
    }
}
