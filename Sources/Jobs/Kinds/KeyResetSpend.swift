package import Foundation
package import Shared

/// Sets what a key has spent back to zero in LiteLLM and reads that back; once more a little later, as somebody may
/// write the old sum back.
package struct KeyResetSpend: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The key's row.
        package var keyId: String
        /// `reset`, `kept` when there was nothing left to do, or `superseded` when the key was revoked before.
        package var outcome: String
        /// Dollars, as LiteLLM says now, as an exact decimal text.
        package var currentSpend: String
        /// Why the second look left what it found.
        package var note: String?
    }

    package static let name = "key.resetSpend"
    package static let upstream: Upstream? = .litellmAdmin

    /// The key's row.
    package let keyId: UUID
    /// What had been spent before the reset, as an exact decimal text, for the second look; nil for the reset itself.
    package let spentBefore: String?
    /// When it was reset, and the job that did; for the second look.
    package let resetAt: Date?
    package let resetBy: Int64?

    package init(keyId: UUID, spentBefore: String? = nil, resetAt: Date? = nil, resetBy: Int64? = nil) {
        self.keyId = keyId
        self.spentBefore = spentBefore
        self.resetAt = resetAt
        self.resetBy = resetBy
    }

    package var orderKey: String? { "key:\(keyId.text)" }
    /// Each reset has a look of its own: it is where an attempt that follows a crash finds what was spent before.
    package var uniqueKey: String? {
        spentBefore == nil ? "\(Self.name):\(keyId.text)" : Self.lookKey(keyId, resetBy: resetBy)
    }

    private static func lookKey(_ id: UUID, resetBy: Int64?) -> String {
        "\(name).again:\(id.text)\(resetBy.map { ":\($0)" } ?? "")"
    }

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
        let reset = SpendReset(name: "API key") {
            try await context.litellm.keyInfo(hash: key.hash)
        } set: {
            try await context.litellm.resetKeySpend(hash: key.hash, to: $0)
        }
        let done: SpendReset<LiteLLMKey>.Done
        if let spentBefore {
            let now = try await context.services.database.now()
            done = try await reset.again(found, SpendLook(spentBefore: spentBefore, resetAt: resetAt, now: now))
        } else {
            let noted = try await PostgresSpendLookStore().spentBefore(
                uniqueKey: Self.lookKey(keyId, resetBy: context.id), in: context.services.database)
            done = try await reset.run(found, noted: noted) { try await arrangeLook(spent: $0, context) }
        }
        try await note(done, context)
        return output(done.outcome, done.object.spend, note: done.note)
    }

    private func output(_ outcome: String, _ spend: Decimal, note: String? = nil) -> Output {
        Output(keyId: keyId.text, outcome: outcome, currentSpend: "\(spend)", note: note)
    }

    private func arrangeLook(spent: Decimal, _ context: JobContext) async throws {
        let options = JobOptions.secondSpendLook(
            of: JobResource(type: "api_key", id: keyId.text), requester: context.requester)
        try await context.transaction { transaction in
            let look = KeyResetSpend(
                keyId: keyId, spentBefore: "\(spent)", resetAt: try await transaction.now(), resetBy: context.id)
            _ = try await context.services.queue.enqueue(look, options: options, in: transaction)
        }
    }

    private func note(_ done: SpendReset<LiteLLMKey>.Done, _ context: JobContext) async throws {
        try await context.transaction { transaction in
            try await PostgresAPIKeyStore().noteSpend(
                keyId, done.object.spend, budgetResetAt: done.object.budgetResetAt, in: transaction)
            guard let old = done.old else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "API_KEY_SPEND_RESET", resourceType: "api_key",
                    resourceId: keyId.text, oldValues: ["currentSpend": .string("\(old)")],
                    newValues: ["currentSpend": .string("\(done.object.spend)")], jobId: context.id),
                in: transaction)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("API_KEY_SPEND_RESET_FAILED", about: "api_key", keyId, in: transaction)
    }
}
