package import Foundation

extension PostgresUserStore {
    // MARK: Reading

    /// One page of users, by name.
    package func list(_ filter: UserFilter, in executor: any PostgresExecutor) async throws -> Page<User> {
        let condition = Self.condition(filter)
        let results = try await executor.pipeline([
            """
            select \(unescaped: Self.columns) from users where \(condition)
            order by lower(username), id limit \(filter.page.size) offset \(filter.page.offset)
            """,
            "select count(*) as n from users where \(condition)",
        ])
        return Page(items: try results[0].map(Self.user), total: try results[1].one(Int.self))
    }

    private static func condition(_ filter: UserFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = ["id <> \(User.systemId)"]
        if let search = filter.search { conditions.append(Self.matches(search)) }
        if let role = filter.role { conditions.append("\(role.rawValue)::text = any (roles)") }
        if let isActive = filter.isActive { conditions.append("is_active = \(isActive)") }
        if let status = filter.syncStatus { conditions.append("sync_status = \(status.rawValue)") }
        return .joined(conditions, separator: " and ")
    }

    private static func matches(_ search: String) -> PostgresFragment {
        let pattern = LikePattern.containing(search)
        return "(username ilike \(pattern) or email ilike \(pattern) or coalesce(full_name, '') ilike \(pattern))"
    }

    // MARK: Many at once

    /// How many active users a filter means.
    package func countActive(_ filter: ActiveUserFilter, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query("select count(*) from users where \(Self.condition(filter))").one(Int.self)
    }

    /// Those of these ids that no active user has.
    package func notActive(_ ids: [UUID], in executor: any PostgresExecutor) async throws -> [UUID] {
        try await executor.query(
            """
            select asked.id from unnest(\(ids)) with ordinality as asked (id, place)
            where not exists (
                select from users u where u.id = asked.id and u.is_active and u.id <> \(User.systemId))
            order by asked.place
            """
        ).map { try $0.decode(UUID.self) }
    }

    /// Locks the next active users that a filter means, that were there at `time` and whose limits nobody has changed
    /// since, by id after `last`.
    package func lockActive(
        _ filter: ActiveUserFilter, madeBy time: Date, after last: UUID?, limit: Int,
        in transaction: PostgresTransaction
    ) async throws -> [User] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from users
            where \(Self.condition(filter)) and created_at <= \(time)
                and (limits_changed_at is null or limits_changed_at <= \(time))
                and (\(last)::uuid is null or id > \(last)::uuid)
            order by id limit \(limit) for no key update
            """
        ).map(Self.user)
    }

    private static func condition(_ filter: ActiveUserFilter) -> PostgresFragment {
        var conditions: [PostgresFragment] = ["is_active", "id <> \(User.systemId)"]
        if let ids = filter.userIds { conditions.append("id = any (\(ids))") }
        if let roles = filter.roles { conditions.append("roles && \(roles.map(\.rawValue))::text[]") }
        if let search = filter.search { conditions.append(Self.matches(search)) }
        return .joined(conditions, separator: " and ")
    }

    /// The names of users, by id.
    package func usernames(of ids: [UUID], in executor: any PostgresExecutor) async throws -> [UUID: String] {
        let rows = try await executor.query("select id, username from users where id = any (\(ids))")
        let names = try rows.map { try $0.decode(UUID.self, String.self) }
        return Dictionary(names, uniquingKeysWith: { first, _ in first })
    }

    /// When the user was deactivated; nil while they are active.
    package func deactivatedAt(_ id: UUID, in executor: any PostgresExecutor) async throws -> Date? {
        let row = try await executor.query("select deactivated_at from users where id = \(id)").first
        return try row?.get("deactivated_at", as: Date?.self)
    }

    // MARK: Changing

    /// Writes what an administrator may change of a row that the transaction has locked.
    ///
    /// Roles that the identity provider gives stay marked as its own; the others count as given by hand.
    ///
    /// - Parameters:
    ///   - setsRoles: whether the roles are among what changes.
    ///   - reachesLiteLLM: whether LiteLLM has to hear of it: the wanted version is raised.
    ///   - limitsAsOf: when other limits were asked for; nil for now.
    package func store(
        _ user: User, setsRoles: Bool, reachesLiteLLM: Bool, limitsAsOf: Date? = nil,
        in transaction: PostgresTransaction
    ) async throws -> User {
        let roles = user.roles.map(\.rawValue)
        let rows = try await transaction.query(
            """
            update users set full_name = \(user.fullName),
                roles = case when \(setsRoles) then \(roles)::text[] else roles end,
                granted_roles = case when \(setsRoles)
                    then array(select r from unnest(\(roles)::text[]) as r where r <> all (provider_roles))
                    else granted_roles end,
                provider_roles = case when \(setsRoles)
                    then array(select r from unnest(provider_roles) as r where r = any (\(roles)::text[]))
                    else provider_roles end,
                is_active = \(user.isActive),
                deactivated_at = case when not \(user.isActive) then coalesce(deactivated_at, now()) end,
                limits_changed_at = case
                    when (max_budget, budget_duration, tpm_limit, rpm_limit) is distinct from (
                        \(user.limits.maxBudget)::numeric, \(user.limits.budgetDuration)::text,
                        \(user.limits.tpmLimit)::bigint, \(user.limits.rpmLimit)::bigint)
                    then coalesce(\(limitsAsOf)::timestamptz, clock_timestamp()) else limits_changed_at end,
                max_budget = \(user.limits.maxBudget), budget_duration = \(user.limits.budgetDuration),
                tpm_limit = \(user.limits.tpmLimit), rpm_limit = \(user.limits.rpmLimit),
                version_wanted = version_wanted + \(reachesLiteLLM)::int,
                sync_status = case when \(reachesLiteLLM) then 'pending' else sync_status end,
                sync_error = case when \(reachesLiteLLM) then null else sync_error end, updated_at = now()
            where id = \(user.id)
            returning \(unescaped: Self.columns)
            """)
        return try Self.user(rows[0])
    }

    /// How many active admins there are besides this user. Until the transaction ends nobody else who asks gets an
    /// answer, so that two who take the role from each other cannot both count the other one.
    package func countOtherAdmins(than id: UUID, in transaction: PostgresTransaction) async throws -> Int {
        try await transaction.query("select pg_advisory_xact_lock(hashtextextended('users.admins', 0))")
        // A statement of its own: its snapshot is taken after the lock was got.
        return try await transaction.query(
            """
            select count(*) as n from users
            where is_active and \(Role.admin.rawValue)::text = any (roles) and id not in (\(id), \(User.systemId))
            """
        ).one(Int.self)
    }
}

/// Patterns of LIKE for text that people type.
enum LikePattern {
    /// Matches what contains `text` as it stands.
    static func containing(_ text: String) -> String {
        let escaped = text.replacing("\\", with: "\\\\").replacing("%", with: "\\%").replacing("_", with: "\\_")
        return "%\(escaped)%"
    }
}
