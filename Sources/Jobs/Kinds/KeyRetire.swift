package import Foundation
package import Shared

/// Makes LiteLLM refuse a secret that was rotated out, or whose rotation was given up, and deletes it once no create
/// for it can arrive any more. Never gives up.
package struct KeyRetire: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `deleted`, `blocked` when it is to be deleted by a later job, `absent` when LiteLLM did not have it, or
        /// `wanted` when it is the key's own.
        package var state: String
    }

    package static let name = "key.retire"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)
    /// After revocations, before deletions.
    package static let priority = -800

    /// The key's row.
    package let keyId: UUID
    /// SHA-256 of the secret in hexadecimal.
    package let hash: String

    package init(keyId: UUID, hash: String) {
        self.keyId = keyId
        self.hash = hash
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(hash)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        guard let key = try await keys.find(keyId, in: context.services.database) else {
            throw JobFailure.rowMissing("API key")
        }
        guard let token = try await keys.token(hash, in: context.services.database) else {
            return Output(keyId: keyId.text, state: "absent")
        }
        guard token.role != .current, let retireAt = token.retireAt else {
            return Output(keyId: keyId.text, state: "wanted")
        }
        guard retireAt <= token.window.now else {
            try await context.transaction { try await context.retire(hash, of: keyId, at: retireAt, in: $0) }
            return Output(keyId: keyId.text, state: "wanted")
        }
        let refusal = KeyRefusal(token, of: key, context: context)
        let state = try await refusal.refuse()
        if state == .blocked, let until = try await lateArrivals(context) {
            // A job of its own, as this one would hold the key until then.
            try await context.transaction { try await context.retire(hash, of: keyId, at: until, in: $0) }
            return Output(keyId: keyId.text, state: state.rawValue)
        }
        if state == .blocked { _ = try await refusal.remove() }
        try await finish(token, context)
        return Output(keyId: keyId.text, state: state == .absent ? state.rawValue : KeyRefusal.State.deleted.rawValue)
    }

    private func lateArrivals(_ context: JobContext) async throws -> Date? {
        try await PostgresAPIKeyStore().token(hash, in: context.services.database)?.window
            .lateArrivals(grace: context.services.settings.deleteGrace)
    }

    private func finish(_ token: APIKeyToken, _ context: JobContext) async throws {
        let secrets = PostgresSealedSecretStore()
        try await context.transaction { transaction in
            try await PostgresAPIKeyStore().markGone(hash, in: transaction)
            try await secrets.delete(.apiKeyRotate, rowId: hash, in: transaction)
            try await secrets.delete(.apiKeyReveal, rowId: hash, in: transaction)
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "API_KEY_SECRET_RETIRED", resourceType: "api_key",
                    resourceId: keyId.text, oldValues: ["keyPrefix": .string(token.prefix)], jobId: context.id),
                in: transaction)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_SECRET_RETIRE_FAILED", about: "api_key", keyId, in: transaction)
    }
}
