import Foundation
import HTTPTypes
import Jobs
import Logging
import Shared

/// Starts and ends sign-ins, and keeps the users' rows in step with what the identity provider says.
struct SignIn: Sendable {
    /// The provider of users who were made ahead of their first sign-in, which finds them by e-mail address.
    static let aheadProvider = "ahead"

    private static let stateLifetime: Duration = .seconds(300)

    let database: PostgresClient
    let provider: any IdentityProvider
    let sessions: Sessions
    let settings: APISettings
    let logger: Logger
    private let provisioning: UserProvisioning
    let states = PostgresOAuthStateStore()
    private let users = PostgresUserStore()
    private let stored = PostgresSettingStore()
    let audit = PostgresAuditStore()
    let strangers = AuditAllowance()

    init(
        database: PostgresClient, provider: any IdentityProvider, sessions: Sessions,
        provisioning: UserProvisioning, settings: APISettings, logger: Logger
    ) {
        self.provisioning = provisioning
        self.database = database
        self.provider = provider
        self.sessions = sessions
        self.settings = settings
        self.logger = logger
    }

    /// Remembers a new sign-in and gives the URL to send the browser to. Throws `APIError` 503 when the provider cannot
    /// be asked where that is.
    ///
    /// - Parameters:
    ///   - origin: the page that asked; used only when it is one of the configured front ends.
    ///   - wantsRefresh: whether the session is to come with a refresh token.
    func begin(origin: String?, wantsRefresh: Bool) async throws -> String {
        let attempt = SignInAttempt.begin()
        let url = try await authorizationURL(for: attempt)
        let known = origin.flatMap { settings.frontendOrigins.contains($0) ? $0 : nil }
        try await states.insert(
            OAuthState(
                provider: provider.name, origin: known ?? settings.frontendOrigins.first ?? "",
                pkceVerifier: attempt.verifier, nonce: attempt.nonce, wantsRefresh: wantsRefresh),
            stateHash: sha256Hex(attempt.state), lifetime: Self.stateLifetime, in: database)
        return url
    }

    /// Ends a sign-in: the URL, with the session in its fragment, to send the browser to.
    ///
    /// Throws `APIError` 400 when the state is not one of ours, was used or has expired, or when the provider's answer
    /// proves nothing; 403 when the user has been deactivated; 503 when the provider cannot be asked.
    func finish(code: String, state: String, from call: Call) async throws -> String {
        let begun = try await begun(by: state, from: call)
        let identity = try await identity(code: code, of: begun, from: call)
        let user = try await user(for: identity, from: call)
        let issued = try await sessions.begin(
            for: user, provider: provider.name, withRefresh: begun.wantsRefresh, from: call)
        let refresh = issued.refreshToken.map { "&refresh_token=\($0.reveal())&session_id=\(issued.session.id.text)" }
        return
            "\(begun.origin)/auth/callback#token=\(issued.accessToken)&expires_in=\(issued.expiresIn)\(refresh ?? "")"
    }

    /// The user that the identity stands for, made or brought up to date, and a note of the sign-in.
    func user(for identity: ExternalIdentity, from call: Call) async throws -> User {
        let user = try await noting(from: call) {
            try await database.withTransaction { transaction in
                let user = try await upsert(identity, from: call, in: transaction)
                try await audit.append(
                    AuditEntry(
                        actor: call.actor(for: user), action: user.isActive ? "LOGIN" : "AUTH_DENIED",
                        resourceType: "AUTH", resourceId: user.id.text, success: user.isActive,
                        metadata: user.isActive
                            ? ["provider": .string(provider.name)]
                            : ["provider": .string(provider.name), "reason": "user_inactive"]),
                    in: transaction)
                return user
            }
        }
        guard user.isActive else {
            throw APIError(.forbidden, .forbidden, "This user has been deactivated.")
        }
        return user
    }

    private func upsert(
        _ identity: ExternalIdentity, from call: Call, in transaction: PostgresTransaction
    ) async throws -> User {
        let roles = roles(of: identity)
        let profile = UserProfile(
            oauthProvider: provider.name, oauthId: identity.subject, username: identity.username,
            email: identity.email, fullName: identity.fullName, roles: roles)
        if let known = try await users.find(provider: provider.name, oauthId: identity.subject, in: transaction) {
            return try await bring(known.id, inStepWith: profile, from: call, in: transaction)
        }
        if let ahead = try await userMadeAhead(for: identity, in: transaction) {
            return try await bring(ahead.id, inStepWith: profile, from: call, in: transaction)
        }
        let limits = try await stored.limitsOfNewUsers(otherwise: settings.defaultLimits, in: transaction)
        let new = NewUser(
            id: UUID(), username: identity.username, email: identity.email, fullName: identity.fullName,
            oauthProvider: provider.name, oauthId: identity.subject, roles: roles, limits: limits)
        let actor = AuditActor(
            userId: new.id, name: new.username, ipAddress: call.context.clientAddress,
            requestId: call.context.requestId)
        return try await provisioning.create(new, by: actor, in: transaction).user
    }

    /// Takes over what the provider says of a user, with a note of what that changes and the job that tells LiteLLM.
    private func bring(
        _ id: UUID, inStepWith profile: UserProfile, from call: Call, in transaction: PostgresTransaction
    ) async throws -> User {
        let isSame: @Sendable (User) -> Bool = {
            $0.oauthProvider == profile.oauthProvider && $0.oauthId == profile.oauthId
        }
        guard let before = try await users.lock(id, in: transaction),
            isSame(before) || before.oauthProvider == Self.aheadProvider
        else {
            // Somebody else has signed in as the user made ahead since it was found.
            throw ProvisioningError(.identityTaken, "Another person has this user.")
        }
        let after = try await users.signIn(id, as: profile, in: transaction)
        let (old, new) = (Self.audited(before), Self.audited(after))
        guard old != new else { return after }
        let actor = call.actor(for: after)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "USER_UPDATE", resourceType: "user", resourceId: id.text,
                oldValues: .object(old.filter { $0.value != new[$0.key] }),
                newValues: .object(new.filter { $0.value != old[$0.key] }), metadata: ["by": "sign-in"]),
            in: transaction)
        guard after.isActive else { return after }
        try await users.raiseVersion(id, in: transaction)
        _ = try await provisioning.ensure(id, requester: actor.requester, in: transaction)
        return after
    }

    private static func audited(_ user: User) -> [String: JSONValue] {
        [
            "username": .string(user.username), "email": .string(user.email),
            "fullName": user.fullName.map { .string($0) } ?? .null,
            "roles": .array(user.roles.map { .string($0.rawValue) }), "provider": .string(user.oauthProvider),
        ]
    }

    /// The user whom an administrator made for this person, ahead of their first sign-in: by the address if the provider
    /// vouches for it, or by the name, letter for letter, if the provider's names are nobody's to choose. Nobody else's
    /// user is ever taken over.
    private func userMadeAhead(
        for identity: ExternalIdentity, in transaction: PostgresTransaction
    ) async throws -> User? {
        if identity.emailIsVerified, let ahead = try await users.find(email: identity.email, in: transaction),
            ahead.oauthProvider == Self.aheadProvider
        {
            return ahead
        }
        guard identity.usernameIsUnique,
            let ahead = try await users.find(username: identity.username, in: transaction),
            ahead.oauthProvider == Self.aheadProvider, ahead.username == identity.username
        else { return nil }
        return ahead
    }

    /// What the provider says, or the default; and admin for whom the operator has named. An address counts only if the
    /// provider vouches for it, also where it is the user's name.
    private func roles(of identity: ExternalIdentity) -> [Role] {
        var roles = identity.roles.isEmpty ? settings.defaultRoles : identity.roles
        var names: [String] = []
        if identity.emailIsVerified { names.append(identity.email.lowercased()) }
        if identity.usernameIsUnique || !identity.username.contains("@") {
            names.append(identity.username.lowercased())
        }
        if !roles.contains(.admin), names.contains(where: settings.bootstrapAdmins.contains) {
            roles.insert(.admin, at: 0)
        }
        return roles
    }
}
