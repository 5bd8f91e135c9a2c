import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// API keys of other people, for administrators.
struct AdminKeyRoutes: RouteGroup {
    /// Keys that a filter offers at once.
    private static let choiceLimit = 1000

    let database: PostgresClient
    let provisioning: KeyProvisioning
    let subscriptions: Subscriptions
    let changes: Changes
    private let visible: VisibleKeys
    private let keys = PostgresAPIKeyStore()
    private let users = PostgresUserStore()

    init(
        database: PostgresClient, provisioning: KeyProvisioning, subscriptions: Subscriptions, changes: Changes
    ) {
        self.database = database
        self.provisioning = provisioning
        self.subscriptions = subscriptions
        self.changes = changes
        visible = VisibleKeys(database: database)
    }

    var routes: [Route] {
        [
            .permitted(.adminAPIKeys, .get, "/api/v1/api-keys/admin/all", all),
            .permitted(.adminAPIKeys, .post, "/api/v1/api-keys/admin/cleanup-expired", cleanUpExpired),
            .permitted(.adminUsage, .get, "/api/v1/admin/api-keys", choices),
            .permitted(.usersRead, .get, "/api/v1/admin/users/{id}/api-keys", list),
            .permitted(.usersWrite, .post, "/api/v1/admin/users/{id}/api-keys", create),
            .permitted(.usersWrite, .patch, "/api/v1/admin/users/{id}/api-keys/{keyId}", update),
            .permitted(.usersWrite, .delete, "/api/v1/admin/users/{id}/api-keys/{keyId}", revoke),
            .permitted(.usersWrite, .post, "/api/v1/admin/users/{id}/api-keys/{keyId}/reset-spend", resetSpend),
        ]
    }

    // MARK: Everybody's

    private func all(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = APIKeyFilter()
        filter.page = query.page()
        filter.isActive = query.bool("isActive")
        filter.modelIds = query.strings("modelIds", count: 20)
        filter.labels = query.strings("labels", limit: KeyLabels.length, count: KeyLabels.limit)
        filter.userId = query.uuid("userId")
        try query.check()
        return .json(try await visible.page(filter))
    }

    /// Keys of some people to choose from, deleted ones included: they have used something too.
    private func choices(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = APIKeyFilter()
        filter.userIds = query.uuids("userIds")
        filter.includesDeleted = true
        filter.page = PageRequest(size: Self.choiceLimit)
        try query.check()
        let page =
            filter.userIds?.isEmpty == false ? try await keys.list(filter, in: database) : Page(items: [], total: 0)
        let people = try await users.find(Array(Set(page.items.map(\.userId))), in: database)
        let owners = Dictionary(people.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        return .json(
            Members { json in
                json.member("apiKeys", page.items.map { KeyChoice(key: $0, owner: owners[$0.userId]) })
                json.member("total", page.total)
            })
    }

    private func cleanUpExpired(_ call: AuthenticatedCall) async throws -> Response {
        let outcome = Changes.Outcome(reload: { job in CleanupView(count: job.cleanedKeys) })
        return try await changes.perform(call, outcome: outcome) { transaction in
            let job = try await provisioning.cleanUpExpired(by: call.actor, in: transaction)
            return Change(
                resource: CleanupView(count: nil),
                job: JobView(job, KeysExpire.self, resource: nil, at: Date()))
        }
    }

    // MARK: One user's

    private func user(_ call: AuthenticatedCall) async throws -> User {
        let id = try call.call.uuid("id")
        guard id != User.systemId, let user = try await users.find(id, in: database) else {
            throw APIError.notFound("user", id: id.text)
        }
        return user
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        let user = try await user(call)
        var query = try call.call.query()
        var filter = APIKeyFilter()
        filter.userId = user.id
        filter.page = query.page()
        filter.isActive = query.bool("isActive")
        try query.check()
        return .json(try await visible.page(filter))
    }

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let user = try await user(call)
        let body = try await call.call.body()
        // For oneself there is no decision of another person behind it: then as everybody does.
        let isOwn = call.principal.user?.id == user.id
        var wanted = try KeyCreateRequest(body, userId: user.id)
        wanted.isSelfService = isOwn
        let request = wanted
        let outcome = Changes.Outcome(
            status: .created,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
                return try await visible.view(id)
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            if !isOwn {
                let caller = call.subscriptionCaller(isAdministrator: true)
                _ = try await subscriptions.assign(request.modelIds, to: user.id, by: caller, in: transaction)
            }
            return Change(
                try await provisioning.create(
                    request, action: "ADMIN_CREATE_API_KEY", by: call.actor, in: transaction))
        }
    }

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let key = try await visible.find(try call.call.uuid("keyId"), of: try await user(call).id)
        let body = try await call.call.body()
        return try await changes.change(
            call, body, try body.keyChange(), of: key.id, isSelfService: call.principal.user?.id == key.userId,
            provisioning, visible)
    }

    private func revoke(_ call: AuthenticatedCall) async throws -> Response {
        let key = try await visible.find(try call.call.uuid("keyId"), of: try await user(call).id)
        var query = try call.call.query()
        let isPermanent = query.bool("permanent") ?? false
        try query.check()
        let body = try await call.call.body()
        var fields = body.fields
        let why = fields.string("reason", length: 0...500)
        try fields.check()
        let outcome = Changes.Outcome(reload: { _ in
            try await keys.find(key.id, in: database).map { RevokedKeyView(key: $0) }
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let (key, job) = try await provisioning.revoke(
                key.id, reason: isPermanent ? .deleted : .revoked, note: why, by: call.actor, in: transaction)
            return Change(resource: RevokedKeyView(key: key), job: job.map { JobView($0, KeyRevoke.self, key: key) })
        }
    }

    private func resetSpend(_ call: AuthenticatedCall) async throws -> Response {
        let key = try await visible.find(try call.call.uuid("keyId"), of: try await user(call).id)
        return try await changes.resetSpend(call, of: key.id, provisioning, database)
    }
}

/// A key to choose, with its owner.
private struct KeyChoice: JSONRepresentable {
    let key: APIKey
    let owner: User?

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("id", key.id)
            json.member("name", key.name)
            json.member("keyAlias", key.alias)
            json.member("userId", key.userId)
            json.member("username", owner?.username)
            json.member("email", owner?.email)
        }
    }
}

/// A key that an administrator took away.
struct RevokedKeyView: ResourceBody {
    let key: APIKey

    func writeMembers(to json: inout JSONWriter) {
        json.member("success", true)
        DeletedKeyView(key: key).writeMembers(to: &json)
    }
}

/// What a cleanup of expired keys did.
struct CleanupView: ResourceBody {
    /// Nil until it has ended.
    let count: Int?

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", count == nil ? "Expired keys are being cleaned up" : "Expired keys were cleaned up")
        json.member("cleanedCount", count ?? 0)
    }
}

extension JobSnapshot {
    /// What a job of kind `keys.expire` reports.
    fileprivate var cleanedKeys: Int? { result?["cleaned"]?.intValue }
}
