package import Foundation
package import Shared

/// Sets what a key has spent back to zero in LiteLLM and reads that back; once more a little later, as LiteLLM's batched
/// writer may carry the old sum back.
package struct KeyResetSpend: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `reset`, `kept` when there was nothing left to do, or `superseded` when the key was revoked before.
        package var outcome: String
        /// Dollars, as LiteLLM says now, as an exact decimal text.
        package var currentSpend: String
    }

    /// Longer than LiteLLM's writer waits.
    private static let secondLook: Duration = .seconds(60)

    package static let name = "key.resetSpend"
    package static let upstream: Upstream? = .litellmAdmin

    /// The key's row.
    package let keyId: UUID
    /// What had been spent before the reset, as an exact decimal text, for the second look; nil for the reset itself.
    package let spentBefore: String?

    package init(keyId: UUID, spentBefore: String? = nil) {
        self.keyId = keyId
        self.spentBefore = spentBefore
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    package var uniqueKey: String? { "\(Self.name)\(spentBefore == nil ? "" : ".again"):\(keyId.text)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        guard let key = try await keys.find(keyId, in: context.services.database) else {
            throw JobFailure.rowMissing("API key")
        }
        guard key.isActive else { return output("superseded", 0) }
        guard let found = try await context.litellm.keyInfo(hash: key.hash), found.status != .deleted else {
            throw JobFailure.permanent(
                code: "key_lost", message: "LiteLLM does not have this key; rotate it to get one that works.")
        }
        if let spentBefore, let before = Decimal(string: spentBefore, locale: Locale(identifier: "C")) {
            return try await lookAgain(found, hash: key.hash, before, context)
        }
        guard found.spend > 0 else {
            try await note(found, context)
            return output("reset", 0)
        }
        // Before the call: an attempt that follows a crash finds nothing left to reset, and so could not know.
        try await arrangeLook(spent: found.spend, context)
        let again = try await set(0, hash: key.hash, below: found.spend, context)
        try await note(again, from: found.spend, context)
        return output("reset", again.spend)
    }

    /// Takes away what LiteLLM's writer has carried back, and leaves what was spent since.
    private func lookAgain(
        _ found: LiteLLMKey, hash: String, _ before: Decimal, _ context: JobContext
    ) async throws -> Output {
        guard found.spend >= before else {
            try await note(found, context)
            return output("kept", found.spend)
        }
        let again = try await set(found.spend - before, hash: hash, below: found.spend, context)
        try await note(again, from: found.spend, context)
        return output("reset", again.spend)
    }

    private func set(
        _ spend: Decimal, hash: String, below old: Decimal, _ context: JobContext
    ) async throws -> LiteLLMKey {
        try await context.litellm.resetKeySpend(hash: hash, to: spend)
        guard let again = try await context.litellm.keyInfo(hash: hash) else {
            throw JobFailure.notReadable("API key")
        }
        guard again.spend < old else {
            throw JobFailure.retryable(
                code: "spend_not_reset", message: "LiteLLM was told to reset the spend, but does not show it.")
        }
        return again
    }

    private func output(_ outcome: String, _ spend: Decimal) -> Output {
        Output(keyId: keyId.text, outcome: outcome, currentSpend: "\(spend)")
    }

    private func arrangeLook(spent: Decimal, _ context: JobContext) async throws {
        var options = JobOptions()
        options.requester = context.requester
        options.resource = JobResource(type: "api_key", id: keyId.text)
        options.delay = Self.secondLook
        let later = options
        try await context.transaction { transaction in
            _ = try await context.services.queue.enqueue(
                KeyResetSpend(keyId: keyId, spentBefore: "\(spent)"), options: later, in: transaction)
        }
    }

    /// - Parameter old: what had been spent, when it was reset.
    private func note(_ found: LiteLLMKey, from old: Decimal? = nil, _ context: JobContext) async throws {
        try await context.transaction { transaction in
            try await PostgresAPIKeyStore().noteSpend(
                keyId, found.spend, budgetResetAt: found.budgetResetAt, in: transaction)
            guard let old else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "API_KEY_SPEND_RESET", resourceType: "api_key",
                    resourceId: keyId.text, oldValues: ["currentSpend": .string("\(old)")],
                    newValues: ["currentSpend": .string("\(found.spend)")], jobId: context.id),
                in: transaction)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_SPEND_RESET_FAILED", about: "api_key", keyId, in: transaction)
    }
}
