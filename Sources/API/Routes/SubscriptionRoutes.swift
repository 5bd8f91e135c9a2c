import Foundation
import Hummingbird
import Jobs
import Shared

/// The caller's subscriptions; for those who may see all of them, everybody's.
struct SubscriptionRoutes: RouteGroup {
    let database: PostgresClient
    let subscriptions: Subscriptions
    let changes: Changes
    private let store = PostgresSubscriptionStore()
    private let presenter = SubscriptionPresenter()

    init(database: PostgresClient, subscriptions: Subscriptions, changes: Changes) {
        self.database = database
        self.subscriptions = subscriptions
        self.changes = changes
    }

    var routes: [Route] {
        let path = "/api/v1/subscriptions"
        return [
            .permitted(.subscriptionsRead, .get, path, list),
            .permitted(.subscriptionsWrite, .post, path, create),
            .permitted(.subscriptionsRead, .get, path + "/stats", statistics),
            .permitted(.subscriptionsRead, .get, path + "/{id}", get),
            .permitted(.subscriptionsWrite, .patch, path + "/{id}", update),
            .permitted(.subscriptionsWrite, .put, path + "/{id}/quotas", setQuotas),
            .permitted(.subscriptionsWrite, .post, path + "/{id}/cancel", cancel),
            .permitted(.subscriptionsWrite, .post, path + "/{id}/request-review", requestReview),
            .permitted(.subscriptionsWrite, .post, path + "/{id}/suspend", suspend),
            .permitted(.subscriptionsWrite, .post, path + "/{id}/resume", resume),
            .permitted(.subscriptionsRead, .get, path + "/{id}/quota", quota),
            .permitted(.subscriptionsRead, .get, path + "/{id}/usage", usage),
            .permitted(.subscriptionsRead, .get, path + "/{id}/pricing", pricing),
        ]
    }

    private var answers: SubscriptionChanges { SubscriptionChanges(database: database, changes: changes) }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = SubscriptionFilter()
        filter.page = query.page()
        filter.statuses = query.choices("status", of: SubscriptionStatus.self)
        filter.modelIds = query.strings("modelId")
        filter.hidesInactive = true
        let userId = query.uuid("userId")
        try query.check()
        let owner = try call.principal.owner(
            asked: userId, others: .adminSubscriptionsRead, programs: .subscriptionsRead)
        filter.userIds = owner.map { [$0] } ?? []
        let page = try await store.list(filter, in: database)
        let views = try await presenter.views(of: page.items, in: database)
        return .json(PagedAnswer(items: views, page: filter.page, total: page.total))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let subscription = try await visible(call)
        let view = try await presenter.view(of: ChangedSubscription(subscription: subscription), in: database)
        return .json(view)
    }

    private func statistics(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await store.statistics(ofUser: call.principal.user?.id, in: database)
        return .json(SubscriptionStatisticsView(found: found))
    }

    private func quota(_ call: AuthenticatedCall) async throws -> Response {
        .json(SubscriptionQuotaView(subscription: try await visible(call)))
    }

    private func usage(_ call: AuthenticatedCall) async throws -> Response {
        .json(SubscriptionUsageView(subscription: try await visible(call)))
    }

    private func pricing(_ call: AuthenticatedCall) async throws -> Response {
        let subscription = try await visible(call)
        let month = BillingMonth(containing: Date())
        let range = UsageFilter(
            from: month.start, to: month.end.previous, userId: subscription.userId, modelId: subscription.modelId)
        let summary = try await PostgresUsageStore().summary(range, in: database)
        let view = try await presenter.view(of: ChangedSubscription(subscription: subscription), in: database)
        return .json(
            SubscriptionPricingView(
                subscription: subscription, model: view.model, totals: summary.totals, month: month))
    }

    /// The subscription, if it exists for the caller.
    private func visible(
        _ call: AuthenticatedCall, others permission: Permission = .adminSubscriptionsRead,
        programs: Permission = .subscriptionsRead
    ) async throws -> Subscription {
        let id = try call.call.uuid("id")
        guard let subscription = try await store.find(id, in: database),
            call.principal.sees(thingsOf: subscription.userId, others: permission, programs: programs)
        else {
            throw APIError.notFound("subscription", id: id.text)
        }
        return subscription
    }

    // MARK: Changing

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let request = try SubscriptionRequest(body, userId: try call.principal.requireUser().id)
        let caller = call.subscriptionCaller()
        return try await answers.perform(call, body, status: .created) { transaction in
            try await subscriptions.request(request, by: caller, in: transaction)
        }
    }

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        try await update(call) { body throws(APIError) in try SubscriptionChange(body) }
    }

    private func setQuotas(_ call: AuthenticatedCall) async throws -> Response {
        try await update(call) { body throws(APIError) in try SubscriptionChange(quotas: body) }
    }

    private func update(
        _ call: AuthenticatedCall, _ read: (JSONBody) throws(APIError) -> SubscriptionChange
    ) async throws -> Response {
        // First: a body that cannot be used must not tell that there is something to change.
        let id = try await visible(call, others: .adminSubscriptionsWrite, programs: .subscriptionsWrite).id
        let body = try await call.call.body()
        let change = try read(body)
        let caller = call.subscriptionCaller()
        return try await answers.perform(call, body) { transaction in
            try await subscriptions.update(id, change, by: caller, in: transaction)
        }
    }

    private func cancel(_ call: AuthenticatedCall) async throws -> Response {
        try await move(call) { id, _, caller, transaction in
            try await subscriptions.cancel(id, by: caller, in: transaction)
        }
    }

    private func requestReview(_ call: AuthenticatedCall) async throws -> Response {
        try await move(call) { id, _, caller, transaction in
            try await subscriptions.requestReview(id, by: caller, in: transaction)
        }
    }

    private func suspend(_ call: AuthenticatedCall) async throws -> Response {
        try await move(call) { id, reason, caller, transaction in
            try await subscriptions.suspend(id, reason: reason, by: caller, in: transaction)
        }
    }

    private func resume(_ call: AuthenticatedCall) async throws -> Response {
        try await move(call) { id, reason, caller, transaction in
            try await subscriptions.resume(id, reason: reason, by: caller, in: transaction)
        }
    }

    private func move(
        _ call: AuthenticatedCall,
        _ change:
            @escaping @Sendable (
                _ id: UUID, _ reason: String?, SubscriptionCaller, PostgresTransaction
            ) async throws -> ChangedSubscription
    ) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.text("reason", length: 0...500)
        try fields.check()
        let caller = call.subscriptionCaller()
        return try await answers.perform(call, body) { transaction in
            try await change(id, reason, caller, transaction)
        }
    }
}
