import Foundation
import Hummingbird
import Jobs
import Shared

/// Users, as LiteMaaS's front end lists them and gives them roles.
struct UserRoutes: RouteGroup {
    let database: PostgresClient
    let administration: UserAdministration
    let changes: Changes
    private let users = PostgresUserStore()

    init(database: PostgresClient, administration: UserAdministration, changes: Changes) {
        self.database = database
        self.administration = administration
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.usersRead, .get, "/api/v1/users", list),
            .permitted(.usersWrite, .patch, "/api/v1/users/{id}", setRoles),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let filter = query.userFilter()
        try query.check()
        let page = try await users.list(filter, in: database)
        return .json(PagedAnswer(items: page.items.map(UserListItem.init), page: filter.page, total: page.total))
    }

    private func setRoles(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        var change = UserChange()
        change.roles = fields.roles()
        if !fields.has("roles") { fields.refuse("roles", .required, "is required") }
        try fields.check()
        let users = UserChanges(database: database, administration: administration, changes: changes)
        return try await users.perform(call, body, change, of: id, action: "USER_UPDATE") { UserView(user: $0.user) }
    }
}

extension QueryFields {
    /// Which users somebody wants to see.
    mutating func userFilter() -> UserFilter {
        var filter = UserFilter()
        filter.page = page()
        filter.search = string("search")
        if let name = string("role", limit: 50) {
            filter.role = Role(spelling: name)
            if filter.role == nil {
                refuse("role", .choice, "must be one of \(Role.allCases.map(\.rawValue).joined(separator: ", "))")
            }
        }
        filter.isActive = bool("isActive")
        if let text = string("syncStatus", limit: 50) {
            filter.syncStatus = SyncStatus(rawValue: text)
            if filter.syncStatus == nil {
                let known = SyncStatus.allCases.map(\.rawValue).joined(separator: ", ")
                refuse("syncStatus", .choice, "must be one of \(known)")
            }
        }
        return filter
    }
}
