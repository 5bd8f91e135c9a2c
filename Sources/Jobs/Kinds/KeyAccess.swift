package import Foundation
package import Shared

/// Makes LiteLLM take a key for the models that its owner may use now, and refuse it while they are deactivated or may
/// use none of them. Never gives up. Keys that somebody revoked are none of its business.
package struct KeyAccess: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// What LiteLLM was seen to do: `blocked`, `unblocked`, `absent` when it does not have the key, or `revoked`
        /// when it does not matter any more.
        package var state: String
        /// What was changed in LiteLLM.
        package var changed: [String]?
    }

    package static let name = "key.access"
    package static let queue = "security"
    package static let upstream: Upstream? = .litellmAdmin
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(180)
    /// After revocations, before deletions.
    package static let priority = -900

    /// The key's row.
    package let keyId: UUID
    /// Whether it only looks again, later, for what a call that was held up may have done.
    package let isSecondLook: Bool

    package init(keyId: UUID, isSecondLook: Bool = false) {
        self.keyId = keyId
        self.isSecondLook = isSecondLook
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name)\(isSecondLook ? ".again" : ""):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let outcome = try await KeyApplication(keyId: keyId, scope: .access, context: context).run()
        if isSecondLook, let until = try await PostgresAPIKeyStore().lateCalls(keyId, in: context.services.database) {
            // A newer call has taken this look for its own, which came too early for it.
            try await context.transaction { transaction in
                try await context.ensureAccess(keyId, isSecondLook: true, at: until, in: transaction)
            }
        }
        return Output(keyId: keyId.text, state: outcome.state.rawValue, changed: outcome.changed)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_ACCESS_FAILED", about: "api_key", keyId, in: transaction)
    }
}

extension JobContext {
    /// Stores whether LiteLLM refuses a key that nobody revoked; what is new gets an entry in the audit log.
    func noteBlocked(_ keyId: UUID, _ isBlocked: Bool, in transaction: PostgresTransaction) async throws {
        guard try await PostgresAPIKeyStore().markBlocked(keyId, isBlocked, in: transaction) else { return }
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: auditActor, action: isBlocked ? "API_KEY_BLOCKED" : "API_KEY_UNBLOCKED",
                resourceType: "api_key", resourceId: keyId.text, oldValues: ["blocked": .bool(!isBlocked)],
                newValues: ["blocked": .bool(isBlocked)], jobId: id),
            in: transaction)
    }

    /// Puts in the job that makes LiteLLM take or refuse a key as it is wanted then.
    func ensureAccess(
        _ keyId: UUID, isSecondLook: Bool = false, at time: Date? = nil, in transaction: PostgresTransaction
    ) async throws {
        var options = keyOptions(keyId)
        options.runAt = time
        _ = try await services.queue.enqueue(
            KeyAccess(keyId: keyId, isSecondLook: isSecondLook), options: options, in: transaction)
    }

    /// Puts in the job that brings all of a key to LiteLLM.
    func ensureUpdate(_ keyId: UUID, in transaction: PostgresTransaction) async throws {
        let job = try await services.queue.enqueue(
            KeyUpdate(keyId: keyId), options: keyOptions(keyId), in: transaction)
        try await PostgresAPIKeyStore().expectAccess(keyId, by: job.id, in: transaction)
    }

    /// Arranges a look for the time when no call that lets the key do more, and that leaves now, can arrive any more.
    func expectLateCalls(_ keyId: UUID, in transaction: PostgresTransaction) async throws {
        let grace = services.settings.deleteGrace
        let until = try await PostgresAPIKeyStore().expectLateCalls(keyId, within: grace, in: transaction)
        try await ensureAccess(keyId, isSecondLook: true, at: until, in: transaction)
    }

    private func keyOptions(_ keyId: UUID) -> JobOptions {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "api_key", id: keyId.text)
        return options
    }
}
