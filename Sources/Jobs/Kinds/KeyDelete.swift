package import Foundation
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
        let tokens = try await keys.tokens(of: keyId, in: context.services.database)
        let grace = context.services.settings.deleteGrace
        if let until = tokens.compactMap({ $0.window.lateArrivals(grace: grace) }).max(),
            let now = tokens.first?.window.now
        {
            throw JobSnooze(
                for: .seconds(until.timeIntervalSince(now)), reason: "a create of this key may still arrive")
        }
        var wasGone = true
        for token in tokens {
            let isGone = try await KeyRefusal(token, of: key, context: context).remove()
            wasGone = wasGone && isGone
        }
        let done = wasGone
        try await context.transaction { transaction in
            for token in tokens { try await keys.markGone(token.hash, in: transaction) }
            try await keys.markDeleted(keyId, in: transaction)
            if key.deletedAt == nil {
                try await PostgresAuditStore().appendOutcome(
                    AuditEntry(
                        actor: context.auditActor, action: "API_KEY_REMOVED", resourceType: "api_key",
                        resourceId: keyId.text, jobId: context.id),
                    in: transaction)
            }
        }
        return Output(keyId: keyId.text, wasGone: done)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_REMOVE_FAILED", about: "api_key", keyId, in: transaction)
    }
}
