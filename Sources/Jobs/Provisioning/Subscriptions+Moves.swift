import Foundation
import Shared

/// The steps that all changes of subscriptions are made of.
extension Subscriptions {
    /// The row, locked, if it exists for the caller.
    func locked(
        _ id: UUID, for caller: SubscriptionCaller, in transaction: PostgresTransaction
    ) async throws -> Subscription {
        guard let subscription = try await store.lock(id, in: transaction), caller.sees(subscription) else {
            throw SubscriptionError.notFound
        }
        return subscription
    }

    /// The model, if it can be used; it stays so until the transaction ends.
    func model(_ id: String, in transaction: PostgresTransaction) async throws -> Model {
        guard let model = try await store.holdModel(id, in: transaction) else {
            throw SubscriptionError(.modelNotFound, "There is no such model.", field: "modelId")
        }
        guard model.availability == .available else {
            throw SubscriptionError(.modelUnavailable, "The model \(id) is not available now.", field: "modelId")
        }
        return model
    }

    /// Moves a locked subscription by what the state machine says, and writes down who did it.
    func change(
        _ old: Subscription, _ trigger: SubscriptionTrigger, _ cause: SubscriptionCause, reason: String? = nil,
        by caller: SubscriptionCaller, action: String, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        guard let target = trigger.target(from: old.status) else {
            throw SubscriptionError.refused(trigger, old.status)
        }
        if target == .active { _ = try await model(old.modelId, in: transaction) }
        let move = SubscriptionMove(
            to: target, cause: cause, reason: reason, changedBy: caller.actor.userId)
        let new = try await store.move([old.id], move, in: transaction)
        guard let new = new.first else { throw SubscriptionError.notFound }
        return try await noted(old, new, action, by: caller.actor, in: transaction)
    }

    /// After a move: the jobs of the keys that gain or lose the model, and the audit row.
    func noted(
        _ old: Subscription?, _ new: Subscription, _ action: String, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        var keyJobs: [KeyJob] = []
        if (old?.status == .active) != (new.status == .active) {
            keyJobs = try await grants.refresh(
                of: [new.userId], modelId: new.modelId, requester: actor.requester, in: transaction)
        }
        try await audit.append(
            .subscription(action, old, new, by: actor, keyJobs: keyJobs), in: transaction)
        return ChangedSubscription(subscription: new, keyJobs: keyJobs)
    }

    /// Brings a suspension by quota in line with what is used: an active subscription without quota left is suspended,
    /// and one that was suspended for that and has some again is given back.
    func heedQuota(
        _ changed: ChangedSubscription, in transaction: PostgresTransaction
    ) async throws -> ChangedSubscription {
        let old = changed.subscription
        // A period that is over is about to begin anew: what was used in it counts no more.
        let isExhausted = old.isExhausted && old.resetAt > Date()
        guard isExhausted ? old.status == .active : old.isSuspendedByQuota else { return changed }
        let move =
            isExhausted
            ? SubscriptionMove(to: .suspended, cause: .quota) : SubscriptionMove(to: .active, cause: .quotaReset)
        guard let new = try await store.move([old.id], move, in: transaction).first else { return changed }
        var result = try await noted(
            old, new, isExhausted ? "SUBSCRIPTION_QUOTA_EXHAUSTED" : "SUBSCRIPTION_QUOTA_RESET", by: .system,
            in: transaction)
        result.keyJobs = KeyJob.newest(changed.keyJobs + result.keyJobs)
        return result
    }

    /// Moves locked subscriptions all alike, as a job or a reset does, with the jobs of the keys that gain or lose a
    /// model and an audit row for each.
    func move(
        _ olds: [Subscription], _ move: SubscriptionMove, action: String, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        guard !olds.isEmpty else { return [] }
        let news = try await store.move(olds.map(\.id), move, in: transaction)
        var keyJobs: [KeyJob] = []
        let changed = olds.filter { ($0.status == .active) != (move.status == .active) }
        for (modelId, olds) in Dictionary(grouping: changed, by: \.modelId).sorted(by: { $0.key < $1.key }) {
            keyJobs += try await grants.refresh(
                of: olds.map(\.userId), modelId: modelId, requester: actor.requester, in: transaction)
        }
        try await audit.append(
            moves: olds, to: news, action: action, by: actor, jobId: move.jobId, in: transaction)
        return KeyJob.newest(keyJobs)
    }

    // MARK: Rules

    /// What owners give themselves is at most what they have.
    static func refuseWidening(
        from old: SubscriptionQuotas, to new: SubscriptionQuotas
    ) throws(SubscriptionError) {
        if new.requests > old.requests {
            throw .beyondOwner("quotaRequests", "An owner may lower the quota of \(old.requests), not raise it.")
        }
        if new.tokens > old.tokens {
            throw .beyondOwner("quotaTokens", "An owner may lower the quota of \(old.tokens), not raise it.")
        }
    }

    static func check(expiry: Date?) throws(SubscriptionError) {
        if let expiry, expiry <= Date() {
            throw SubscriptionError(.invalid, "The time of expiry must lie in the future.", field: "expiresAt")
        }
    }
}

extension KeyJob {
    /// One job for each key: of two changes in one transaction the later one's.
    static func newest(_ jobs: [KeyJob]) -> [KeyJob] {
        var found: [UUID: KeyJob] = [:]
        for job in jobs { found[job.keyId] = job }
        return found.values.sorted { $0.keyId.uuidString < $1.keyId.uuidString }
    }
}

extension PostgresAuditStore {
    /// Appends an entry for each of several subscriptions that were moved alike.
    func append(
        moves olds: [Subscription], to news: [Subscription], action: String, by actor: AuditActor, jobId: Int64?,
        in transaction: PostgresTransaction
    ) async throws {
        let before = Dictionary(uniqueKeysWithValues: olds.map { ($0.id, $0) })
        _ = try await transaction.pipeline(
            news.map { new in
                let entry = AuditEntry.subscription(action, before[new.id], new, by: actor, jobId: jobId)
                return jobId == nil ? appendQuery(entry) : appendOutcomeQuery(entry)
            })
    }
}

extension AuditEntry {
    /// A change of a subscription: of the values only what differs.
    static func subscription(
        _ action: String, _ old: Subscription?, _ new: Subscription, by actor: AuditActor, keyJobs: [KeyJob] = [],
        jobId: Int64? = nil, metadata: [String: JSONValue] = [:]
    ) -> AuditEntry {
        var (before, after) = (old.map(Self.values) ?? [:], Self.values(new))
        for (member, value) in before where after[member] == value {
            before[member] = nil
            after[member] = nil
        }
        var metadata = metadata
        metadata["userId"] = .string(new.userId.text)
        metadata["modelId"] = .string(new.modelId)
        if !keyJobs.isEmpty { metadata["keyJobs"] = .array(keyJobs.map { .string(String($0.job.id)) }) }
        return AuditEntry(
            actor: actor, action: action, resourceType: "subscription", resourceId: new.id.text,
            oldValues: old == nil ? nil : .object(before), newValues: .object(after),
            jobId: jobId ?? keyJobs.first?.job.id, metadata: .object(metadata))
    }

    private static func values(_ subscription: Subscription) -> [String: JSONValue] {
        [
            "status": .string(subscription.status.rawValue), "cause": .string(subscription.cause),
            "reason": subscription.reason.map(JSONValue.string) ?? .null,
            "quotaRequests": .int(subscription.quotas.requests), "quotaTokens": .int(subscription.quotas.tokens),
            "expiresAt": subscription.expiresAt.map { .string(ISO8601.string(from: $0)) } ?? .null,
        ]
    }
}
