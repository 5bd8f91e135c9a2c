import Foundation
import HTTPTypes
import Jobs
import Shared

/// Begins sessions, refreshes and ends them.
struct Sessions: Sendable {
    /// A session as its owner gets it.
    struct Issued: Sendable {
        let session: Session
        let accessToken: String
        /// Seconds from now.
        let expiresIn: Int
        /// Good for one use.
        let refreshToken: Secret?
    }

    let database: PostgresClient
    let tokens: SessionTokens
    /// How long a session may be refreshed, from its beginning.
    let refreshLifetime: Duration
    private let store = PostgresSessionStore()
    private let users = PostgresUserStore()
    private let audit = PostgresAuditStore()

    init(database: PostgresClient, tokens: SessionTokens, refreshLifetime: Duration) {
        self.database = database
        self.tokens = tokens
        self.refreshLifetime = refreshLifetime
    }

    /// Begins a session of somebody who has proved who they are. Without a refresh token it ends with its first
    /// session token.
    func begin(
        for user: User, provider: String, withRefresh: Bool, from call: Call
    ) async throws -> Issued {
        let refresh = withRefresh ? Secret(randomToken()) : nil
        let new = NewSession(
            id: UUID(), userId: user.id, provider: provider, ipAddress: call.context.clientAddress,
            userAgent: call.userAgent,
            lifetime: withRefresh ? refreshLifetime : .seconds(tokens.lifetime),
            refreshHash: refresh.map { sha256Hex($0.reveal()) })
        let session = try await database.withTransaction { transaction in
            // Waits for a deactivation under way, which would not see this session.
            guard let current = try await users.lock(user.id, in: transaction), current.isActive else {
                throw APIError(.forbidden, .forbidden, "This user has been deactivated.")
            }
            return try await store.insert(new, in: transaction)
        }
        return try await issued(session, for: user, refresh)
    }

    /// Exchanges a refresh token for a new pair. Throws `APIError` 401 when it is not good; one that was used before
    /// also ends its session, because somebody has a copy of it.
    func refresh(_ token: Secret, sessionId: UUID?, from call: Call) async throws -> Issued {
        let next = Secret(randomToken())
        let (outcome, user) = try await database.withTransaction { transaction in
            let outcome = try await store.refresh(
                sha256Hex(token.reveal()), of: sessionId, next: sha256Hex(next.reveal()), in: transaction)
            switch outcome {
            case .refused: return (outcome, User?.none)
            case .rotated(let session):
                return (outcome, try await users.find(session.userId, in: transaction))
            case .reused(let session):
                let user = try await users.find(session.userId, in: transaction)
                if let user {
                    try await audit.append(
                        AuditEntry(
                            actor: call.actor(for: user), action: "SESSION_REVOKED", resourceType: "AUTH",
                            resourceId: session.id.text, success: false,
                            errorMessage: "A refresh token was used twice."),
                        in: transaction)
                }
                return (outcome, user)
            }
        }
        guard case .rotated(let session) = outcome, let user, user.isActive
        else {
            throw APIError.unauthorized(.invalidToken, "The refresh token is not good any more; sign in again.")
        }
        return try await issued(session, for: user, next)
    }

    private func issued(_ session: Session, for user: User, _ refresh: Secret?) async throws -> Issued {
        let token = try await tokens.issue(for: user, session: session)
        let left = Int(session.expiresAt.timeIntervalSinceNow.rounded(.up))
        return Issued(
            session: session, accessToken: token, expiresIn: max(1, min(tokens.lifetime, left)), refreshToken: refresh)
    }

    /// The live sessions of a user, the newest first.
    func live(of user: User) async throws -> [Session] {
        try await store.live(of: user.id, in: database)
    }

    /// Whether there is such a user.
    func knows(_ userId: UUID) async throws -> Bool {
        try await users.find(userId, in: database) != nil
    }

    /// Ends one session of a user, or all that are live, with a note of who did it.
    ///
    /// - Returns: how many were live.
    func end(_ id: UUID?, of userId: UUID, action: String, by actor: AuditActor) async throws -> Int {
        try await database.withTransaction { transaction in
            let count = try await store.revoke(id, of: userId, reason: action.lowercased(), in: transaction)
            if count > 0 {
                try await audit.append(
                    AuditEntry(
                        actor: actor, action: action, resourceType: "AUTH", resourceId: (id ?? userId).text,
                        metadata: ["sessions": .int(count)]),
                    in: transaction)
            }
            return count
        }
    }
}
