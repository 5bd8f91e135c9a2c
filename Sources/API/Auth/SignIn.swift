import Foundation
import HTTPTypes
import Jobs
import Shared

/// Starts and ends sign-ins, and keeps the users' rows in step with what the identity provider says.
struct SignIn: Sendable {
    /// The provider of users who were made ahead of their first sign-in, which finds them by e-mail address.
    static let aheadProvider = "ahead"

    private static let stateLifetime: Duration = .seconds(300)
    private static let stateBytes = 32

    let database: PostgresClient
    let provider: any IdentityProvider
    let sessions: Sessions
    let settings: APISettings
    private let provisioning: UserProvisioning
    private let states = PostgresOAuthStateStore()
    private let users = PostgresUserStore()
    private let audit = PostgresAuditStore()

    init(
        database: PostgresClient, provider: any IdentityProvider, sessions: Sessions,
        provisioning: UserProvisioning, settings: APISettings
    ) {
        self.provisioning = provisioning
        self.database = database
        self.provider = provider
        self.sessions = sessions
        self.settings = settings
    }

    /// Remembers a new sign-in and gives the URL to send the browser to.
    ///
    /// - Parameters:
    ///   - origin: the page that asked; used only when it is one of the configured front ends.
    ///   - wantsRefresh: whether the session is to have a refresh token.
    func begin(origin: String?, wantsRefresh: Bool) async throws -> String {
        var random = SystemRandomNumberGenerator()
        let state = hexString((0..<Self.stateBytes).map { _ in UInt8.random(in: .min ... .max, using: &random) })
        let known = origin.flatMap { settings.frontendOrigins.contains($0) ? $0 : nil }
        try await states.insert(
            OAuthState(
                provider: provider.name, origin: known ?? settings.frontendOrigins.first ?? "",
                wantsRefresh: wantsRefresh),
            stateHash: sha256Hex(state), lifetime: Self.stateLifetime, in: database)
        return provider.authorizationURL(state: state)
    }

    /// Ends a sign-in: the URL, with the session in its fragment, to send the browser to.
    ///
    /// Throws `APIError` 400 when the state is not one of ours, was used or has expired; 403 when the user has been
    /// deactivated.
    func finish(code: String, state: String, from call: Call) async throws -> String {
        guard let begun = try await states.take(stateHash: sha256Hex(state), in: database),
            begun.provider == provider.name
        else {
            throw APIError.validation("state", .invalid, "is unknown, was used before or has expired; sign in again")
        }
        let identity = try await provider.identity(code: code)
        let user = try await user(for: identity, from: call)
        let issued = try await sessions.begin(
            for: user, provider: provider.name, withRefresh: begun.wantsRefresh, from: call)
        let refresh = issued.refreshToken.map { "&refresh_token=\($0.reveal())&session_id=\(issued.session.id.text)" }
        return
            "\(begun.origin)/auth/callback#token=\(issued.accessToken)&expires_in=\(issued.expiresIn)\(refresh ?? "")"
    }

    /// The user that the identity stands for, made or brought up to date, and a note of the sign-in.
    func user(for identity: ExternalIdentity, from call: Call) async throws -> User {
        let user = try await database.withTransaction { transaction in
            let user = try await upsert(identity, from: call, in: transaction)
            try await audit.append(
                AuditEntry(
                    actor: call.actor(for: user), action: user.isActive ? "LOGIN" : "AUTH_DENIED",
                    resourceType: "AUTH", resourceId: user.id.text,
                    metadata: ["provider": .string(provider.name)]),
                in: transaction)
            return user
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
            return try await users.signIn(known.id, as: profile, in: transaction)
        }
        if let ahead = try await users.find(email: identity.email, in: transaction),
            ahead.oauthProvider == Self.aheadProvider
        {
            return try await users.signIn(ahead.id, as: profile, in: transaction)
        }
        let new = NewUser(
            id: UUID(), username: identity.username, email: identity.email, fullName: identity.fullName,
            oauthProvider: provider.name, oauthId: identity.subject, roles: roles, limits: settings.defaultLimits)
        let actor = AuditActor(
            userId: new.id, name: new.username, ipAddress: call.context.clientAddress,
            requestId: call.context.requestId)
        return try await provisioning.create(new, by: actor, in: transaction).user
    }

    /// What the provider says, or the default; and admin for whom the operator has named.
    private func roles(of identity: ExternalIdentity) -> [Role] {
        var roles = identity.roles.isEmpty ? settings.defaultRoles : identity.roles
        let names = [identity.username.lowercased(), identity.email.lowercased()]
        if !roles.contains(.admin), names.contains(where: settings.bootstrapAdmins.contains) {
            roles.insert(.admin, at: 0)
        }
        return roles
    }
}
