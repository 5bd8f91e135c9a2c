import Foundation
import Hummingbird
import Jobs
import Shared

/// Users, for administrators: made ahead of their first sign-in, changed, limited, deactivated and taken back.
struct AdminUserRoutes: RouteGroup {
    /// How many people the list for choosing one holds.
    private static let choiceLimit = 1000

    let database: PostgresClient
    let provisioning: UserProvisioning
    let administration: UserAdministration
    let changes: Changes
    let settings: APISettings
    private let users = PostgresUserStore()
    private let keys = PostgresAPIKeyStore()
    private let stored = PostgresSettingStore()

    init(
        database: PostgresClient, provisioning: UserProvisioning, administration: UserAdministration,
        changes: Changes, settings: APISettings
    ) {
        self.database = database
        self.provisioning = provisioning
        self.administration = administration
        self.changes = changes
        self.settings = settings
    }

    var routes: [Route] {
        [
            .permitted(.usersRead, .get, "/api/v1/admin/users", list),
            .permitted(.usersWrite, .post, "/api/v1/admin/users", create),
            .permitted(.usersRead, .get, "/api/v1/admin/users/{id}", get),
            .permitted(.usersWrite, .put, "/api/v1/admin/users/{id}", update),
            .permitted(.usersDelete, .delete, "/api/v1/admin/users/{id}", deactivate),
            .permitted(.usersWrite, .post, "/api/v1/admin/users/{id}/reactivate", reactivate),
            .permitted(.usersWrite, .patch, "/api/v1/admin/users/{id}/budget-limits", setLimits),
        ]
    }

    // MARK: Reading

    /// The page, and beside it the people as LiteMaaS's filters want them: without a page asked for, all of them.
    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let isPaged = query.string("page") != nil || query.string("limit") != nil
        var filter = query.userFilter()
        try query.check()
        let page = filter.page
        if !isPaged { filter.page = PageRequest(size: Self.choiceLimit) }
        let found = try await users.list(filter, in: database)
        let data = found.items.prefix(page.size).map(UserListItem.init)
        return .json(
            Members { json in
                PagedAnswer(items: data, page: page, total: found.total).writeMembers(to: &json)
                json.member("users", found.items.map { UserChoice(user: $0) })
                json.member("total", found.total)
            })
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        guard id != User.systemId, let user = try await users.find(id, in: database) else {
            throw APIError.notFound("user", id: id.text)
        }
        return .json(
            UserDetailView(
                user: user, deactivatedAt: try await users.deactivatedAt(id, in: database),
                keys: try await keys.counts(ofUser: id, in: database),
                subscriptions: try await PostgresSubscriptionStore().counts(ofUser: id, in: database),
                conflict: try await users.conflict(of: id, in: database),
                spend: try await users.spend(of: id, in: database)))
    }

    // MARK: Making

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let asked = try newUser(body)
        guard Set(asked.roles).isSubset(of: call.principal.givableRoles) else {
            throw ProvisioningError(
                .roleBeyondOwn, "Nobody gives a role that allows more than they may themselves.", field: "roles")
        }
        let outcome = Changes.Outcome(
            status: .created,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
                return try await users.find(id, in: database).map { UserView(user: $0) }
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            var new = asked
            new.limits = try await stored.limitsOfNewUsers(otherwise: settings.defaultLimits, in: transaction)
            let (user, job) = try await provisioning.create(new, by: call.actor, in: transaction)
            let resource = JobResource(type: "user", id: user.id.text)
            return Change(
                resource: UserView(user: user),
                job: JobView(job, UserProvision.self, resource: resource, at: user.createdAt))
        }
    }

    private func newUser(_ body: JSONBody) throws(APIError) -> NewUser {
        var fields = body.fields
        let username = fields.requiredString("username", length: 1...255)
        let email = fields.requiredAddress("email")
        let roles = fields.roles()
        let fullName = fields.text("fullName", length: 0...255)
        let isActive = fields.bool("isActive") ?? true
        try fields.check()
        return NewUser(
            id: UUID(), username: username, email: email, fullName: fullName,
            oauthProvider: SignIn.aheadProvider, oauthId: email.lowercased(), roles: roles ?? settings.defaultRoles,
            roleSource: .grant, isActive: isActive)
    }

    // MARK: Changing

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var fields = body.fields
        var change = UserChange()
        change.fullName = body.change("fullName", to: fields.text("fullName", length: 0...255))
        change.roles = fields.roles()
        change.isActive = fields.bool("isActive")
        try fields.check()
        if change.isActive == false { try call.principal.require(.usersDelete) }
        guard change != UserChange() else {
            throw APIError.validation("body", .required, "must name at least one of fullName, roles, isActive")
        }
        return try await perform(call, body, change, of: id, action: "USER_UPDATE") { ChangedUserView(state: $0) }
    }

    private func deactivate(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        var change = UserChange()
        change.isActive = false
        let wanted = change
        return try await changes.perform(call, outcome: Changes.Outcome()) { transaction in
            let changed = try await administration.change(
                id, wanted, action: "USER_DEACTIVATE", giving: call.principal.givableRoles, by: call.actor,
                in: transaction)
            return Change(resource: DeactivatedUserView(changed: changed), job: changed.view)
        }
    }

    private func reactivate(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        var change = UserChange()
        change.isActive = true
        return try await perform(call, body, change, of: id, action: "USER_REACTIVATE") { ChangedUserView(state: $0) }
    }

    private func setLimits(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let body = try await call.call.body()
        return try await perform(call, body, try body.limitChange(), of: id, action: "USER_BUDGET_UPDATE") {
            UserLimitsView(user: $0.user)
        }
    }

    private func perform(
        _ call: AuthenticatedCall, _ body: JSONBody, _ change: UserChange, of id: UUID, action: String,
        view: @escaping @Sendable (ChangedUserState) -> any ResourceBody
    ) async throws -> Response {
        let users = UserChanges(database: database, administration: administration, changes: changes)
        return try await users.perform(call, body, change, of: id, action: action, view: view)
    }
}

/// A person to choose.
private struct UserChoice: JSONRepresentable {
    let user: User

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("userId", user.id)
            json.member("username", user.username)
            json.member("email", user.email)
        }
    }
}
