package import Foundation
package import Shared

extension UserAdministration {
    /// Stores the job that sets what a user has spent back to zero in LiteLLM, behind the one that brings the user there
    /// where that has not happened yet.
    ///
    /// - Throws: ``ProvisioningError`` `userNotFound`.
    package func resetSpend(
        _ id: UUID, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        guard id != User.systemId, let user = try await users.lock(id, in: transaction) else {
            throw ProvisioningError(.userNotFound, "There is no such user.")
        }
        _ = try await provisioning.ensure(user, requester: actor.requester, in: transaction)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "user", id: id.text)
        let job = try await queue.enqueue(UserResetSpend(userId: id), options: options, in: transaction)
        try await audit.append(
            AuditEntry(
                actor: actor, action: "USER_SPEND_RESET_REQUESTED", resourceType: "user", resourceId: id.text,
                jobId: job.id),
            in: transaction)
        return job
    }

    /// How many active users a change of limits would reach.
    ///
    /// - Throws: ``ProvisioningError`` `invalidLimit`, `unknownUsers`.
    package func countForLimits(
        _ change: LimitsChange, of filter: ActiveUserFilter, in executor: any PostgresExecutor
    ) async throws -> Int {
        try change.applied(to: SpendingLimits()).validate()
        if let ids = filter.userIds {
            let missing = try await users.notActive(ids, in: executor)
            guard missing.isEmpty else {
                throw ProvisioningError(
                    .unknownUsers, "There are no active users with these ids.", field: "filter.userIds",
                    values: missing.prefix(10).map(\.text))
            }
        }
        return try await users.countActive(filter, in: executor)
    }

    /// Stores the job that sets limits of many active users; nil when the filter means nobody.
    ///
    /// - Returns: how many they are.
    /// - Throws: ``ProvisioningError`` `invalidLimit`, `unknownUsers`.
    package func setLimits(
        _ change: LimitsChange, of filter: ActiveUserFilter, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> (count: Int, job: EnqueuedJob?) {
        let count = try await countForLimits(change, of: filter, in: transaction)
        guard count > 0 else { return (0, nil) }
        let limits = LimitsDocument(change)
        var options = JobOptions()
        options.requester = actor.requester
        let kind = UsersBulkLimits(filter: filter, limits: limits, asOf: try await users.now(in: transaction))
        let job = try await queue.enqueue(kind, options: options, in: transaction)
        let asked = try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(kind))
        try await audit.append(
            AuditEntry(
                actor: actor, action: "USER_BULK_LIMITS", resourceType: "user", resourceId: nil,
                newValues: asked["limits"], jobId: job.id,
                metadata: ["filter": asked["filter"] ?? .null, "totalUsers": .int(count)]),
            in: transaction)
        return (count, job)
    }
}
