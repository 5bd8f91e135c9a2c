import Foundation
package import Shared

/// Makes LiteLLM refuse a key that has no row here, and reads that back; later deletes it. Never gives up.
package struct OrphanRevoke: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// SHA-256 of the secret in hexadecimal.
        package var hash: String
        /// `blocked`, `deleted`, `absent`, or `adopted` when it has a row by now.
        package var state: String
    }

    package static let name = "orphan.revoke"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)
    /// After revocations of our own keys.
    package static let priority = -800

    /// SHA-256 of the secret in hexadecimal.
    package let hash: String
    /// Whether it deletes what was blocked before.
    package let isDeletion: Bool

    package init(hash: String, isDeletion: Bool = false) {
        self.hash = hash
        self.isDeletion = isDeletion
    }

    package var orderKey: String? { "key:\(hash)" }
    package var uniqueKey: String? { "\(Self.name)\(isDeletion ? ".delete" : ""):\(hash)" }

    package func run(in context: JobContext) async throws -> Output {
        guard try await PostgresAPIKeyStore().find(hash: hash, in: context.services.database) == nil else {
            return Output(hash: hash, state: "adopted")
        }
        var isChanged = false
        for _ in 1...4 {
            switch try await context.litellm.keyInfo(hash: hash)?.status {
            case nil: return try await finish("absent", context)
            case .deleted: return try await finish("deleted", context)
            case .blocked:
                guard isDeletion else { return try await finish("blocked", context) }
                _ = try await context.litellm.deleteKey(hash: hash)
            case .active, .expired:
                // One that somebody has unblocked since is in use: a person has to look at it again.
                guard !isDeletion || isChanged else { return try await finish("unblocked", context) }
                do {
                    try await context.litellm.blockKey(hash: hash)
                } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
                    // Deleted in between: the next round sees what there is now.
                }
            }
            isChanged = true
        }
        throw JobFailure.retryable(
            code: "not_refused_yet", message: "LiteLLM was told to refuse the key, but does not say that it does.")
    }

    private func finish(_ state: String, _ context: JobContext) async throws -> Output {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = JobResource(type: "litellm_key", id: hash)
        options.delay = context.services.settings.deleteGrace
        let later = options
        try await context.transaction { transaction in
            if state == "blocked" {
                _ = try await context.services.queue.enqueue(
                    OrphanRevoke(hash: hash, isDeletion: true), options: later, in: transaction)
            }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: isDeletion ? "ORPHAN_KEY_REMOVED" : "ORPHAN_KEY_REVOKED",
                    resourceType: "litellm_key", resourceId: hash, newValues: ["litellm": .string(state)],
                    jobId: context.id, success: state != "unblocked"),
                in: transaction)
        }
        return Output(hash: hash, state: state)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("ORPHAN_KEY_REVOKE_FAILED", about: "litellm_key", hash, in: transaction)
    }
}
