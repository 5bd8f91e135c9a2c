package import Foundation
package import Shared

/// Brings all that a key's row wants to LiteLLM: limits, models, expiry, name, the owner's data. Several changes before
/// it starts are one.
package struct KeyUpdate: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `applied`, or `superseded` when the key was revoked before.
        package var outcome: String
        /// What was changed in LiteLLM.
        package var changed: [String]
        /// What LiteLLM would not do for the key.
        package var warnings: [APIKeyWarning]
    }

    package static let name = "key.update"
    package static let upstream: Upstream? = .litellmAdmin

    /// The key's row.
    package let keyId: UUID

    package init(keyId: UUID) {
        self.keyId = keyId
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let outcome = try await KeyApplication(keyId: keyId, scope: .everything, context: context).run()
        switch outcome.state {
        case .absent:
            throw JobFailure.permanent(
                code: "key_lost", message: "LiteLLM does not have this key; rotate it to get one that works.")
        case .revoked: return Output(keyId: keyId.text, outcome: "superseded", changed: [], warnings: [])
        case .blocked, .unblocked: break
        }
        return Output(
            keyId: keyId.text, outcome: "applied", changed: outcome.changed, warnings: outcome.warnings)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().markFailed(
            keyId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("API_KEY_UPDATE_FAILED", about: "api_key", keyId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().expectSync(keyId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().markFailed(
            keyId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
