import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Many keys at once: asked for, followed, repeated, stopped, prolonged and revoked.
struct KeyBatchRoutes: RouteGroup {
    static let path = "/api/v1/admin/bulk/keys"
    /// Batches whose keys are counted for one page.
    private static let longestPage = 50

    let database: PostgresClient
    let queue: JobQueue
    let batches: KeyBatches
    let changes: Changes
    let settings: APISettings
    private let store = PostgresKeyBatchStore()
    private let stored = PostgresSettingStore()

    init(
        database: PostgresClient, queue: JobQueue, batches: KeyBatches, changes: Changes, settings: APISettings
    ) {
        self.database = database
        self.queue = queue
        self.batches = batches
        self.changes = changes
        self.settings = settings
    }

    var routes: [Route] {
        [
            .permitted(.adminAPIKeys, .post, Self.path, create),
            .permitted(.adminAPIKeys, .get, Self.path, list),
            .permitted(.adminAPIKeys, .get, Self.path + "/{id}", get),
            .permitted(.adminAPIKeys, .get, Self.path + "/{id}/items", items),
            .permitted(.adminAPIKeys, .post, Self.path + "/{id}/retry", retry),
            .permitted(.adminAPIKeys, .post, Self.path + "/{id}/cancel", cancel),
            .permitted(.adminAPIKeys, .post, Self.path + "/{id}/extend", extend),
            .permitted(.adminAPIKeys, .post, Self.path + "/{id}/revoke", revoke),
        ]
    }

    // MARK: Asking

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let form = try await call.call.keyBatchForm()
        let caller = call.subscriptionCaller(isAdministrator: true)
        let outcome = Changes.Outcome(
            status: .created,
            reload: { job in
                guard let id = job.resource.flatMap({ UUID(uuidString: $0.id) }) else { return nil }
                return try await view(id)
            })
        return try await changes.perform(call, body: form.bytes, outcome: outcome) { transaction in
            let limits = try await stored.limitsOfNewUsers(otherwise: settings.defaultLimits, in: transaction)
            var request = KeyBatchRequest(
                name: form.name, template: form.template, labels: form.labels, subscribes: form.subscribes,
                people: form.people,
                newcomers: KeyBatchNewcomers(
                    provider: SignIn.aheadProvider, roles: settings.defaultRoles, limits: limits),
                mayMakePeople: call.principal.may(.usersWrite))
            request.maySubscribe = call.principal.may(.adminSubscriptionsWrite)
            request.templatePath = form.templatePath
            let (batch, job) = try await batches.create(request, by: caller, in: transaction)
            let view = try await KeyBatchView.load(batch, in: transaction)
            guard let job else {
                // The batch was there before.
                guard let jobId = batch.jobId, let known = try await queue.job(id: jobId, in: transaction) else {
                    return Change(resource: view, job: nil)
                }
                return Change(resource: view, job: JobView(known))
            }
            return Change(resource: view, job: Self.view(of: job, KeysBulk.self, batch))
        }
    }

    private static func view<Kind: JobKind>(
        of job: EnqueuedJob, _ kind: Kind.Type, _ batch: KeyBatch
    ) -> JobView {
        JobView(job, kind, resource: JobResource(type: "key_batch", id: batch.id.text), at: Date())
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let page = query.page(maxLimit: Self.longestPage)
        let name = query.string("name", limit: 100)
        try query.check()
        let found = try await store.list(named: name, page, in: database)
        let counts = try await store.counts(of: found.items.map(\.id), in: database)
        return .json(
            PagedAnswer(
                items: found.items.map { KeyBatchView(batch: $0, counts: counts[$0.id] ?? KeyBatchCounts()) },
                page: page, total: found.total))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let batch = try await call.keyBatch(in: database)
        return .json(try await KeyBatchView.load(batch, in: database))
    }

    private func items(_ call: AuthenticatedCall) async throws -> Response {
        let batch = try await call.keyBatch(in: database)
        var query = try call.call.query()
        let page = query.page(maxLimit: 1000, defaultLimit: 100)
        let statuses = query.choices("status", of: KeyBatchItemStatus.self)
        if statuses.count > 1 { query.refuse("status", .choice, "must be one status") }
        try query.check()
        let found = try await store.items(of: batch.id, status: statuses.first, page, in: database)
        return .json(
            PagedAnswer(items: found.items.map { KeyBatchItemView(item: $0) }, page: page, total: found.total))
    }

    private func view(_ id: UUID) async throws -> KeyBatchView? {
        guard let batch = try await store.find(id, in: database) else { return nil }
        return try await KeyBatchView.load(batch, in: database)
    }

    // MARK: Changing

    private func retry(_ call: AuthenticatedCall) async throws -> Response {
        try await change(call, try await call.call.body(), KeysBulk.self) { id, actor, transaction in
            try await batches.retry(
                id, mayMakePeople: call.principal.may(.usersWrite),
                maySubscribe: call.principal.may(.adminSubscriptionsWrite), by: actor, in: transaction)
        }
    }

    private func cancel(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let isRevoking = query.bool("revoke") ?? false
        try query.check()
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.string("reason", length: 0...500)
        try fields.check()
        return try await change(call, body, KeysBulkRevoke.self) { id, actor, transaction in
            try await batches.cancel(id, revoking: isRevoking, reason: reason, by: actor, in: transaction)
        }
    }

    private func extend(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let end = try fields.requiredEnd()
        try fields.check()
        return try await change(call, body, KeysBulkExtend.self) { id, actor, transaction in
            try await batches.extend(batch: id, to: end ?? .distantPast, by: actor, in: transaction)
        }
    }

    private func revoke(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.string("reason", length: 0...500)
        try fields.check()
        return try await change(call, body, KeysBulkRevoke.self) { id, actor, transaction in
            try await batches.revoke(batch: id, reason: reason, by: actor, in: transaction)
        }
    }

    private func change<Kind: JobKind>(
        _ call: AuthenticatedCall, _ body: JSONBody, _ kind: Kind.Type,
        _ change: @escaping @Sendable (UUID, AuditActor, PostgresTransaction) async throws -> (KeyBatch, EnqueuedJob?)
    ) async throws -> Response {
        let id = try call.call.uuid("id")
        let outcome = Changes.Outcome(reload: { _ in try await view(id) })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let (batch, job) = try await change(id, call.actor, transaction)
            return Change(
                resource: try await KeyBatchView.load(batch, in: transaction),
                job: job.map { Self.view(of: $0, kind, batch) })
        }
    }
}

extension AuthenticatedCall {
    /// The batch that the path names.
    func keyBatch(in database: PostgresClient) async throws -> KeyBatch {
        let id = try call.uuid("id")
        guard let batch = try await PostgresKeyBatchStore().find(id, in: database) else {
            throw APIError.notFound("batch of keys", id: id.text)
        }
        return batch
    }
}
