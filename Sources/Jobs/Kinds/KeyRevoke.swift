package import Foundation
package import Shared

/// Makes LiteLLM refuse a key and reads that back. Never gives up.
package struct KeyRevoke: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// How LiteLLM refuses it: `blocked`, `deleted` or `absent`.
        package var state: String
        /// The job that deletes it in LiteLLM once no create can arrive any more.
        package var deletionJobId: Int64?
    }

    package static let name = "key.revoke"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)
    package static let priority = -1000

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
        var refusals: [(token: APIKeyToken, state: KeyRefusal.State)] = []
        for token in try await keys.tokens(of: keyId, in: context.services.database) {
            let state = try await KeyRefusal(token, of: key, context: context).refuse()
            refusals.append((token, state))
        }
        return try await finish(key, refusals, context)
    }

    private func finish(
        _ key: APIKey, _ refusals: [(token: APIKeyToken, state: KeyRefusal.State)], _ context: JobContext
    ) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        let secrets = PostgresSealedSecretStore()
        let state =
            refusals.first { $0.state == .blocked }?.state
            ?? refusals.first { $0.token.role == .current }?.state ?? .absent
        return try await context.transaction { transaction in
            var deletion: EnqueuedJob?
            if state == .blocked {
                deletion = try await delete(after: keys.tokens(of: keyId, in: transaction), context, in: transaction)
            }
            for (token, state) in refusals {
                if state != .blocked { try await keys.markGone(token.hash, in: transaction) }
                try await secrets.delete(.apiKeyRotate, rowId: token.hash, in: transaction)
                try await secrets.delete(.apiKeyReveal, rowId: token.hash, in: transaction)
                try await secrets.delete(.apiKeyBatch, rowId: token.hash, in: transaction)
            }
            try await secrets.delete(.apiKeyCreate, rowId: keyId.text, in: transaction)
            try await keys.markRevoked(keyId, isGone: state != .blocked, jobId: context.id, in: transaction)
            if key.revokedAt == nil {
                try await PostgresAuditStore().appendOutcome(
                    AuditEntry(
                        actor: context.auditActor, action: "API_KEY_REVOKED", resourceType: "api_key",
                        resourceId: keyId.text, newValues: ["litellm": .string(state.rawValue)], jobId: context.id),
                    in: transaction)
            }
            return Output(keyId: keyId.text, state: state.rawValue, deletionJobId: deletion?.id)
        }
    }

    /// Puts the deletion in, for when no create of any secret can arrive any more.
    private func delete(
        after tokens: [APIKeyToken], _ context: JobContext, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let ends = tokens.map { max($0.window.now, $0.window.deadline ?? $0.window.now) }
        var options = JobOptions()
        options.runAt = ends.max().map { $0 + context.services.settings.deleteGrace.inSeconds }
        options.requester = context.requester
        options.resource = JobResource(type: "api_key", id: keyId.text)
        return try await context.services.queue.enqueue(KeyDelete(keyId: keyId), options: options, in: transaction)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().markFailed(
            keyId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("API_KEY_REVOKE_FAILED", about: "api_key", keyId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().expectSync(keyId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresAPIKeyStore().markFailed(
            keyId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
