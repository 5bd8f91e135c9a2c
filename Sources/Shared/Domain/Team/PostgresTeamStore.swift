package import Foundation

/// The tables `teams` and `team_members`.
package struct PostgresTeamStore: Sendable {
    /// A store without state.
    package init() {}

    /// The team with this id.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> Team? {
        try await executor.query("select \(unescaped: Self.columns) from teams where id = \(id)")
            .first.map(Self.team)
    }

    /// The team with this id if it is in use and the user is in it, as everybody is in the default team. For a pipeline; its rows are
    /// read by ``team(_:)``.
    package func findQuery(_ id: UUID, ofUser userId: UUID) -> PostgresQuery {
        """
        select \(unescaped: Self.columns) from teams t
        where id = \(id) and is_active and (id = \(Team.defaultId) or exists (
            select from team_members m where m.team_id = t.id and m.user_id = \(userId)))
        """
    }

    /// Reads and locks the row until the transaction ends; other rows may still refer to it meanwhile.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> Team? {
        try await transaction.query(
            "select \(unescaped: Self.columns) from teams where id = \(id) for no key update"
        ).first.map(Self.team)
    }

    /// The teams in use that a user is a member of, the default team always among them, by name.
    package func teams(ofUser userId: UUID, in executor: any PostgresExecutor) async throws -> [Team] {
        try await executor.query(
            """
            select \(unescaped: Self.columns) from teams
            where is_active
                and (id = \(Team.defaultId) or id in (select team_id from team_members where user_id = \(userId)))
            order by name, id
            """
        ).map(Self.team)
    }

    /// Notes which job is to bring LiteLLM up to date; a team that was given up is `pending` again.
    package func expectSync(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update teams set last_job_id = \(jobId),
                sync_status = case when sync_status = 'failed' then 'pending' else sync_status end,
                sync_error = case when sync_status = 'failed' then null else sync_error end
            where id = \(id) and (last_job_id is distinct from \(jobId) or sync_status = 'failed')
            """)
    }

    /// Notes that LiteLLM was seen to have lost or changed the team, and which job sets it right.
    package func markDrifted(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update teams set sync_status = 'drifted', last_job_id = \(jobId), updated_at = now() where id = \(id)")
    }

    /// Notes that LiteLLM was read back and has `version`. An older version than known changes nothing.
    package func markSynced(
        _ id: UUID, version: Int64, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update teams set version_applied = \(version), last_job_id = \(jobId), sync_error = null, updated_at = now(),
                sync_status = case when version_wanted <= \(version) then 'synced' else 'pending' end
            where id = \(id) and version_applied <= \(version)
            """)
    }

    /// Notes that the synchronisation was given up. Nothing happens when a newer job is to do it, or when LiteLLM was
    /// seen to have the newest version.
    package func markFailed(
        _ id: UUID, error: SyncError, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update teams set sync_status = 'failed', updated_at = now(),
                sync_error = \(error.json) || jsonb_build_object('at', now())
            where id = \(id) and last_job_id = \(jobId)
                and (sync_status <> 'synced' or version_applied < version_wanted)
            """)
    }

    static let columns: StaticString = """
        id, name, alias, description, max_budget, budget_duration, tpm_limit, rpm_limit, allowed_models, metadata,
        is_active, created_by, current_spend, spend_taken_at, sync_status, version_wanted, version_applied, sync_error,
        last_job_id, created_at, updated_at
        """

    /// Reads one row of this store's statements.
    package static func team(_ row: PostgresRow) throws(PostgresError) -> Team {
        var spend: TeamSpend?
        if let amount = try row.get("current_spend", as: Decimal?.self),
            let takenAt = try row.get("spend_taken_at", as: Date?.self)
        {
            spend = TeamSpend(amount: amount, takenAt: takenAt)
        }
        return Team(
            id: try row.get("id"), name: try row.get("name"), alias: try row.get("alias"),
            description: try row.get("description"), limits: try SpendingLimits(row: row),
            allowedModels: try row.get("allowed_models"),
            metadata: try row.get("metadata"), isActive: try row.get("is_active"),
            createdBy: try row.get("created_by"), spend: spend, sync: try SyncState(row: row),
            createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }
}
