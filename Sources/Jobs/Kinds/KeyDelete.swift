package import Foundation
import Logging
package import Shared

/// Deletes a revoked key in LiteLLM, once no create for it can arrive any more: a late one revives a deleted key, but
/// not a blocked one.
package struct KeyDelete: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// True when LiteLLM had none to delete.
        package var wasGone: Bool
    }

    package static let name = "key.delete"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)

    /// The key's row.
    package let keyId: UUID

    package init(keyId: UUID) {
        self.keyId = keyId
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        guard let key = try await keys.find(keyId, in: context.services.database) else {
            throw JobFailure.rowMissing("API key")
        }
        guard !key.isActive else {
            throw JobFailure.permanent(code: "revoke_not_requested", message: "Nobody revoked this key.")
        }
        let window = try await keys.createWindow(keyId, in: context.services.database)
        if let window, let until = window.lateArrivals(grace: context.services.settings.deleteGrace) {
            throw JobSnooze(
                for: .seconds(until.timeIntervalSince(window.now)), reason: "a create of this key may still arrive")
        }
        let wasGone = try await remove(key, context)
        try await context.transaction { transaction in
            try await keys.markDeleted(keyId, in: transaction)
            if key.deletedAt == nil {
                try await PostgresAuditStore().appendOutcome(
                    AuditEntry(
                        actor: context.auditActor, action: "API_KEY_REMOVED", resourceType: "api_key",
                        resourceId: keyId.text, jobId: context.id),
                    in: transaction)
            }
        }
        return Output(keyId: keyId.text, wasGone: wasGone)
    }

    /// True when there was nothing to delete.
    private func remove(_ key: APIKey, _ context: JobContext) async throws -> Bool {
        var wasGone = true
        for _ in 1...3 {
            switch try await context.litellm.keyInfo(hash: key.hash)?.status {
            case .deleted, nil: return wasGone
            case .blocked: break
            case .active, .expired:
                context.logger.error("a revoked key was live in LiteLLM", metadata: ["key_id": "\(key.id.text)"])
                do {
                    try await context.litellm.blockKey(hash: key.hash)
                } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
                    continue
                }
            }
            wasGone = false
            _ = try await context.litellm.deleteKey(hash: key.hash)
        }
        throw JobFailure.retryable(
            code: "not_deleted_yet", message: "LiteLLM was told to delete the key, but still shows it.")
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_REMOVE_FAILED", about: "api_key", keyId, in: transaction)
    }
}
