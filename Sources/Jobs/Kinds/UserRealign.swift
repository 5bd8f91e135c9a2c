package import Foundation
package import Shared

/// Carries out that a person adopts LiteLLM's other user with their address: that one loses the address, the person's own
/// user is made, and the keys go over, in this order, so that no key ever belongs to a user whom LiteLLM does not know.
/// The other user stays, as what it has spent does. Keys that we made for somebody else stay with it.
package struct UserRealign: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// The user's row.
        package var userId: String
        /// LiteLLM's other user.
        package var litellmUserId: String
        /// What the other user's address is from now on; nil when it had another one already.
        package var foreignEmail: String?
        /// Keys that went over in this attempt.
        package var movedKeys: Int
        /// Keys that stay with the other user.
        package var keptKeys: Int
    }

    package static let name = "user.realign"
    package static let upstream: Upstream? = .litellmAdmin
    package static let timeout: Duration = .seconds(300)

    /// The user's row.
    package let userId: UUID
    /// LiteLLM's other user, as it was shown to whoever decided.
    package let litellmUserId: String

    package init(userId: UUID, litellmUserId: String) {
        self.userId = userId
        self.litellmUserId = litellmUserId
    }

    package var orderKey: String? { "user:\(userId.text)" }
    package var uniqueKey: String? { "\(Self.name):\(userId.text):\(litellmUserId)" }

    package func run(in context: JobContext) async throws -> Output {
        let sides = try await RealignSides.read(userId, litellmUserId, context)
        let email = try await takeAddress(sides, context)
        let provision = UserProvision(userId: userId)
        let done = try await provision.converge(context)
        for key in sides.movable { try await move(key, context) }
        let output = Output(
            userId: userId.text, litellmUserId: litellmUserId, foreignEmail: email, movedKeys: sides.movable.count,
            keptKeys: sides.kept.count)
        try await context.transaction { transaction in
            try await provision.store(done, context, in: transaction)
            try await PostgresAuditStore().appendOutcome(
                AuditEntry(
                    actor: context.auditActor, action: "USER_REALIGNED", resourceType: "user",
                    resourceId: userId.text,
                    newValues: [
                        "litellmUserId": .string(litellmUserId), "movedKeys": .int(output.movedKeys),
                        "keptKeys": .int(output.keptKeys), "foreignEmail": email.map(JSONValue.string) ?? .null,
                    ], jobId: context.id),
                in: transaction)
        }
        return output
    }

    /// LiteLLM cannot clear an address: the other user gets one of its own.
    ///
    /// - Returns: the new address; nil when it had another one already.
    private func takeAddress(_ sides: RealignSides, _ context: JobContext) async throws -> String? {
        guard let foreign = sides.foreign, sides.foreignHasEmail else { return nil }
        var change = LiteLLMUserChange()
        change.email = sides.foreignEmail
        try await context.litellm.updateUser(id: foreign.id, change)
        guard try await context.litellm.user(id: foreign.id)?.email == sides.foreignEmail else {
            throw JobFailure.notTaken("user", fields: ["email"])
        }
        return sides.foreignEmail
    }

    private func move(_ key: LiteLLMKey, _ context: JobContext) async throws {
        var change = LiteLLMKeyChange()
        change.userId = userId.text
        do {
            try await context.litellm.updateKey(hash: key.hash, change)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.keyNotFound {
            return  // Deleted in between.
        }
        guard let found = try await context.litellm.keyInfo(hash: key.hash), found.status != .deleted else { return }
        guard found.userId == userId.text else { throw JobFailure.notTaken("API key", fields: ["userId"]) }
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().markFailed(
            userId, error: SyncError(end), jobId: end.jobId, in: transaction)
        try await end.audit("USER_REALIGN_FAILED", about: "user", userId, in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().expectSync(userId, by: jobId, in: transaction)
    }

    package func discarded(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresUserStore().markFailed(
            userId, error: SyncError(end), jobId: end.jobId, in: transaction)
    }
}
