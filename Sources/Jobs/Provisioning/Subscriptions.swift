package import Foundation
package import Shared

/// Who asks for a change of a subscription.
package struct SubscriptionCaller: Sendable {
    /// For the audit log.
    package let actor: AuditActor
    /// Whether they decide about other people's subscriptions.
    package let isAdministrator: Bool
    /// Whether they act for every owner: a program that the route let in.
    package let actsForOwners: Bool
    /// Who made the program's token: what they may not decide for themselves, it does not decide for them.
    package let personBehind: UUID?

    package init(
        actor: AuditActor, isAdministrator: Bool, actsForOwners: Bool = false, personBehind: UUID? = nil
    ) {
        self.actor = actor
        self.personBehind = personBehind
        self.isAdministrator = isAdministrator
        self.actsForOwners = actsForOwners
    }

    /// Whether the subscription is their own. Programs have none.
    func owns(_ subscription: Subscription) -> Bool { actor.userId == subscription.userId }

    /// Whether the subscription exists for them.
    func sees(_ subscription: Subscription) -> Bool {
        isAdministrator || actsForOwners || owns(subscription)
    }

    /// Whether they decide about this one: nobody decides about their own.
    func decides(about subscription: Subscription) -> Bool { isAdministrator && !concerns(subscription.userId) }

    /// Whether a decision about this user's would be one about their own.
    func concerns(_ userId: UUID) -> Bool { userId == actor.userId || userId == personBehind }
}

/// What somebody asks for who subscribes.
package struct SubscriptionRequest: Sendable {
    package var userId: UUID
    package var modelId: String
    /// Nil for the standard one, or what it was before.
    package var quotaRequests: Int?
    /// Nil for the standard one, or what it was before.
    package var quotaTokens: Int?
    package var expiresAt: Date?
    /// Nil for none, or what it was before.
    package var metadata: JSONValue?

    package init(userId: UUID, modelId: String) {
        self.userId = userId
        self.modelId = modelId
    }
}

/// A subscription after a change, and the jobs that carry it to LiteLLM.
package struct ChangedSubscription: Sendable {
    /// As it is wanted now.
    package var subscription: Subscription
    /// One for each key that the change gives the model or takes it from.
    package var keyJobs: [KeyJob]

    package init(subscription: Subscription, keyJobs: [KeyJob] = []) {
        self.subscription = subscription
        self.keyJobs = keyJobs
    }
}

/// What the API asks for concerning subscriptions: the row, its history, the jobs of the keys and the audit row in one
/// transaction. Nothing here waits for LiteLLM.
package struct Subscriptions: Sendable {
    let queue: JobQueue
    let grants: KeyGrants
    let store = PostgresSubscriptionStore()
    let audit = PostgresAuditStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
        grants = KeyGrants(queue: queue)
    }

    // MARK: Subscribing

    /// Subscribes a person to a model, for the first time or again. A model that needs an approval gives a pending
    /// subscription, whatever was approved before; so does one that an administrator last took from this person.
    package func request(
        _ request: SubscriptionRequest, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let model = try await model(request.modelId, in: transaction)
        if let old = try await store.lock(userId: request.userId, modelId: model.id, in: transaction) {
            return try await revive(old, request, model, by: caller, in: transaction)
        }
        let quotas = SubscriptionQuotas(
            requests: request.quotaRequests ?? SubscriptionQuotas.standard.requests,
            tokens: request.quotaTokens ?? SubscriptionQuotas.standard.tokens)
        try Self.refuseWidening(from: .standard, to: quotas)
        try Self.check(expiry: request.expiresAt)
        let move = SubscriptionMove(
            to: model.restrictedAccess ? .pending : .active, cause: .request, changedBy: caller.actor.userId)
        guard
            let new = try await store.insert(
                userId: request.userId, modelId: model.id, quotas: quotas, expiresAt: request.expiresAt,
                metadata: request.metadata ?? [:], move, in: transaction)
        else {
            // Somebody else's request has just been committed.
            guard let old = try await store.lock(userId: request.userId, modelId: model.id, in: transaction) else {
                throw SubscriptionError.notFound
            }
            return try await revive(old, request, model, by: caller, in: transaction)
        }
        return try await noted(nil, new, "SUBSCRIPTION_CREATE", by: caller.actor, in: transaction)
    }

    private func revive(
        _ old: Subscription, _ request: SubscriptionRequest, _ model: Model, by caller: SubscriptionCaller,
        in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        guard SubscriptionTrigger.request(needsApproval: true).target(from: old.status) != nil else {
            throw SubscriptionError(
                .exists,
                old.status == .denied
                    ? "The subscription was denied; ask for a review of that."
                    : "There is a subscription to this model already; it is \(old.status.rawValue).",
                field: "modelId")
        }
        var wanted = old
        wanted.quotas.requests = request.quotaRequests ?? old.quotas.requests
        wanted.quotas.tokens = request.quotaTokens ?? old.quotas.tokens
        try Self.refuseWidening(from: old.quotas, to: wanted.quotas)
        try Self.check(expiry: request.expiresAt)
        let remaining = old.expiresAt.flatMap { $0 > Date() ? $0 : nil }
        wanted.expiresAt = request.expiresAt ?? remaining
        if let remaining, let asked = request.expiresAt, asked > remaining {
            throw SubscriptionError.beyondOwner("expiresAt", "It ends at \(ISO8601.string(from: remaining)).")
        }
        wanted.metadata = request.metadata ?? old.metadata
        if wanted != old { _ = try await store.store(wanted, in: transaction) }
        // Whoever was refused does not come back by giving up what is left and asking again.
        let decision = try await store.lastDecision(on: old.id, in: transaction)
        let needsApproval = model.restrictedAccess || (decision != nil && decision != .active)
        let changed = try await change(
            old, .request(needsApproval: needsApproval), .request, by: caller,
            action: needsApproval ? "SUBSCRIPTION_REAPPLIED" : "SUBSCRIPTION_REACTIVATED", in: transaction)
        return try await heedQuota(changed, in: transaction)
    }

    // MARK: The owner's

    /// Gives a subscription up. The row stays, `inactive`.
    package func cancel(
        _ id: UUID, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        return try await change(
            old, .cancel, caller.decides(about: old) ? .administrator : .cancellation, by: caller,
            action: "SUBSCRIPTION_CANCELLED", in: transaction)
    }

    /// Asks for another look at a denied subscription. One that waits already stays as it is.
    package func requestReview(
        _ id: UUID, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        guard old.status != .pending else { return ChangedSubscription(subscription: old) }
        return try await change(
            old, .requestReview, .review, by: caller, action: "SUBSCRIPTION_REVIEW_REQUESTED", in: transaction)
    }

    /// Takes the model from the owner's keys for a while.
    package func suspend(
        _ id: UUID, reason: String?, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        return try await change(
            old, .suspend, caller.decides(about: old) ? .administrator : .owner, reason: reason, by: caller,
            action: "SUBSCRIPTION_SUSPENDED", in: transaction)
    }

    /// Ends a suspension: an administrator any, an owner only their own.
    package func resume(
        _ id: UUID, reason: String?, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        let decides = caller.decides(about: old)
        if old.status == .suspended {
            let ownersCauses: [SubscriptionCause] = [.owner, .restrictionLifted]
            guard decides || ownersCauses.contains(where: { $0.rawValue == old.cause }) else {
                throw SubscriptionError.beyondOwner(
                    "status",
                    old.cause == SubscriptionCause.quota.rawValue
                        ? "Its quota is used up until \(ISO8601.string(from: old.resetAt))."
                        : "Somebody else has suspended it.")
            }
            guard !old.isExhausted || old.resetAt <= Date() else {
                throw SubscriptionError(
                    .wrongStatus,
                    "Its quota is used up until \(ISO8601.string(from: old.resetAt)); raise the quota or reset the use first.",
                    field: "status")
            }
        }
        return try await change(
            old, .resume, decides ? .administrator : .owner, reason: reason, by: caller,
            action: "SUBSCRIPTION_RESUMED", in: transaction)
    }
}
