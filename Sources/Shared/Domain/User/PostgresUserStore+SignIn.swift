package import Foundation

/// What an identity provider says of a person who signs in.
package struct UserProfile: Sendable, Equatable {
    package var oauthProvider: String
    package var oauthId: String
    package var username: String
    package var email: String
    /// Nil leaves the stored name as it is.
    package var fullName: String?
    /// Replaces the roles that an earlier sign-in gave; what an administrator granted stays.
    package var roles: [Role]

    package init(
        oauthProvider: String, oauthId: String, username: String, email: String, fullName: String?, roles: [Role]
    ) {
        self.oauthProvider = oauthProvider
        self.oauthId = oauthId
        self.username = username
        self.email = email
        self.fullName = fullName
        self.roles = roles
    }
}

extension PostgresUserStore {
    /// The users with these ids, in no order; ids without a user are left out.
    package func find(_ ids: [UUID], in executor: any PostgresExecutor) async throws -> [User] {
        try await executor.query("select \(unescaped: Self.columns) from users where id = any (\(ids))").map(Self.user)
    }

    /// The user with this name, ignoring case.
    package func find(username: String, in executor: any PostgresExecutor) async throws -> User? {
        try await executor.query(
            "select \(unescaped: Self.columns) from users where lower(username) = lower(\(username))"
        ).first.map(Self.user)
    }

    /// LiteLLM is to hear of what was changed.
    package func raiseVersion(_ id: UUID, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update users set version_wanted = version_wanted + 1, sync_status = 'pending', sync_error = null
            where id = \(id)
            """)
    }

    /// Brings a user's row in step with what the provider says, and notes the sign-in.
    ///
    /// Throws `PostgresError` with a unique violation of `users_username` or `users_email` when somebody else has the
    /// name or address.
    package func signIn(_ id: UUID, as profile: UserProfile, in transaction: PostgresTransaction) async throws -> User {
        let roles = profile.roles.map(\.rawValue)
        let rows = try await transaction.query(
            """
            update users set oauth_provider = \(profile.oauthProvider), oauth_id = \(profile.oauthId),
                username = \(profile.username), email = \(profile.email),
                full_name = coalesce(\(profile.fullName), full_name), provider_roles = \(roles),
                roles = array(
                    select role from unnest(\(roles)::text[] || granted_roles) with ordinality as given (role, place)
                    group by role order by min(place)),
                last_login_at = now(),
                updated_at = case when (oauth_provider, oauth_id, username, email, provider_roles) is distinct from
                    (\(profile.oauthProvider), \(profile.oauthId), \(profile.username), \(profile.email),
                     \(roles)::text[]) then now() else updated_at end
            where id = \(id)
            returning \(unescaped: Self.columns)
            """)
        return try Self.user(rows[0])
    }
}
