package import Foundation

/// A token of a program, with a name and scopes; the token itself is not kept.
package struct ServiceToken: Sendable, Equatable {
    package var id: UUID
    /// What it is for.
    package var name: String
    /// Its first characters, by which people recognise it.
    package var prefix: String
    /// Names of permissions, or `*` for all.
    package var scopes: [String]
    /// Who made it.
    package var createdBy: String
    /// Their user; nil for what no person made.
    package var creatorId: UUID?
    package var createdAt: Date
    /// Nil is never.
    package var expiresAt: Date?
    /// Within half a minute or so.
    package var lastUsedAt: Date?
    package var revokedAt: Date?
    package var revokedBy: String?
}

/// A fresh service token, and what may be kept of it.
package struct ServiceTokenSecret: Sendable {
    /// Every token begins with it.
    package static let marker = "ltm_admin_"

    /// The marker and 43 characters of base64url. Shown once.
    package let secret: Secret
    /// SHA-256 in hexadecimal.
    package var hash: String { sha256Hex(secret.reveal()) }
    /// The marker and four characters more.
    package var prefix: String { String(secret.reveal().prefix(Self.marker.count + 4)) }

    /// Makes a token of 32 random bytes.
    package static func mint() -> ServiceTokenSecret {
        ServiceTokenSecret(secret: Secret(marker + randomToken()))
    }
}
