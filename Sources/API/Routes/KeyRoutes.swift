import Foundation
import Hummingbird
import Jobs
import Shared

/// The caller's API keys; for those who may see all users, everybody's.
struct KeyRoutes: RouteGroup {
    let database: PostgresClient
    let sealer: Sealer
    let provisioning: KeyProvisioning
    let changes: Changes
    private let keys = PostgresAPIKeyStore()
    private let models = PostgresModelStore()
    private let secrets = PostgresSealedSecretStore()

    init(database: PostgresClient, sealer: Sealer, provisioning: KeyProvisioning, changes: Changes) {
        self.database = database
        self.sealer = sealer
        self.provisioning = provisioning
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys", list),
            .permitted(.apiKeysWrite, .post, "/api/v1/api-keys", create),
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys/{id}", get),
            .permitted(.apiKeysDelete, .delete, "/api/v1/api-keys/{id}", delete),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = APIKeyFilter()
        filter.page = query.page()
        filter.isActive = query.bool("isActive")
        filter.modelIds = query.strings("modelIds", count: 20)
        let userId = query.uuid("userId")
        try query.check()
        filter.userId = try call.principal.owner(asked: userId, others: .usersRead, programs: .apiKeysRead)
        let page = try await keys.list(filter, in: database)
        let known = try await models.find(Set(page.items.flatMap(\.modelIds)).sorted(), in: database)
        let now = Date()
        return .json(
            PagedAnswer(
                items: page.items.map { KeyView(key: $0, models: known, now: now) }, page: filter.page,
                total: page.total))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible(id, to: call.principal, others: .usersRead, programs: .apiKeysRead)
        let known = try await models.find(key.modelIds, in: database)
        return .json(KeyView(key: key, models: known, now: Date(), isDetailed: true))
    }

    /// The key, if the caller owns it or may deal with everybody's; else there is none.
    private func visible(
        _ id: UUID, to principal: Principal, others permission: Permission, programs: Permission
    ) async throws -> APIKey {
        guard let key = try await keys.find(id, in: database), !key.isDeleted,
            principal.sees(thingsOf: key.userId, others: permission, programs: programs)
        else {
            throw APIError.notFound("API key", id: id.text)
        }
        return key
    }

    // MARK: Changing

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let request = try KeyCreateRequest(body, userId: try call.principal.requireUser().id)
        let outcome = Changes.Outcome(
            status: .created, reload: { job in try await reloaded(job) }, secret: { try await secret(of: $0) })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let created = try await provisioning.create(request, by: call.actor, in: transaction)
            let resource = JobResource(type: "api_key", id: created.key.id.text)
            return Change(
                resource: KeyView(key: created.key, models: created.models, now: created.key.createdAt),
                job: JobView(created.job, KeyCreate.self, resource: resource, at: created.key.createdAt),
                secret: created.secret)
        }
    }

    private func delete(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        _ = try await visible(id, to: call.principal, others: .usersWrite, programs: .apiKeysDelete)
        let outcome = Changes.Outcome(reload: { _ in
            try await keys.find(id, in: database).map { DeletedKeyView(key: $0) }
        })
        return try await changes.perform(call, outcome: outcome) { transaction in
            let (key, job) = try await provisioning.revoke(id, reason: .deleted, by: call.actor, in: transaction)
            let resource = JobResource(type: "api_key", id: id.text)
            return Change(
                resource: DeletedKeyView(key: key),
                job: job.map { JobView($0, KeyRevoke.self, resource: resource, at: key.updatedAt) })
        }
    }

    private func reloaded(_ job: JobSnapshot) async throws -> KeyView? {
        guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }),
            let key = try await keys.find(id, in: database)
        else { return nil }
        return KeyView(key: key, models: try await models.find(key.modelIds, in: database), now: Date())
    }

    /// The secret that the first answer showed; nil once it is no longer kept.
    private func secret(of stored: StoredResource) async throws -> Secret? {
        guard let rowId = stored.members["id"]?.stringValue,
            let sealed = try await secrets.get(.apiKeyCreate, rowId: rowId, in: database)
        else { return nil }
        return try sealer.open(
            sealed, purpose: PostgresSealedSecretStore.Purpose.apiKeyCreate.rawValue, rowId: rowId)
    }
}

extension KeyCreateRequest {
    private static let amounts = 0.0...9_999_999_999.0
    private static let counts = 0...Int(Int32.max)

    /// Reads the body of a request for a key. Throws `APIError` 400 with every field that cannot be used.
    fileprivate init(_ body: JSONBody, userId: UUID) throws(APIError) {
        var fields = body.fields
        let modelIds = fields.requiredStrings("modelIds", count: 1...500, length: 1...255)
        self.init(userId: userId, modelIds: modelIds, name: fields.string("name", length: 1...255))
        teamId = fields.uuid("teamId")
        expiresAt = fields.date("expiresAt")
        limits.spending.maxBudget = fields.amount("maxBudget", in: Self.amounts)
        limits.spending.budgetDuration = fields.string("budgetDuration", length: 1...20)
        limits.spending.tpmLimit = fields.int("tpmLimit", in: Self.counts)
        limits.spending.rpmLimit = fields.int("rpmLimit", in: Self.counts)
        limits.softBudget = fields.amount("softBudget", in: Self.amounts)
        limits.maxParallelRequests = fields.int("maxParallelRequests", in: 1...Int(Int32.max))
        limits.modelMaxBudget = fields.object("modelMaxBudget").map(JSONValue.object)
        limits.modelRpmLimit = fields.object("modelRpmLimit").map(JSONValue.object)
        limits.modelTpmLimit = fields.object("modelTpmLimit").map(JSONValue.object)
        metadata = .object(fields.object("metadata") ?? [:])
        tags = fields.strings("tags", count: 0...50, length: 1...100) ?? []
        let allowed = fields.object("permissions") ?? [:]
        if allowed.contains(where: { $0.value.boolValue == nil }) {
            fields.refuse("permissions", .type, "must hold only true and false")
        }
        permissions = .object(allowed)
        if fields.strings("guardrails", count: 0...50, length: 1...100)?.isEmpty == false {
            // Ignoring them would leave the key less guarded than its owner thinks.
            fields.refuse("guardrails", .choice, "cannot be set through this API; leave it out")
        }
        try fields.check()
    }
}
