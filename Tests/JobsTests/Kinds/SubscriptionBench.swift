import Foundation
import Shared
import Testing

@testable import Jobs

/// What tests of subscriptions need.
extension KindBench {
    var subscriptions: Subscriptions { Subscriptions(queue: services.queue) }
    var subscriptionStore: PostgresSubscriptionStore { PostgresSubscriptionStore() }
    /// Decides about everybody but themselves.
    var administrator: SubscriptionCaller { SubscriptionCaller(actor: actor, isAdministrator: true) }

    func owner(_ user: User) -> SubscriptionCaller {
        SubscriptionCaller(actor: AuditActor(userId: user.id, name: user.username), isAdministrator: false)
    }

    /// Subscribes a user, as they would themselves.
    @discardableResult
    func subscribe(
        _ user: User, to modelId: String, change: @Sendable (inout SubscriptionRequest) -> Void = { _ in }
    ) async throws -> Subscription {
        var request = SubscriptionRequest(userId: user.id, modelId: modelId)
        change(&request)
        let asked = request
        return try await database.withTransaction {
            try await subscriptions.request(asked, by: owner(user), in: $0).subscription
        }
    }

    func decide(
        _ decision: SubscriptionDecision, _ subscription: Subscription, by caller: SubscriptionCaller? = nil
    ) async throws -> ChangedSubscription {
        try await database.withTransaction {
            try await subscriptions.decide(
                decision, subscription.id, reason: "because", by: caller ?? administrator, in: $0)
        }
    }

    func update(
        _ subscription: Subscription, by caller: SubscriptionCaller,
        _ change: @Sendable (inout SubscriptionChange) -> Void
    ) async throws -> ChangedSubscription {
        var wanted = SubscriptionChange()
        change(&wanted)
        let asked = wanted
        return try await database.withTransaction {
            try await subscriptions.update(subscription.id, asked, by: caller, in: $0)
        }
    }

    func row(_ subscription: Subscription) async throws -> Subscription {
        try #require(try await subscriptionStore.find(subscription.id, in: database))
    }

    /// The statuses that a subscription went through, oldest first, each with its cause.
    func path(_ subscription: Subscription) async throws -> [String] {
        try await subscriptionStore.history(of: [subscription.id], limit: 1000, in: database).reversed().map {
            "\($0.newStatus):\($0.cause)"
        }
    }

    /// Audit actions about a subscription, oldest first.
    func actions(_ subscription: Subscription) async throws -> [String] {
        try await PostgresAuditStore().entries(
            resourceType: "subscription", resourceId: subscription.id.text, limit: 500, in: database
        ).reversed().map(\.action)
    }

    func restrict(_ modelId: String, _ isRestricted: Bool = true) async throws {
        try await database.query("update models set restricted_access = \(isRestricted) where id = \(modelId)")
    }

    /// Lets time pass for one subscription.
    func expire(_ subscription: Subscription) async throws {
        try await database.query(
            "update subscriptions set expires_at = now() - interval '1 second' where id = \(subscription.id)")
    }

    func account(_ user: User, _ modelId: String, requests: Int, tokens: Int = 0) async throws -> [KeyJob] {
        try await database.withTransaction {
            try await SubscriptionUsage(queue: services.queue).account(
                userId: user.id, modelId: modelId, requests: requests, tokens: tokens, in: $0)
        }
    }

    /// The refusal that a change ends in; nil when it is let through.
    func refusal(_ change: () async throws -> Void) async throws -> SubscriptionError.Code? {
        do {
            try await change()
            return nil
        } catch let error as SubscriptionError {
            #expect(!error.message.isEmpty)
            return error.code
        }
    }
}
