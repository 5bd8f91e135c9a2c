import Foundation
import Hummingbird
import Jobs
import Shared

/// One user's subscriptions, for administrators, who can also give them some.
struct UserSubscriptionRoutes: RouteGroup {
    private static let path = "/api/v1/admin/users/{id}/subscriptions"
    /// How many one request gives.
    private static let models = 100

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
        [
            .permitted(.usersRead, .get, Self.path, list),
            .permitted(.usersWrite, .post, Self.path, assign),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        var query = try call.call.query()
        var filter = SubscriptionFilter()
        filter.page = query.page()
        filter.statuses = query.choices("status", of: SubscriptionStatus.self)
        filter.userIds = [id]
        try query.check()
        guard id != User.systemId, try await PostgresUserStore().find(id, in: database) != nil else {
            throw APIError.notFound("user", id: id.text)
        }
        let page = try await store.list(filter, in: database)
        let views = try await presenter.views(of: page.items, in: database)
        return .json(PagedAnswer(items: views, page: filter.page, total: page.total))
    }

    private func assign(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        let modelIds = fields.requiredStrings("modelIds", count: 1...Self.models, length: 1...255)
        try fields.check()
        let caller = call.subscriptionCaller(isAdministrator: true)
        let outcome = Changes.Outcome(status: .created)
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let assigned = try await subscriptions.assign(modelIds, to: id, by: caller, in: transaction)
            return Change(
                resource: AssignedSubscriptionsView(assigned: assigned),
                job: assigned.keyJobs.firstView(at: Date()))
        }
    }
}

/// What became of models that an administrator gave somebody.
private struct AssignedSubscriptionsView: ResourceBody {
    let assigned: AssignedSubscriptions

    func writeMembers(to json: inout JSONWriter) {
        json.name("created")
        json.array(assigned.created) { json, subscription in
            json.object { json in
                json.member("modelId", subscription.modelId)
                json.member("subscriptionId", subscription.id)
            }
        }
        json.name("activated")
        json.array(assigned.activated) { json, activated in
            json.object { json in
                json.member("modelId", activated.subscription.modelId)
                json.member("subscriptionId", activated.subscription.id)
                json.member("previousStatus", activated.before.rawValue)
            }
        }
        json.member("alreadyActive", assigned.alreadyActive)
        json.member("keyJobs", assigned.keyJobs.isEmpty ? nil : assigned.keyJobs.map { KeyJobView(job: $0) })
    }
}
