package import Foundation
package import Shared

/// Creates an API key in LiteLLM with the secret its owner already has. Touches only the key: user and team are there
/// when it starts.
package struct KeyCreate: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `created`, or `superseded` when the key was revoked before it was created.
        package var outcome: String
        /// What LiteLLM would not do for the key.
        package var warnings: [APIKeyWarning]
    }

    package static let name = "key.create"
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
        guard key.isActive else { return output("superseded") }
        // Verified by an attempt whose end was not noted.
        guard !key.sync.isSynced else { return output("created", key.warnings) }
        switch try await KeyCreation(key: key, context: context).run() {
        case .verified(let warnings): return output("created", warnings)
        case .superseded: return output("superseded")
        }
    }

    private func output(_ outcome: String, _ warnings: [APIKeyWarning] = []) -> Output {
        Output(keyId: keyId.text, outcome: outcome, warnings: warnings)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await giveUp(end, in: transaction)
        try await end.audit("API_KEY_PROVISION_FAILED", about: "api_key", keyId, in: transaction)
    }

    private func giveUp(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().markFailed(
            keyId, error: SyncError(end), jobId: end.jobId, in: transaction)
        // A failed job can be retried with the same secret; a cancelled one cannot.
        if end.state == .cancelled {
            try await PostgresSealedSecretStore().delete(.apiKeyCreate, rowId: keyId.text, in: transaction)
        }
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().expectSync(keyId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await giveUp(end, in: transaction)
        // A revocation that came later may still need the secret, and deletes it itself.
        guard try await PostgresAPIKeyStore().find(keyId, in: transaction)?.sync.lastJobId == end.jobId else { return }
        try await PostgresSealedSecretStore().delete(.apiKeyCreate, rowId: keyId.text, in: transaction)
    }
}
