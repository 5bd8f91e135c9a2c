package import Foundation
package import Shared

/// Looks once, later, what became of a create request whose outcome nobody saw, and lets the key's row tell the truth.
package struct KeyVerify: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `created` when LiteLLM has the key after all, `absent` when not, `superseded` when nobody wants it any more.
        package var outcome: String
    }

    package static let name = "key.verify"
    package static let upstream: Upstream? = .litellmAdmin

    /// The key's row.
    package let keyId: UUID

    package init(keyId: UUID) {
        self.keyId = keyId
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        guard let key = try await PostgresAPIKeyStore().find(keyId, in: context.services.database) else {
            throw JobFailure.rowMissing("API key")
        }
        guard key.isActive else { return Output(keyId: keyId.text, outcome: "superseded") }
        guard !key.sync.isSynced else { return Output(keyId: keyId.text, outcome: "created") }
        guard let found = try await context.litellm.keyInfo(hash: key.hash), found.status != .deleted else {
            return Output(keyId: keyId.text, outcome: "absent")
        }
        switch try await KeyCreation(key: key, context: context).settle(found) {
        case .verified: return Output(keyId: keyId.text, outcome: "created")
        case .superseded: return Output(keyId: keyId.text, outcome: "superseded")
        }
    }
}
