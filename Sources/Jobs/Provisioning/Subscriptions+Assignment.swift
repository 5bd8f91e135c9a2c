package import Foundation
package import Shared

/// What became of models that an administrator gave somebody.
package struct AssignedSubscriptions: Sendable {
    package var created: [Subscription] = []
    /// With what they were before.
    package var activated: [(subscription: Subscription, before: SubscriptionStatus)] = []
    /// The models of those that were active before.
    package var alreadyActive: [String] = []
    /// One for each key that gains a model.
    package var keyJobs: [KeyJob] = []
}

/// What administrators do for people, and with everybody's quotas.
extension Subscriptions {
    /// Gives a person models, whatever became of their subscriptions before. An administrator's own ones are refused:
    /// they subscribe as everybody does.
    package func assign(
        _ modelIds: [String], to userId: UUID, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> AssignedSubscriptions {
        guard !caller.concerns(userId) else { throw SubscriptionError.own("assigned") }
        guard userId != User.systemId, try await PostgresUserStore().find(userId, in: transaction) != nil else {
            throw SubscriptionError(.userNotFound, "There is no such user.", field: "userId")
        }
        var found = AssignedSubscriptions()
        let olds = try await store.lock(ofUser: userId, models: modelIds, in: transaction)
        for modelId in Set(modelIds).sorted() {
            let model = try await model(modelId, in: transaction)
            let changed: ChangedSubscription
            if let old = olds.first(where: { $0.modelId == model.id }) {
                guard old.status != .active else {
                    found.alreadyActive.append(modelId)
                    continue
                }
                changed = try await activate(old, by: caller, in: transaction)
                found.activated.append((changed.subscription, old.status))
            } else {
                let move = SubscriptionMove(to: .active, cause: .assignment, changedBy: caller.actor.userId)
                guard
                    let new = try await store.insert(
                        userId: userId, modelId: model.id, quotas: .standard, expiresAt: nil, metadata: [:], move,
                        in: transaction)
                else {
                    throw SubscriptionError(
                        .exists, "The user is subscribing to \(model.id) at this moment; send it again.",
                        field: "modelIds")
                }
                changed = try await noted(
                    nil, new, "ADMIN_AUTO_CREATE_SUBSCRIPTION", by: caller.actor, in: transaction)
                found.created.append(changed.subscription)
            }
            found.keyJobs += changed.keyJobs
        }
        found.keyJobs = KeyJob.newest(found.keyJobs)
        return found
    }

    private func activate(
        _ old: Subscription, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        var old = old
        if let end = old.expiresAt, end <= Date() {
            // Else the next sweep would end it again.
            old.expiresAt = nil
            old = try await store.store(old, in: transaction)
        }
        return try await change(
            old, .assign, .assignment, by: caller, action: "ADMIN_AUTO_ACTIVATE_SUBSCRIPTION", in: transaction)
    }

    /// Begins the use of a user's subscriptions anew; what was used up to today is forgiven.
    ///
    /// - Returns: how many, and the jobs of keys whose subscription had run out of quota.
    package func resetQuotas(
        ofUser userId: UUID, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> (count: Int, keyJobs: [KeyJob]) {
        if caller.concerns(userId) { throw SubscriptionError.own("reset") }
        let all = try await store.lock(ofUser: userId, in: transaction)
        try await store.forgiveUse(all.map(\.id), by: caller.actor.userId, in: transaction)
        let move = SubscriptionMove(to: .active, cause: .quotaReset, changedBy: caller.actor.userId)
        let keyJobs = try await self.move(
            all.filter(\.isSuspendedByQuota), move, action: "SUBSCRIPTION_QUOTA_RESET", by: caller.actor,
            in: transaction)
        try await noteReset(all.count, ofUser: userId, keyJobs.first?.job.id, by: caller, in: transaction)
        return (all.count, keyJobs)
    }

    /// Stores the job that begins the use of everybody's subscriptions anew, but for those of whoever asks.
    ///
    /// - Returns: how many it reaches now.
    package func resetAllQuotas(
        by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> (count: Int, job: EnqueuedJob) {
        let except = caller.actor.userId ?? caller.personBehind
        var options = JobOptions()
        options.requester = caller.actor.requester
        let job = try await queue.enqueue(QuotaForgive(except: except), options: options, in: transaction)
        let count = try await store.count(except: except, in: transaction)
        try await noteReset(count, ofUser: nil, job.id, by: caller, in: transaction)
        return (count, job)
    }

    private func noteReset(
        _ count: Int, ofUser userId: UUID?, _ jobId: Int64?, by caller: SubscriptionCaller,
        in transaction: PostgresTransaction
    ) async throws {
        try await audit.append(
            AuditEntry(
                actor: caller.actor, action: "QUOTAS_RESET", resourceType: "subscription", resourceId: nil,
                newValues: ["resetCount": .int(count)], jobId: jobId,
                metadata: ["userId": userId.map { .string($0.text) } ?? .null]),
            in: transaction)
    }
}

extension Subscription {
    /// Whether only its quota keeps it suspended.
    var isSuspendedByQuota: Bool { status == .suspended && cause == SubscriptionCause.quota.rawValue }
}
