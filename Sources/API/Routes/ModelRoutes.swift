import Foundation
import Hummingbird
import Jobs
import Shared

/// The model catalogue as taken over from LiteLLM.
struct ModelRoutes: RouteGroup {
    private static let pageLimit = 1000

    let database: PostgresClient
    let catalogue: ModelCatalogue
    let changes: Changes
    private let models = PostgresModelStore()

    init(database: PostgresClient, catalogue: ModelCatalogue, changes: Changes) {
        self.database = database
        self.catalogue = catalogue
        self.changes = changes
    }

    var routes: [Route] {
        [
            .openOrIdentified(.get, "/api/v1/models", list),
            .openOrIdentified(.get, "/api/v1/models/{id}", get),
            .permitted(.modelsWrite, .post, "/api/v1/models/sync", sync),
            .permitted(.modelsWrite, .post, "/api/v1/models/refresh", refresh),
            .permitted(.modelsWrite, .post, "/api/v1/admin/sync/models", sync),
        ]
    }

    private func list(_ call: Call, _ principal: Principal?) async throws -> Response {
        var query = try call.query()
        var filter = ModelFilter()
        filter.page = query.page(maxLimit: Self.pageLimit)
        filter.search = query.string("search")
        filter.provider = query.string("provider")
        filter.capability = query.string("capability")
        filter.availability = .available
        try query.check()
        var page = try await models.list(filter, in: database)
        var isSample = false
        if page.total == 0, try await models.isUntouched(in: database) {
            page = SampleModels.list(filter)
            isSample = true
        }
        let (shown, areSamples) = (page, isSample)
        let showsBackend = showsBackend(to: principal)
        return .json(
            PagedAnswer(
                items: shown.items.map { ModelView(model: $0, showsBackend: showsBackend, isSample: areSamples) },
                page: filter.page, total: shown.total))
    }

    private func get(_ call: Call, _ principal: Principal?) async throws -> Response {
        let id = try call.parameter("id")
        let showsBackend = showsBackend(to: principal)
        guard let model = try await models.find(id, in: database), model.deletedAt == nil else {
            guard let sample = SampleModels.all.first(where: { $0.id == id }),
                try await models.isUntouched(in: database)
            else { throw APIError.notFound("model", id: id) }
            return .json(ModelDetailView(model: sample, deployments: [], showsBackend: showsBackend, isSample: true))
        }
        let deployments = try await models.deployments(of: id, in: database)
        let managed = showsBackend ? try await PostgresModelSpecStore().find(id, in: database) : nil
        return .json(
            ModelDetailView(model: model, deployments: deployments, showsBackend: showsBackend, managed: managed))
    }

    private func showsBackend(to principal: Principal?) -> Bool {
        principal?.may(.adminModels) ?? false
    }

    /// The sync as older clients ask for it.
    private func refresh(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let outcome = Changes.Outcome(reload: { _ in
            let counts = try await models.counts(in: database)
            return ModelRefreshView(count: counts.available, time: counts.syncedAt ?? Date(), isDone: true)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await catalogue.requestSync(action: "MODELS_REFRESH", by: call.actor, in: transaction)
            let now = Date()
            return Change(
                resource: ModelRefreshView(count: try await models.counts(in: transaction).available, time: now),
                job: JobView(
                    job, ModelSync.self, resource: JobResource(type: "model_catalogue", id: "all"), at: now))
        }
    }

    private func sync(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let force = fields.bool("forceUpdate") ?? fields.bool("forceSync") ?? false
        let markUnavailable = fields.bool("markUnavailable") ?? true
        try fields.check()
        let outcome = Changes.Outcome(reload: { job in
            guard let (record, finishedAt) = try await models.lastSync(in: database) else { return nil }
            return ModelSyncView(jobId: job.id, startedAt: job.createdAt, record: record, finishedAt: finishedAt)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await catalogue.requestSync(
                forceUpdate: force, markUnavailable: markUnavailable, by: call.actor, in: transaction)
            let known = try await models.lastSync(in: transaction)?.record.total ?? 0
            let now = Date()
            return Change(
                resource: ModelSyncView(jobId: job.id, startedAt: now, known: known),
                job: JobView(
                    job, ModelSync.self, resource: JobResource(type: "model_catalogue", id: "all"), at: now))
        }
    }
}

/// The answer of a refresh: how many models can be used, and since when that is known.
struct ModelRefreshView: ResourceBody {
    let count: Int
    let time: Date
    var isDone = false

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", isDone ? "Models refreshed" : "Models will be read from LiteLLM")
        json.member("modelsCount", count)
        json.member("refreshedAt", time)
    }
}

/// A run of the model sync: the answer of both routes that ask for one.
struct ModelSyncView: ResourceBody {
    let jobId: Int64
    let startedAt: Date
    /// How many models there were before.
    var known = 0
    /// Nil while it runs.
    var record: ModelSyncRecord?
    var finishedAt: Date?

    func writeMembers(to json: inout JSONWriter) {
        json.member("success", record?.success ?? true)
        json.member("totalModels", record?.total ?? known)
        json.member("newModels", record?.added ?? 0)
        json.member("updatedModels", record?.updated ?? 0)
        json.member("unavailableModels", record?.unavailable ?? 0)
        json.member("errors", record?.problems ?? [])
        json.member("syncedAt", finishedAt ?? startedAt)
        json.member("syncId", String(jobId))
        json.member("startedAt", startedAt)
        json.member("completedAt", finishedAt)
        json.member("results") { json in
            json.member("modelsAdded", record?.added ?? 0)
            json.member("modelsUpdated", record?.updated ?? 0)
            json.member("modelsRemoved", record?.unavailable ?? 0)
            json.member("total", record?.total ?? known)
        }
        json.member("syncStatus", record == nil ? "pending" : "synced")
    }
}
