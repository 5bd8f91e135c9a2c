package import Foundation
package import Shared

/// Brings a new secret of a key into LiteLLM, verifies it and makes it the key's own; the one before it is refused
/// after its grace. Never the other way round.
package struct KeyRotate: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `rotated`, or `superseded` when the key was revoked before.
        package var outcome: String
        /// What LiteLLM would not do for the key.
        package var warnings: [APIKeyWarning]
    }

    package static let name = "key.rotate"
    package static let upstream: Upstream? = .litellmAdmin

    /// The key's row.
    package let keyId: UUID
    /// SHA-256 of the new secret in hexadecimal.
    package let hash: String
    /// How long the secret before it works on, in seconds.
    package let graceSeconds: Int

    package init(keyId: UUID, hash: String, graceSeconds: Int) {
        self.keyId = keyId
        self.hash = hash
        self.graceSeconds = graceSeconds
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(hash)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        guard let key = try await keys.find(keyId, in: context.services.database) else {
            throw JobFailure.rowMissing("API key")
        }
        guard key.isActive else { return output("superseded") }
        let token = try await keys.token(hash, in: context.services.database)
        switch token?.role {
        // Swapped by an attempt whose end was not noted.
        case .current: return output("rotated", key.warnings)
        case .next where token?.retireAt == nil: break
        default:
            throw JobFailure.permanent(
                code: "rotation_over", message: "This rotation was given up, and its secret is refused; rotate again.")
        }
        guard let token else { throw JobFailure.rowMissing("secret of the API key") }
        let spent = try await context.litellm.keyInfo(hash: key.hash)?.spend
        let rotation = KeyRotation(grace: .seconds(graceSeconds), spend: spent.flatMap { $0 > 0 ? $0 : nil })
        switch try await KeyCreation(key: key.known(by: token), rotation: rotation, context: context).run() {
        case .verified(let warnings): return output("rotated", warnings)
        case .superseded: return output("superseded")
        }
    }

    private func output(_ outcome: String, _ warnings: [APIKeyWarning] = []) -> Output {
        Output(keyId: keyId.text, outcome: outcome, warnings: warnings)
    }

    /// The key stays as it was; the new secret, should LiteLLM have it or get it late, is refused.
    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        let keys = PostgresAPIKeyStore()
        _ = try await keys.lock(keyId, in: transaction)
        guard try await keys.giveUpNext(hash, in: transaction) else { return }
        try await end.retire(hash, of: keyId, in: transaction)
        try await end.audit("API_KEY_ROTATE_FAILED", about: "api_key", keyId, in: transaction)
    }
}
