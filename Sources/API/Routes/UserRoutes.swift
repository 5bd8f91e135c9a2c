import Foundation
import Hummingbird
import Jobs
import Shared

/// Users, for admins: made ahead of their first sign-in.
struct UserRoutes: RouteGroup {
    let database: PostgresClient
    let provisioning: UserProvisioning
    let changes: Changes
    let settings: APISettings
    private let users = PostgresUserStore()

    init(database: PostgresClient, provisioning: UserProvisioning, changes: Changes, settings: APISettings) {
        self.database = database
        self.provisioning = provisioning
        self.changes = changes
        self.settings = settings
    }

    var routes: [Route] {
        [.permitted(.usersWrite, .post, "/api/v1/admin/users", create)]
    }

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let user = try newUser(body)
        let outcome = Changes.Outcome(
            status: .created,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
                return try await users.find(id, in: database).map { UserView(user: $0) }
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let (stored, job) = try await provisioning.create(user, by: call.actor, in: transaction)
            let resource = JobResource(type: "user", id: stored.id.text)
            return Change(
                resource: UserView(user: stored),
                job: JobView(job, UserProvision.self, resource: resource, at: stored.createdAt))
        }
    }

    private func newUser(_ body: JSONBody) throws(APIError) -> NewUser {
        var fields = body.fields
        let username = fields.requiredString("username", length: 1...255)
        let email = fields.requiredString("email", length: 3...255)
        if !email.isEmpty, !Self.isAddress(email) {
            fields.refuse("email", .format, "must be an e-mail address")
        }
        var roles: [Role] = []
        for (index, name) in (fields.strings("roles", count: 1...10, length: 1...50) ?? []).enumerated() {
            if let role = Role(spelling: name) {
                roles.append(role)
            } else {
                let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
                fields.refuse("roles[\(index)]", .choice, "must be one of \(known)")
            }
        }
        let fullName = fields.string("fullName", length: 0...255)
        let isActive = fields.bool("isActive") ?? true
        try fields.check()
        return NewUser(
            id: UUID(), username: username, email: email, fullName: fullName,
            oauthProvider: SignIn.aheadProvider, oauthId: email.lowercased(),
            roles: roles.isEmpty ? settings.defaultRoles : roles, roleSource: .grant, isActive: isActive,
            limits: settings.defaultLimits)
    }

    /// Something before and after one `@`, without spaces: whether it can be reached shows when mail is sent.
    private static func isAddress(_ text: String) -> Bool {
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && !text.contains(where: \.isWhitespace)
    }
}

/// A user as admins see them.
struct UserView: ResourceBody {
    let user: User

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", user.id)
        json.member("username", user.username)
        json.member("email", user.email)
        json.member("fullName", user.fullName)
        json.member("roles", user.roles.map(\.rawValue))
        json.member("isActive", user.isActive)
        json.member("lastLoginAt", user.lastLoginAt)
        json.member("createdAt", user.createdAt)
        json.member("maxBudget", user.limits.maxBudget)
        json.member("budgetDuration", user.limits.budgetDuration)
        json.member("tpmLimit", user.limits.tpmLimit)
        json.member("rpmLimit", user.limits.rpmLimit)
        json.member("syncStatus", user.sync.status.rawValue)
        json.member("syncError", user.sync.error.map { SyncErrorView(error: $0) })
    }
}
