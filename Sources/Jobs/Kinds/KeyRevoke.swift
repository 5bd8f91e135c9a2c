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
        let state = try await refuse(key, context)
        return try await finish(key, state, context)
    }

    /// How LiteLLM was seen to refuse a key.
    private enum Refusal: String {
        case blocked
        case deleted
        case absent
    }

    private func refuse(_ key: APIKey, _ context: JobContext) async throws -> Refusal {
        let keys = PostgresAPIKeyStore()
        let grace = context.services.settings.deleteGrace
        // A create that was held up can get in between any two steps; each one wins at most a round.
        for _ in 1...4 {
            let found = try await context.litellm.keyInfo(hash: key.hash)
            switch found?.status {
            case .blocked: return .blocked
            case .active, .expired:
                do {
                    try await context.litellm.blockKey(hash: key.hash)
                } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
                    // Deleted in between: the next round sees what there is now.
                }
            case .deleted, nil:
                let window = try await keys.createWindow(keyId, in: context.services.database)
                guard window?.lateArrivals(grace: grace) != nil else { return found == nil ? .absent : .deleted }
                try await occupy(key, context)
            }
        }
        throw JobFailure.retryable(
            code: "not_refused_yet", message: "LiteLLM was told to refuse the key, but does not say that it does.")
    }

    /// Puts a blocked key where a late create would put a live one: it changes nothing that is there.
    private func occupy(_ key: APIKey, _ context: JobContext) async throws {
        let secrets = PostgresSealedSecretStore()
        guard
            let sealed = try await secrets.get(.apiKeyCreate, rowId: keyId.text, in: context.services.database)
        else {
            throw JobFailure.retryable(
                code: "secret_gone",
                message: "A create of this key may still reach LiteLLM, and its secret is no longer kept; waiting.")
        }
        let secret = try context.services.sealer.open(
            sealed, purpose: PostgresSealedSecretStore.Purpose.apiKeyCreate.rawValue, rowId: keyId.text)
        do {
            try await context.litellm.generateKey(key.litellmTombstone(intent: context.id), secret: secret)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.aliasExists {
            // By the late create itself: the next round blocks it.
        }
    }

    private func finish(_ key: APIKey, _ state: Refusal, _ context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        let settings = context.services.settings
        return try await context.transaction { transaction in
            var deletion: EnqueuedJob?
            if state == .blocked {
                let window = try await keys.createWindow(keyId, in: transaction)
                var options = JobOptions()
                options.runAt = window.map { max($0.now, $0.deadline ?? $0.now) + settings.deleteGrace.inSeconds }
                options.requester = context.requester
                options.resource = JobResource(type: "api_key", id: keyId.text)
                deletion = try await context.services.queue.enqueue(
                    KeyDelete(keyId: keyId), options: options, in: transaction)
            }
            try await keys.markRevoked(keyId, isGone: state != .blocked, jobId: context.id, in: transaction)
            try await PostgresSealedSecretStore().delete(.apiKeyCreate, rowId: keyId.text, in: transaction)
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
