package import Foundation

extension PostgresTeamStore {
    /// One page of the teams in use, by name.
    ///
    /// - Parameter userId: only those that this user is in; nil for all.
    package func list(
        ofUser userId: UUID?, _ page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> Page<Team> {
        let condition: PostgresFragment =
            userId.map { id in
                """
                is_active and (id = \(Team.defaultId)
                    or id in (select team_id from team_members where user_id = \(id)))
                """
            } ?? "is_active"
        let results = try await executor.pipeline([
            """
            select \(unescaped: Self.columns) from teams where \(condition)
            order by lower(name), id limit \(page.size) offset \(page.offset)
            """,
            "select count(*) as n from teams where \(condition)",
        ])
        return Page(items: try results[0].map(Self.team), total: try results[1].one(Int.self))
    }

    /// Stores a new team.
    ///
    /// Throws `PostgresError` with a unique violation of `teams_name`.
    package func insert(_ new: NewTeam, by userId: UUID?, in transaction: PostgresTransaction) async throws -> Team {
        let rows = try await transaction.query(
            """
            insert into teams (
                id, name, alias, description, max_budget, budget_duration, tpm_limit, rpm_limit, allowed_models,
                created_by)
            values (
                \(new.id), \(new.name), \(new.alias), \(new.description), \(new.limits.maxBudget),
                \(new.limits.budgetDuration), \(new.limits.tpmLimit), \(new.limits.rpmLimit), \(new.allowedModels),
                \(userId))
            returning \(unescaped: Self.columns)
            """)
        return try Self.team(rows[0])
    }

    /// Writes what may be changed of a row that the transaction has locked.
    ///
    /// Throws `PostgresError` with a unique violation of `teams_name`.
    ///
    /// - Parameter reachesLiteLLM: whether LiteLLM has to hear of it: the wanted version is raised.
    package func store(
        _ team: Team, reachesLiteLLM: Bool, in transaction: PostgresTransaction
    ) async throws -> Team {
        let rows = try await transaction.query(
            """
            update teams set name = \(team.name), alias = \(team.alias), description = \(team.description),
                max_budget = \(team.limits.maxBudget), budget_duration = \(team.limits.budgetDuration),
                tpm_limit = \(team.limits.tpmLimit), rpm_limit = \(team.limits.rpmLimit),
                allowed_models = \(team.allowedModels), is_active = \(team.isActive),
                deleted_at = case when not \(team.isActive) then coalesce(deleted_at, now()) end,
                version_wanted = version_wanted + \(reachesLiteLLM)::int,
                sync_status = case when \(reachesLiteLLM) then 'pending' else sync_status end,
                sync_error = case when \(reachesLiteLLM) then null else sync_error end, updated_at = now()
            where id = \(team.id)
            returning \(unescaped: Self.columns)
            """)
        return try Self.team(rows[0])
    }

    /// Reads the row and locks it against everybody who would refer to it, as new keys do, until the transaction ends.
    package func lockForDeletion(_ id: UUID, in transaction: PostgresTransaction) async throws -> Team? {
        try await transaction.query("select \(unescaped: Self.columns) from teams where id = \(id) for update")
            .first.map(Self.team)
    }

    /// Notes what LiteLLM said the team has spent.
    package func noteSpend(_ amount: Decimal, of id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update teams set current_spend = \(amount), spend_taken_at = now() where id = \(id)")
    }

    /// LiteLLM is to hear of what was changed.
    package func raiseVersion(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update teams set version_wanted = version_wanted + 1, sync_status = 'pending', sync_error = null,
                updated_at = now()
            where id = \(id)
            """)
    }
}
