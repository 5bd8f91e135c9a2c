import Foundation
import Hummingbird
import Jobs
import Shared

/// Where LiteLLM is not as it should be, and what people decide about it.
struct DriftRoutes: RouteGroup {
    private static let path = "/api/v1/admin/drift"

    let database: PostgresClient
    let requests: ReconciliationRequests
    let changes: Changes
    private let store = PostgresDriftStore()

    init(database: PostgresClient, requests: ReconciliationRequests, changes: Changes) {
        self.database = database
        self.requests = requests
        self.changes = changes
    }

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, Self.path, list),
            .permitted(.jobsReadAll, .get, "\(Self.path)/{id}", get),
            .permitted(.adminSystem, .post, "\(Self.path)/{id}/repair", repair),
            .permitted(.adminSystem, .post, "\(Self.path)/{id}/revoke", revoke),
            .permitted(.adminSystem, .post, "\(Self.path)/{id}/adopt", adopt),
            .permitted(.adminSystem, .post, "\(Self.path)/{id}/ignore", ignore),
            .permitted(.adminSystem, .post, "/api/v1/admin/reconcile", reconcile),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/reconciliations", walks),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = DriftFilter()
        filter.objects = query.choices("type", of: DriftObject.self)
        filter.kinds = query.choices("kind", of: DriftKind.self)
        filter.states = query.choices("state", of: DriftState.self)
        filter.reconciliationId = query.int("reconciliationId", in: 1...Int.max).map { Int64($0) }
        filter.page = query.page()
        try query.check()
        let page = try await store.list(filter, in: database)
        return try .report(ReportPage(page.items.map(DriftReport.init), filter.page, total: page.total))
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let text = try call.call.parameter("id")
        guard let id = Int64(text), let finding = try await store.find(id, in: database) else {
            throw APIError.notFound("finding", id: text)
        }
        return try .report(DriftReport(finding))
    }

    private func walks(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let page = query.page()
        try query.check()
        let walks = try await store.walks(page, in: database)
        return try .report(ReportPage(walks.items.map(ReconciliationReport.init), page, total: walks.total))
    }

    // MARK: Deciding

    private func id(_ call: AuthenticatedCall) throws -> Int64 {
        let text = try call.call.parameter("id")
        guard let id = Int64(text) else { throw APIError.notFound("finding", id: text) }
        return id
    }

    private func outcome(_ id: Int64) -> Changes.Outcome {
        Changes.Outcome(reload: { _ in try await store.find(id, in: database).map { try Report(DriftReport($0)) } })
    }

    private func repair(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: outcome(id)) { transaction in
            let (finding, job) = try await requests.repair(id, by: call.actor, in: transaction)
            return try Self.change(finding, job, DriftSettle.self)
        }
    }

    private func revoke(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        var fields = body.fields
        let confirm = fields.string("confirm", length: 1...500)
        try fields.check()
        return try await changes.perform(call, body: body.bytes, outcome: outcome(id)) { transaction in
            let (finding, job) = try await requests.revoke(id, confirm: confirm, by: call.actor, in: transaction)
            return try Self.change(finding, job, DriftSettle.self)
        }
    }

    private func adopt(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        var fields = body.fields
        let userId = fields.requiredUUID("userId")
        let name = fields.text("name", length: 0...255)
        let subscribe = fields.bool("subscribe") ?? false
        let replaceMetadata = fields.bool("replaceMetadata") ?? false
        try fields.check()
        return try await changes.perform(call, body: body.bytes, outcome: outcome(id)) { transaction in
            let (finding, job) = try await requests.adopt(
                id, for: userId, name: name, subscribe: subscribe, replaceMetadata: replaceMetadata, by: call.actor,
                in: transaction)
            return try Self.change(finding, job, KeyAdopt.self)
        }
    }

    private func ignore(_ call: AuthenticatedCall) async throws -> Response {
        let id = try id(call)
        let body = try await call.call.body()
        var fields = body.fields
        let reason = fields.text("reason", length: 0...500)
        try fields.check()
        return try await changes.perform(call, body: body.bytes, outcome: outcome(id)) { transaction in
            let finding = try await requests.ignore(id, reason: reason, by: call.actor, in: transaction)
            return Change(resource: try Report(DriftReport(finding)), job: nil)
        }
    }

    private static func change<Kind: JobKind>(
        _ finding: DriftFinding, _ job: EnqueuedJob, _ kind: Kind.Type
    ) throws -> Change {
        Change(
            resource: try Report(DriftReport(finding)),
            job: JobView(job, kind, resource: JobResource(type: "drift", id: String(finding.id)), at: Date()))
    }

    // MARK: Walking

    private func reconcile(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let scope = Self.scope(&fields)
        let dryRun = fields.bool("dryRun") ?? true
        let policy = fields.nested("policy", Self.policy) ?? ReconcilePolicy()
        try fields.check()
        let outcome = Changes.Outcome(reload: { job in
            ReconcileAnswer(scope: scope, dryRun: dryRun, policy: policy, result: job.result)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await requests.reconcile(
                scope: scope, dryRun: dryRun, policy: policy, by: call.actor, in: transaction)
            return Change(
                resource: ReconcileAnswer(scope: scope, dryRun: dryRun, policy: policy),
                job: JobView(
                    job, ReconcileOrphans.self, resource: JobResource(type: "reconciliation", id: "litellm"),
                    at: Date()))
        }
    }

    private static func scope(_ fields: inout Fields) -> [ReconcileScope]? {
        guard let names = fields.strings("scope", count: 1...10, length: 1...20) else { return nil }
        let scope = names.compactMap(ReconcileScope.init(rawValue:))
        if scope.count != names.count {
            let known = ReconcileScope.allCases.map(\.rawValue).joined(separator: ", ")
            fields.refuse("scope", .choice, "must be of \(known)")
        }
        return scope
    }

    private static func policy(_ fields: inout Fields) -> ReconcilePolicy {
        var policy = ReconcilePolicy()
        for kind in DriftKind.allCases {
            guard let text = fields.string(kind.rawValue, length: 1...20) else { continue }
            let choices = ReconcilePolicy.choices(for: kind)
            guard let action = ReconcilePolicy.Action(rawValue: text), choices?.contains(action) == true else {
                let known = choices?.map(\.rawValue).joined(separator: " or ")
                fields.refuse(
                    kind.rawValue, .choice,
                    known.map { "must be \($0)" } ?? "is for people to decide: what nobody made here is only reported")
                continue
            }
            policy.set(action, for: kind)
        }
        return policy
    }
}

/// A walk that was asked for, and what came of it.
private struct ReconcileAnswer: ResourceBody {
    let scope: [ReconcileScope]?
    let dryRun: Bool
    let policy: ReconcilePolicy
    var result: JSONValue?

    func writeMembers(to json: inout JSONWriter) {
        json.member("scope", (scope ?? ReconcileScope.allCases).map(\.rawValue))
        json.member("dryRun", dryRun)
        json.member("policy", policy.json)
        json.member("result", result)
    }
}
