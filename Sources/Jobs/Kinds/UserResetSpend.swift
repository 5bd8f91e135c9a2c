package import Foundation
package import Shared

/// Sets what a user has spent back to zero in LiteLLM and reads that back; once more a little later, as
/// somebody may write the old sum back. The spend of the user's keys and teams stays as it is.
package struct UserResetSpend: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The user's row.
        package var userId: String
        /// `reset`, or `kept` when there was nothing left to do.
        package var outcome: String
        /// Dollars, as LiteLLM says now, as an exact decimal text.
        package var currentSpend: String
        /// Why the second look left what it found.
        package var note: String?
    }

    package static let name = "user.resetSpend"
    package static let upstream: Upstream? = .litellmAdmin

    /// The user's row.
    package let userId: UUID
    /// What had been spent before the reset, as an exact decimal text, for the second look; nil for the reset itself.
    package let spentBefore: String?
    /// When it was reset, and the job that did; for the second look.
    package let resetAt: Date?
    package let resetBy: Int64?

    package init(userId: UUID, spentBefore: String? = nil, resetAt: Date? = nil, resetBy: Int64? = nil) {
        self.userId = userId
        self.spentBefore = spentBefore
        self.resetAt = resetAt
        self.resetBy = resetBy
    }

    package var orderKey: String? { "user:\(userId.text)" }
    /// Each reset has a look of its own: it is where an attempt that follows a crash finds what was spent before.
    package var uniqueKey: String? {
        spentBefore == nil ? "\(Self.name):\(userId.text)" : Self.lookKey(userId, resetBy: resetBy)
    }

    private static func lookKey(_ id: UUID, resetBy: Int64?) -> String {
        "\(name).again:\(id.text)\(resetBy.map { ":\($0)" } ?? "")"
    }

    package func run(in context: JobContext) async throws -> Output {
        guard try await PostgresUserStore().find(userId, in: context.services.database) != nil else {
            throw JobFailure.rowMissing("user")
        }
        // An update would make a user that is not there.
        guard let found = try await context.litellm.user(id: userId.text) else {
            throw JobFailure.permanent(
                code: "user_lost",
                message: "LiteLLM does not have this user; any change of their limits brings them back."
            )
        }
        let reset = SpendReset(name: "user") {
            try await context.litellm.user(id: userId.text)
        } set: {
            var change = LiteLLMUserChange()
            change.spend = $0
            try await context.litellm.updateUser(id: userId.text, change)
        }
        let done: SpendReset<LiteLLMUser>.Done
        if let spentBefore {
            let now = try await context.services.database.now()
            done = try await reset.again(found, SpendLook(spentBefore: spentBefore, resetAt: resetAt, now: now))
        } else {
            let noted = try await PostgresSpendLookStore().spentBefore(
                uniqueKey: Self.lookKey(userId, resetBy: context.id), in: context.services.database)
            done = try await reset.run(found, noted: noted) { try await arrangeLook(spent: $0, context) }
        }
        try await note(done, context)
        return Output(
            userId: userId.text, outcome: done.outcome, currentSpend: "\(done.object.spend)", note: done.note)
    }

    private func arrangeLook(spent: Decimal, _ context: JobContext) async throws {
        let options = JobOptions.secondSpendLook(
            of: JobResource(type: "user", id: userId.text), requester: context.requester)
        try await context.transaction { transaction in
            let look = UserResetSpend(
                userId: userId, spentBefore: "\(spent)", resetAt: try await transaction.now(), resetBy: context.id)
            _ = try await context.services.queue.enqueue(look, options: options, in: transaction)
        }
    }

    private func note(_ done: SpendReset<LiteLLMUser>.Done, _ context: JobContext) async throws {
        try await context.transaction { transaction in
            try await PostgresUserStore().noteSpend(
                userId, done.object.spend, budgetResetAt: done.object.budgetResetAt, in: transaction)
            guard let old = done.old else { return }
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "USER_SPEND_RESET", resourceType: "user",
                    resourceId: userId.text, oldValues: ["currentSpend": .string("\(old)")],
                    newValues: ["currentSpend": .string("\(done.object.spend)")], jobId: context.id),
                in: transaction)
        }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("USER_SPEND_RESET_FAILED", about: "user", userId, in: transaction)
    }
}
