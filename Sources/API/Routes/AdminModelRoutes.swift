import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared

/// Models, for administrators: made, changed and deleted in LiteLLM by jobs, tried before, and let go with notice.
struct AdminModelRoutes: RouteGroup {
    let database: PostgresClient
    let administration: ModelAdministration
    let retirement: ModelRetirement
    let queue: JobQueue
    let probe: EndpointProbe
    let sealer: Sealer
    let changes: Changes
    private let models = PostgresModelStore()
    private let specs = PostgresModelSpecStore()
    private let secrets = PostgresSealedSecretStore()
    private let plans = PostgresModelRetirementStore()

    init(
        database: PostgresClient, queue: JobQueue, sealer: Sealer, probe: EndpointProbe, changes: Changes
    ) {
        self.database = database
        self.queue = queue
        self.sealer = sealer
        self.probe = probe
        self.changes = changes
        administration = ModelAdministration(queue: queue, sealer: sealer)
        retirement = ModelRetirement(queue: queue)
    }

    var routes: [Route] {
        [
            .permitted(.adminModels, .post, "/api/v1/admin/models/test", test),
            .permitted(.adminModels, .post, "/api/v1/admin/models", create),
            .permitted(.adminModels, .put, "/api/v1/admin/models/{id}", update),
            .permitted(.adminModels, .delete, "/api/v1/admin/models/{id}", delete),
            .permitted(.adminModels, .get, "/api/v1/admin/models/{id}/retirement", showRetirement),
            .permitted(.adminModels, .post, "/api/v1/admin/models/{id}/retirement/undo", undoRetirement),
        ]
    }

    // MARK: Changing

    private func create(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let model = try ModelInput.newModel(body)
        let outcome = outcome(of: model.modelId, status: .created, message: "Model created")
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await administration.create(model, by: call.actor, in: transaction)
            return Change(
                resource: AdminModelView(
                    model: changed.model, managed: changed.managed, message: "Model will be created in LiteLLM"),
                job: changed.view)
        }
    }

    private func update(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.parameter("id")
        let body = try await call.call.body()
        let change = try ModelInput.change(body, of: id)
        let outcome = outcome(of: id, status: .ok, message: "Model updated")
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await administration.change(id, change, by: call.actor, in: transaction)
            return Change(
                resource: AdminModelView(
                    model: changed.model, managed: changed.managed,
                    message: changed.job == nil ? "Model updated" : "Model will be updated"),
                job: changed.view)
        }
    }

    private func delete(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.parameter("id")
        let outcome = Changes.Outcome(reload: { _ in Deleted(message: "Model deleted") })
        return try await changes.perform(call, outcome: outcome) { transaction in
            let changed = try await administration.delete(id, by: call.actor, in: transaction)
            return Change(resource: Deleted(message: "Model will be deleted in LiteLLM"), job: changed.view)
        }
    }

    private func outcome(of id: String, status: HTTPResponse.Status, message: String) -> Changes.Outcome {
        Changes.Outcome(
            status: status,
            reload: { _ in
                guard let model = try await models.find(id, in: database) else { return nil }
                return AdminModelView(
                    model: model, managed: try await specs.find(id, in: database), message: message)
            })
    }

    private struct Deleted: ResourceBody {
        let message: String

        func writeMembers(to json: inout JSONWriter) {
            json.member("success", true)
            json.member("message", message)
        }
    }

    // MARK: Retirement

    private func showRetirement(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.parameter("id")
        var query = try call.call.query()
        let page = query.page()
        try query.check()
        guard let model = try await models.find(id, in: database) else { throw APIError.notFound("model", id: id) }
        let plan = try await plans.find(id, in: database)
        var job: JobSnapshot?
        if let plan { job = try await queue.job(id: plan.jobId) }
        return .json(
            RetirementView(
                model: model, plan: plan, job: job, impact: try await plans.impact(of: id, page: page, in: database),
                page: page))
    }

    private func undoRetirement(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.parameter("id")
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            let plan = try await retirement.undo(id, by: call.actor, in: transaction)
            return Change(resource: UndoneRetirementView(modelId: id, plan: plan, undoneAt: Date()), job: nil)
        }
    }

    // MARK: Test

    private func test(_ call: AuthenticatedCall) async throws -> Response {
        var fields = try await call.call.body().fields
        let base = ModelInput.base(&fields)
        if !fields.has("api_base") { fields.refuse("api_base", .required, "is required") }
        let model = fields.requiredString("backend_model_name", length: 1...255)
        let id = fields.text("model_id", length: 0...255)
        let converts = fields.bool("supports_convert") ?? false
        var key = ModelInput.key(&fields)
        try fields.check()
        guard let base else { throw APIError.validation("api_base", .required, "is required") }
        if key == nil, let id {
            guard let stored = try await storedKey(of: id, for: base) else {
                return .json(
                    EndpointProbe.Report(
                        outcome: .missingStoredKey, message: "No provider's key is stored for this model; send api_key."
                    ))
            }
            key = stored
        }
        return .json(await probe.ask(base, model: model, key: key, converts: converts))
    }

    /// The key that rests here for the model, which goes nowhere but to the model's own endpoint.
    private func storedKey(of id: String, for base: String) async throws -> Secret? {
        guard let managed = try await specs.find(id, in: database), managed.hasKey else { return nil }
        guard managed.spec?.apiBase?.trimmingSuffix("/") == base.trimmingSuffix("/") else {
            throw APIError.validation(
                "api_base", .invalid, "must be the model's own when its stored key is used; or send api_key")
        }
        let purpose = PostgresSealedSecretStore.Purpose.modelProviderKey
        guard let sealed = try await secrets.get(purpose, rowId: id, in: database) else { return nil }
        return try sealer.open(sealed, purpose: purpose.rawValue, rowId: id)
    }
}
