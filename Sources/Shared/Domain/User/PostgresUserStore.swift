package import Foundation

/// The table `users`.
package struct PostgresUserStore: Sendable {
    /// A store without state.
    package init() {}

    /// The user with this id.
    package func find(_ id: UUID, in executor: any PostgresExecutor) async throws -> User? {
        try await executor.query("select \(unescaped: Self.columns) from users where id = \(id)").first.map(Self.user)
    }

    /// The user a provider knows by this id.
    package func find(
        provider: String, oauthId: String, in executor: any PostgresExecutor
    ) async throws -> User? {
        try await executor.query(
            "select \(unescaped: Self.columns) from users where oauth_provider = \(provider) and oauth_id = \(oauthId)"
        ).first.map(Self.user)
    }

    /// The user with this e-mail address, ignoring case.
    package func find(email: String, in executor: any PostgresExecutor) async throws -> User? {
        try await executor.query("select \(unescaped: Self.columns) from users where lower(email) = lower(\(email))")
            .first.map(Self.user)
    }

    /// Reads and locks the row until the transaction ends; other rows may still refer to it meanwhile.
    package func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> User? {
        try await transaction.query(lockQuery(id)).first.map(Self.user)
    }

    /// The statement of ``lock(_:in:)``, for a pipeline; its rows are read by ``user(_:)``.
    package func lockQuery(_ id: UUID) -> PostgresQuery {
        "select \(unescaped: Self.columns) from users where id = \(id) for no key update"
    }

    /// Stores a new user.
    ///
    /// Throws `PostgresError` with a unique violation of `users_username`, `users_email` or `users_oauth`.
    package func insert(_ new: NewUser, in transaction: PostgresTransaction) async throws -> User {
        let roles = new.roles.map(\.rawValue)
        let rows = try await transaction.query(
            """
            insert into users (
                id, username, email, full_name, oauth_provider, oauth_id, roles, provider_roles, granted_roles,
                is_active, max_budget, budget_duration, tpm_limit, rpm_limit)
            values (
                \(new.id), \(new.username), \(new.email), \(new.fullName), \(new.oauthProvider), \(new.oauthId),
                \(roles), \(new.roleSource == .provider ? roles : []), \(new.roleSource == .grant ? roles : []),
                \(new.isActive), \(new.limits.maxBudget), \(new.limits.budgetDuration), \(new.limits.tpmLimit),
                \(new.limits.rpmLimit))
            returning \(unescaped: Self.columns)
            """)
        return try Self.user(rows[0])
    }

    /// Notes a login. At most one write a minute for each user.
    package func recordLogin(_ id: UUID, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            update users set last_login_at = now()
            where id = \(id) and (last_login_at is null or last_login_at < now() - interval '1 minute')
            """)
    }

    /// Notes which job is to bring LiteLLM up to date; a user that was given up is `pending` again.
    package func expectSync(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update users set last_job_id = \(jobId),
                sync_status = case when sync_status = 'failed' then 'pending' else sync_status end,
                sync_error = case when sync_status = 'failed' then null else sync_error end
            where id = \(id) and (last_job_id is distinct from \(jobId) or sync_status = 'failed')
            """)
    }

    /// Notes that LiteLLM was seen to have lost or changed the user, and which job sets it right.
    package func markDrifted(_ id: UUID, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update users set sync_status = 'drifted', last_job_id = \(jobId), updated_at = now() where id = \(id)")
    }

    /// Notes that LiteLLM was read back and has `version`. An older version than known changes nothing.
    package func markSynced(
        _ id: UUID, version: Int64, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update users set version_applied = \(version), last_job_id = \(jobId), sync_error = null, conflict = null,
                updated_at = now(),
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
            update users set sync_status = 'failed', updated_at = now(),
                sync_error = \(error.json) || jsonb_build_object('at', now())
            where id = \(id) and last_job_id = \(jobId)
                and (sync_status <> 'synced' or version_applied < version_wanted)
            """)
    }

    static let columns: StaticString = """
        id, username, email, full_name, oauth_provider, oauth_id, roles, is_active, max_budget, budget_duration,
        tpm_limit, rpm_limit, sync_status, version_wanted, version_applied, sync_error, last_job_id, last_login_at,
        separate_email, created_at, updated_at
        """

    /// Reads one row of this store's statements.
    package static func user(_ row: PostgresRow) throws(PostgresError) -> User {
        let roles: [String] = try row.get("roles")
        return User(
            id: try row.get("id"), username: try row.get("username"), email: try row.get("email"),
            hasSeparateEmail: try row.get("separate_email"), fullName: try row.get("full_name"),
            oauthProvider: try row.get("oauth_provider"),
            oauthId: try row.get("oauth_id"), roles: roles.compactMap(Role.init(spelling:)),
            isActive: try row.get("is_active"), limits: try SpendingLimits(row: row), sync: try SyncState(row: row),
            lastLoginAt: try row.get("last_login_at"), createdAt: try row.get("created_at"),
            updatedAt: try row.get("updated_at"))
    }
}
