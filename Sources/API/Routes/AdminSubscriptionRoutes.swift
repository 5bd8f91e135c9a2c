import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Everybody's subscriptions, for administrators: requests are approved and denied, decisions taken back.
struct AdminSubscriptionRoutes: RouteGroup {
    /// How many one request decides about.
    private static let decisions = 100
    private static let reasons = 0...500

    let database: PostgresClient
    let queue: JobQueue
    let subscriptions: Subscriptions
    let changes: Changes
    private let store = PostgresSubscriptionStore()
    private let presenter = AdminSubscriptionPresenter()

    init(database: PostgresClient, queue: JobQueue, subscriptions: Subscriptions, changes: Changes) {
        self.database = database
        self.queue = queue
        self.subscriptions = subscriptions
        self.changes = changes
    }

    var routes: [Route] {
        let path = "/api/v1/admin/subscriptions"
        return [
            .permitted(.adminSubscriptionsRead, .get, "/api/v1/subscriptions/admin/all", list),
            .permitted(.adminSubscriptionsWrite, .post, "/api/v1/subscriptions/admin/reset-quotas", resetQuotas),
            .permitted(.adminSubscriptionsRead, .get, path, list),
            .permitted(.adminSubscriptionsRead, .get, path + "/stats", statistics),
            .permitted(.adminSubscriptionsWrite, .post, path + "/approve", approve),
            .permitted(.adminSubscriptionsWrite, .post, path + "/deny", deny),
            .permitted(.adminSubscriptionsWrite, .post, path + "/{id}/revert", revert),
            .permitted(.adminSubscriptionsDelete, .delete, path + "/{id}", delete),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let filter = query.adminSubscriptions()
        try query.check()
        let page = try await store.list(filter, in: database)
        let views = try await presenter.views(of: page.items, in: database)
        return .json(PagedAnswer(items: views, page: filter.page, total: page.total))
    }

    private func statistics(_ call: AuthenticatedCall) async throws -> Response {
        let found = try await store.requestStatistics(in: database)
        return .json(
            Members { json in
                json.member("pendingCount", found.pending)
                json.member("approvedToday", found.approvedToday)
                json.member("deniedToday", found.deniedToday)
                json.member("totalRequests", found.total)
            })
    }

    // MARK: Deciding

    private func approve(_ call: AuthenticatedCall) async throws -> Response {
        try await decide(.approve, call)
    }

    private func deny(_ call: AuthenticatedCall) async throws -> Response {
        try await decide(.deny, call)
    }

    private func decide(_ decision: SubscriptionDecision, _ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let ids = fields.uuids("subscriptionIds", count: 1...Self.decisions)
        let reason = fields.text("reason", length: Self.reasons)
        if decision == .deny, reason == nil, !fields.problems.contains(where: { $0.field == "reason" }) {
            fields.refuse("reason", .required, "is required")
        }
        try fields.check()
        let caller = call.subscriptionCaller(isAdministrator: true)
        let results = try await changes.performEach(call, body: body.bytes, ids: ids) { id, transaction in
            try await subscriptions.decide(decision, id, reason: reason, by: caller, in: transaction).keyJobs
        }
        let view = DecisionsView(results: results)
        let job = try await view.firstJobId.asyncFlatMap { try await queue.job(id: $0) }
        // What became of the keys does not change what was decided.
        var response = try await changes.answer(
            Change(resource: view, job: job.map { JobView($0) }), prefer: Prefer(call.request.headers),
            outcome: Changes.Outcome(isSuccess: { _ in true }))
        if results.allSatisfy(\.isReplayed) { response.headers[.idempotencyReplayed] = "true" }
        return response
    }

    private func revert(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        let name = fields.requiredString("newStatus", length: 1...20)
        let status = SubscriptionTrigger.Reversion(rawValue: name)
        if !name.isEmpty, status == nil {
            let known = SubscriptionTrigger.Reversion.allCases.map(\.rawValue).joined(separator: ", ")
            fields.refuse("newStatus", .choice, "must be one of \(known)")
        }
        let reason = fields.text("reason", length: Self.reasons)
        try fields.check()
        guard let status else { throw APIError.validation("newStatus", .required, "is required") }
        let caller = call.subscriptionCaller(isAdministrator: true)
        let answers = SubscriptionChanges(database: database, changes: changes)
        return try await answers.perform(call, body) { transaction in
            try await subscriptions.revert(id, to: status, reason: reason, by: caller, in: transaction)
        }
    }

    private func delete(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.text("reason", length: Self.reasons)
        try fields.check()
        let caller = call.subscriptionCaller(isAdministrator: true)
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let deleted = try await subscriptions.delete(id, reason: reason, by: caller, in: transaction)
            return Change(
                resource: DoneView(keyJobs: deleted.keyJobs), job: deleted.keyJobs.firstView(at: Date()))
        }
    }

    private func resetQuotas(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let userId = fields.uuid("userId")
        try fields.check()
        let caller = call.subscriptionCaller(isAdministrator: true)
        let outcome = Changes.Outcome(reload: { job in
            job.result?["reset"]?.intValue.map { ResetQuotasView(count: $0, keyJobs: []) }
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            guard let userId else {
                let (count, job) = try await subscriptions.resetAllQuotas(by: caller, in: transaction)
                return Change(
                    resource: ResetQuotasView(count: count, keyJobs: []),
                    job: JobView(job, QuotaForgive.self, resource: nil, at: Date()))
            }
            let (count, keyJobs) = try await subscriptions.resetQuotas(ofUser: userId, by: caller, in: transaction)
            return Change(
                resource: ResetQuotasView(count: count, keyJobs: keyJobs), job: keyJobs.firstView(at: Date()))
        }
    }
}

extension Optional where Wrapped: Sendable {
    fileprivate func asyncFlatMap<Value>(_ body: (Wrapped) async throws -> Value?) async rethrows -> Value? {
        guard let self else { return nil }
        return try await body(self)
    }
}
