package import Foundation

/// One of the secrets that a key has or had, as LiteLLM knows it: each is a virtual key of its own there.
package struct APIKeyToken: Sendable, Equatable {
    /// What a secret is to its key.
    package enum Role: String, Sendable, Codable, CaseIterable, PostgresDecodable {
        /// The one that its owner uses.
        case current
        /// Being rotated in.
        case next
        /// Rotated out; it works until its time has come.
        case old
    }

    /// SHA-256 of the secret in hexadecimal: LiteLLM's token id.
    package var hash: String
    /// LiteLLM's name for it; unique for ever.
    package var alias: String
    /// The secret's first seven characters.
    package var prefix: String
    /// What it is to its key.
    package var role: Role
    /// From then on it is to be refused; nil while it is wanted.
    package var retireAt: Date?
    /// When create attempts for it may still reach LiteLLM.
    package var window: CreateWindow

    /// Whether LiteLLM is to take it as it takes the key.
    package var isLive: Bool {
        switch role {
        case .current: true
        case .next: false
        case .old: retireAt.map { $0 > window.now } ?? false
        }
    }
}

extension APIKey {
    /// The key as LiteLLM knows it by one of its secrets.
    package func known(by token: APIKeyToken) -> APIKey {
        var key = self
        key.hash = token.hash
        key.alias = token.alias
        key.prefix = token.prefix
        key.createDeadlineAt = token.window.deadline
        return key
    }
}
