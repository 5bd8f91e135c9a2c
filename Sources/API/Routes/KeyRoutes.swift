import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// The caller's API keys; for those who may see all users, everybody's.
struct KeyRoutes: RouteGroup {
    let database: PostgresClient
    let sealer: Sealer
    let provisioning: KeyProvisioning
    let changes: Changes
    private let visible: VisibleKeys
    private let secrets = PostgresSealedSecretStore()
    private let subscriptions = PostgresSubscriptionStore()

    init(database: PostgresClient, sealer: Sealer, provisioning: KeyProvisioning, changes: Changes) {
        self.database = database
        self.sealer = sealer
        self.provisioning = provisioning
        self.changes = changes
        visible = VisibleKeys(database: database)
    }

    var routes: [Route] {
        [
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys", list),
            .permitted(.apiKeysWrite, .post, "/api/v1/api-keys", create),
            .permitted(.apiKeysRead, .get, "/api/v1/api-keys/{id}", get),
            .permitted(.apiKeysWrite, .patch, "/api/v1/api-keys/{id}", update),
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
        filter.subscriptionId = query.uuid("subscriptionId")
        let userId = query.uuid("userId")
        try query.check()
        filter.userId = try call.principal.owner(asked: userId, others: .usersRead, programs: .apiKeysRead)
        return .json(try await visible.page(filter))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersRead, programs: .apiKeysRead)
        return .json(try await visible.view(of: key, isDetailed: true))
    }

    // MARK: Creating

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let user = try call.principal.requireUser()
        let subscription = try await legacySubscription(body, of: user)
        var request = try KeyCreateRequest(body, userId: user.id, model: subscription?.modelId)
        request.subscriptionId = subscription?.id
        request.isSelfService = true
        let wanted = request
        let outcome = Changes.Outcome(
            status: .created,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
                return try await visible.view(id)
            },
            secret: { try await secret(of: $0) })
        var response = try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let created = try await provisioning.create(wanted, by: call.actor, in: transaction)
            return Change(created)
        }
        if subscription != nil { LegacyKeyBody.warn(&response) }
        return response
    }

    /// The subscription that an older client names in place of models.
    private func legacySubscription(_ body: JSONBody, of user: User) async throws -> Subscription? {
        var fields = body.fields
        guard !fields.has("modelIds"), let id = fields.uuid("subscriptionId") else {
            try fields.check()
            return nil
        }
        guard let subscription = try await subscriptions.find(id, in: database), subscription.userId == user.id else {
            throw APIError.notFound("subscription", id: id.text)
        }
        guard subscription.status == .active else {
            throw APIError.validation(
                "subscriptionId", .invalid,
                "is of a subscription that is \(subscription.status.rawValue), not active")
        }
        return subscription
    }

    /// The secret that the first answer showed; nil once it is no longer kept.
    private func secret(of stored: StoredResource) async throws -> Secret? {
        guard let rowId = stored.members["id"]?.stringValue,
            let sealed = try await secrets.get(.apiKeyCreate, rowId: rowId, in: database)
        else { return nil }
        return try sealer.open(
            sealed, purpose: PostgresSealedSecretStore.Purpose.apiKeyCreate.rawValue, rowId: rowId)
    }

    // MARK: Changing

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        let key = try await visible.find(id, for: call.principal, others: .usersWrite, programs: .apiKeysWrite)
        let body = try await call.call.body()
        let change = try body.keyChange()
        let isOwn = call.principal.user?.id == key.userId
        return try await changes.change(call, body, change, of: id, isSelfService: isOwn, provisioning, visible)
    }

    private func delete(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        _ = try await visible.find(id, for: call.principal, others: .usersWrite, programs: .apiKeysDelete)
        let keys = PostgresAPIKeyStore()
        let outcome = Changes.Outcome(reload: { _ in
            try await keys.find(id, in: database).map { DeletedKeyView(key: $0) }
        })
        return try await changes.perform(call, outcome: outcome) { transaction in
            let (key, job) = try await provisioning.revoke(id, reason: .deleted, by: call.actor, in: transaction)
            return Change(
                resource: DeletedKeyView(key: key), job: job.map { JobView($0, KeyRevoke.self, key: key) })
        }
    }
}

/// Bodies that name one subscription in place of models, as LiteMaaS had them first.
enum LegacyKeyBody {
    private static let guide = "Send modelIds, a list of model names, in place of subscriptionId."

    /// Tells the client that its body is of the past.
    static func warn(_ response: inout Response) {
        let headers = [
            "X-API-Deprecation-Warning": "subscriptionId is deprecated", "X-API-Migration-Guide": guide,
        ]
        for (name, value) in headers {
            if let field = HTTPField.Name(name) { response.headers[field] = value }
        }
    }
}

extension Changes {
    /// Changes a key and answers with the job that brings it to LiteLLM.
    func change(
        _ call: AuthenticatedCall, _ body: JSONBody, _ change: APIKeyChange, of id: UUID, isSelfService: Bool,
        _ provisioning: KeyProvisioning, _ visible: VisibleKeys
    ) async throws -> Response {
        let outcome = Outcome(reload: { _ in try await visible.view(id) })
        return try await perform(call, body: body.bytes, outcome: outcome) { transaction in
            let (key, job) = try await provisioning.change(
                id, change, isSelfService: isSelfService, by: call.actor, in: transaction)
            let models = try await PostgresModelStore().find(key.modelIds, in: transaction)
            return Change(
                resource: KeyView(key: key, models: models, now: key.updatedAt),
                job: job.map { JobView($0, KeyUpdate.self, key: key) })
        }
    }
}

extension Change {
    /// A key that was asked for.
    init(_ created: CreatedKey) {
        self.init(
            resource: KeyView(key: created.key, models: created.models, now: created.key.createdAt),
            job: JobView(created.job, KeyCreate.self, key: created.key), secret: created.secret)
    }
}

extension JobView {
    /// A job about a key, as it was put in.
    init<Kind: JobKind>(_ job: EnqueuedJob, _ kind: Kind.Type, key: APIKey) {
        self.init(job, kind, resource: JobResource(type: "api_key", id: key.id.text), at: key.updatedAt)
    }
}
