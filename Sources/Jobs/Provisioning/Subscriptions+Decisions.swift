package import Foundation
package import Shared

/// What somebody changes about a subscription; what is nil or kept stays as it is.
package struct SubscriptionChange: Sendable, Equatable {
    package var status: SubscriptionStatus?
    package var reason: String?
    package var quotaRequests: Int?
    package var quotaTokens: Int?
    package var expiresAt = FieldChange<Date>.keep
    package var metadata = FieldChange<JSONValue>.keep

    /// Nothing.
    package init() {}

    fileprivate func applied(to old: Subscription) -> Subscription {
        var new = old
        new.quotas.requests = quotaRequests ?? old.quotas.requests
        new.quotas.tokens = quotaTokens ?? old.quotas.tokens
        switch expiresAt {
        case .keep: break
        case .clear: new.expiresAt = nil
        case .set(let date): new.expiresAt = date
        }
        switch metadata {
        case .keep: break
        case .clear: new.metadata = [:]
        case .set(let value): new.metadata = value
        }
        return new
    }
}

/// What an administrator decides about one of several subscriptions.
package enum SubscriptionDecision: Sendable {
    case approve
    case deny
}

/// What administrators decide, never about their own subscriptions.
extension Subscriptions {
    /// Changes quotas, expiry, metadata and status. Owners change only their metadata, and the rest to less; an
    /// administrator's own subscription is an owner's.
    package func update(
        _ id: UUID, _ change: SubscriptionChange, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        var wanted = change.applied(to: old)
        if !caller.decides(about: old) { try Self.refuseBeyondOwner(change, old, wanted) }
        if change.expiresAt != .keep { try Self.check(expiry: wanted.expiresAt) }
        if wanted != old {
            wanted = try await store.store(wanted, in: transaction)
            try await audit.append(
                .subscription("SUBSCRIPTION_UPDATE", old, wanted, by: caller.actor), in: transaction)
        }
        var changed = ChangedSubscription(subscription: wanted)
        if let status = change.status, status != old.status {
            let (trigger, cause, action) = Self.step(from: old.status, to: status)
            changed = try await self.change(
                wanted, trigger, cause, reason: change.reason, by: caller, action: action, in: transaction)
        }
        return try await heedQuota(changed, in: transaction)
    }

    /// What an administrator means who names the status that a subscription shall have.
    private static func step(
        from old: SubscriptionStatus, to new: SubscriptionStatus
    ) -> (SubscriptionTrigger, SubscriptionCause, action: String) {
        switch new {
        case .active where old == .pending: (.approve, .approval, "SUBSCRIPTION_APPROVED")
        case .active where old == .suspended: (.resume, .administrator, "SUBSCRIPTION_RESUMED")
        case .active where old == .denied: (.revert(to: .active), .revert, "SUBSCRIPTION_STATUS_REVERTED")
        case .active: (.assign, .assignment, "ADMIN_AUTO_ACTIVATE_SUBSCRIPTION")
        case .pending: (.revert(to: .pending), .revert, "SUBSCRIPTION_STATUS_REVERTED")
        case .denied: (.deny, .denial, "SUBSCRIPTION_DENIED")
        case .suspended: (.suspend, .administrator, "SUBSCRIPTION_SUSPENDED")
        case .inactive, .cancelled: (.cancel, .cancellation, "SUBSCRIPTION_CANCELLED")
        case .expired: (.expire, .expiry, "SUBSCRIPTION_EXPIRED")
        }
    }

    private static func refuseBeyondOwner(
        _ change: SubscriptionChange, _ old: Subscription, _ wanted: Subscription
    ) throws(SubscriptionError) {
        if let status = change.status, status != old.status {
            throw .beyondOwner(
                "status", "An owner does not set the status; cancel, suspend and resume are there for that.")
        }
        try refuseWidening(from: old.quotas, to: wanted.quotas)
        if let end = old.expiresAt, wanted.expiresAt.map({ $0 > end }) ?? true {
            throw .beyondOwner("expiresAt", "An owner may bring the end forward, not put it off.")
        }
    }

    /// Approves or denies one of several. To ask again for what is so already changes nothing.
    package func decide(
        _ decision: SubscriptionDecision, _ id: UUID, reason: String?, by caller: SubscriptionCaller,
        in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        let isApproval = decision == .approve
        guard caller.decides(about: old) else { throw SubscriptionError.own(isApproval ? "approved" : "denied") }
        guard old.status != (isApproval ? .active : .denied) else { return ChangedSubscription(subscription: old) }
        return try await change(
            old, isApproval ? .approve : .deny, isApproval ? .approval : .denial, reason: reason, by: caller,
            action: isApproval ? "SUBSCRIPTION_APPROVED" : "SUBSCRIPTION_DENIED", in: transaction)
    }

    /// Takes a decision back.
    package func revert(
        _ id: UUID, to status: SubscriptionTrigger.Reversion, reason: String?, by caller: SubscriptionCaller,
        in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        guard caller.decides(about: old) else { throw SubscriptionError.own("reverted") }
        if old.status == status.status { return ChangedSubscription(subscription: old) }
        return try await change(
            old, .revert(to: status), .revert, reason: reason, by: caller, action: "SUBSCRIPTION_STATUS_REVERTED",
            in: transaction)
    }

    /// Deletes a subscription with its history; the audit log keeps what it was.
    package func delete(
        _ id: UUID, reason: String?, by caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = try await locked(id, for: caller, in: transaction)
        guard caller.decides(about: old) else { throw SubscriptionError.own("deleted") }
        try await store.delete(id, in: transaction)
        let keyJobs =
            old.status == .active
            ? try await grants.refresh(
                of: [old.userId], modelId: old.modelId, requester: caller.actor.requester, in: transaction) : []
        var entry = AuditEntry.subscription(
            "SUBSCRIPTION_DELETED_BY_ADMIN", nil, old, by: caller.actor, keyJobs: keyJobs,
            metadata: reason.map { ["reason": .string($0)] } ?? [:])
        swap(&entry.oldValues, &entry.newValues)
        try await audit.append(entry, in: transaction)
        return ChangedSubscription(subscription: old, keyJobs: keyJobs)
    }
}
