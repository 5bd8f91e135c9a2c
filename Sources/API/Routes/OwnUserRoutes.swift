import Foundation
import Hummingbird
import Jobs
import Shared

/// What people see and change of themselves.
struct OwnUserRoutes: RouteGroup {
    let database: PostgresClient
    let administration: UserAdministration
    let changes: Changes
    private let audit = PostgresAuditStore()
    private let keys = PostgresAPIKeyStore()
    private let statistics = PostgresStatisticsStore()

    init(database: PostgresClient, administration: UserAdministration, changes: Changes) {
        self.database = database
        self.administration = administration
        self.changes = changes
    }

    var routes: [Route] {
        [
            .signedIn(.get, "/api/v1/users/me", profile),
            .session(.patch, "/api/v1/users/me", update),
            .session(.get, "/api/v1/users/me/activity", activity),
            .signedIn(.get, "/api/v1/users/me/stats", stats),
        ]
    }

    private func profile(_ call: AuthenticatedCall) async throws -> Response {
        let view = ProfileView(user: try call.principal.requireUser())
        return .json(Members { view.writeMembers(to: &$0) })
    }

    private func update(_ call: AuthenticatedCall, _ user: User, _ session: UUID) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        var change = UserChange()
        change.fullName = body.change("fullName", to: fields.text("fullName", length: 0...255))
        try fields.check()
        let users = UserChanges(database: database, administration: administration, changes: changes)
        return try await users.perform(call, body, change, of: user.id, action: "PROFILE_UPDATE") {
            ProfileView(user: $0.user)
        }
    }

    private func activity(_ call: AuthenticatedCall, _ user: User, _ session: UUID) async throws -> Response {
        var query = try call.call.query()
        let page = query.auditPage()
        var filter = AuditFilter()
        filter.action = query.string("action", limit: 100)
        filter.userId = user.id
        try query.check()
        let found = try await audit.page(filter, page, in: database)
        return .json(
            PagedAnswer(
                items: found.records.map { ActivityView(record: $0) }, page: page, total: found.total,
                isPartial: found.isPartial))
    }

    private func stats(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        let counts = try await keys.counts(ofUser: user.id, in: database)
        let subscriptions = try await PostgresSubscriptionStore().counts(ofUser: user.id, in: database)
        let usage = try await statistics.usage(ofUser: user.id, in: database)
        return .json(
            Members { json in
                json.member("subscriptions") { json in
                    json.member("total", subscriptions.total)
                    json.member("active", subscriptions.active)
                    json.member("suspended", subscriptions.suspended)
                }
                json.member("apiKeys") { json in
                    json.member("total", counts.total)
                    json.member("active", counts.active)
                }
                json.member("usage") { json in
                    json.member("totalRequests", usage.totalRequests)
                    json.member("totalTokens", usage.totalTokens)
                    json.member("currentMonthRequests", usage.monthRequests)
                    json.member("currentMonthTokens", usage.monthTokens)
                }
                json.member("lastLogin", user.lastLoginAt)
                json.member("memberSince", user.createdAt)
            })
    }
}

/// Something a person did, as they see it themselves.
private struct ActivityView: JSONRepresentable {
    let record: AuditRecord

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", String(record.id))
            json.member("action", record.entry.action)
            json.member("resourceType", record.entry.resourceType)
            json.member("resourceId", record.entry.resourceId)
            json.member("ipAddress", record.entry.actor.ipAddress)
            json.member("userAgent", record.entry.actor.userAgent)
            json.member("metadata", AuditText.safe(record.entry.metadata))
            json.member("createdAt", record.createdAt)
        }
    }
}
