package import Foundation

/// One sign-in of a person, until it ends, expires or is revoked.
package struct Session: Sendable, Equatable {
    /// Session tokens name it.
    package var id: UUID
    package var userId: UUID
    /// The identity provider that vouched for the person.
    package var provider: String
    /// Where the sign-in came from.
    package var ipAddress: String?
    /// As the client named itself.
    package var userAgent: String?
    package var createdAt: Date
    /// Within half a minute or so.
    package var lastSeenAt: Date
    package var expiresAt: Date
}

/// A sign-in that is to be stored.
package struct NewSession: Sendable {
    package var id: UUID
    package var userId: UUID
    package var provider: String
    package var ipAddress: String?
    package var userAgent: String?
    /// From now until it expires, whatever is refreshed meanwhile.
    package var lifetime: Duration
    /// SHA-256 of its first refresh token, in hexadecimal; nil when there is none.
    package var refreshHash: String?

    package init(
        id: UUID, userId: UUID, provider: String, ipAddress: String?, userAgent: String?, lifetime: Duration,
        refreshHash: String?
    ) {
        self.id = id
        self.userId = userId
        self.provider = provider
        self.ipAddress = ipAddress
        self.userAgent = userAgent
        self.lifetime = lifetime
        self.refreshHash = refreshHash
    }
}

/// What became of a refresh token that was presented.
package enum RefreshOutcome: Sendable, Equatable {
    /// It was good; its successor is stored.
    case rotated(Session)
    /// It was used before: somebody has a copy. Its session has been revoked.
    case reused(Session)
    /// Unknown, or its session has ended.
    case refused
}
