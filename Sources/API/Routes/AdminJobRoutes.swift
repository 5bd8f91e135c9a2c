import Foundation
import Hummingbird
import Jobs
import Shared

/// All jobs, for operators: found, counted, brought back, ended, given up, one by one or by filter.
struct AdminJobRoutes: RouteGroup {
    let administration: JobAdministration
    let changes: Changes

    var routes: [Route] {
        [
            .permitted(.jobsReadAll, .get, "/api/v1/admin/jobs", list),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/jobs/stats", statistics),
            .permitted(.jobsWrite, .post, "/api/v1/admin/jobs/bulk", bulk),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/jobs/{id}", get),
            .permitted(.jobsReadAll, .get, "/api/v1/admin/jobs/{id}/explain", explain),
            .permitted(.jobsWrite, .post, "/api/v1/admin/jobs/{id}/retry", retry),
            .permitted(.jobsWrite, .post, "/api/v1/admin/jobs/{id}/cancel", cancel),
            .permitted(.jobsWrite, .post, "/api/v1/admin/jobs/{id}/discard", discard),
            .permitted(.jobsWrite, .post, "/api/v1/admin/jobs/{id}/reschedule", reschedule),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let filter = AdminInput.filter(&query)
        let cursor = query.string("cursor", limit: 100)
        let limit = query.int("limit", in: 1...100) ?? 20
        try query.check()
        return try .report(try await administration.jobs(filter, cursor: cursor, limit: limit))
    }

    private func statistics(_ call: AuthenticatedCall) async throws -> Response {
        try .report(try await administration.statistics())
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.jobId("id")
        guard let job = try await administration.job(id: id) else { throw APIError.notFound("job", id: String(id)) }
        return try .report(job)
    }

    private func explain(_ call: AuthenticatedCall) async throws -> Response {
        try .report(try await administration.queue.explain(id: try call.call.jobId("id")))
    }

    // MARK: One job

    private func retry(_ call: AuthenticatedCall) async throws -> Response {
        try await change(call, try await call.call.body(), "The job was brought back.") { id, decision, transaction in
            try await administration.retry(id: id, by: call.actor, in: transaction)
        }
    }

    private func cancel(_ call: AuthenticatedCall) async throws -> Response {
        try await change(call, try await call.call.body(), "The job ends.", isSuccess: { _ in true }) {
            id, decision, transaction in
            try await administration.cancel(
                id: id, force: decision.force, reason: decision.reason, by: call.actor, in: transaction)
        }
    }

    private func discard(_ call: AuthenticatedCall) async throws -> Response {
        try await change(call, try await call.call.body(), "The job was given up.", isSuccess: { _ in true }) {
            id, decision, transaction in
            try await administration.discard(
                id: id, force: decision.force, reason: decision.reason, by: call.actor, in: transaction)
        }
    }

    private func reschedule(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let runAt = fields.date("runAt")
        if runAt == nil, !fields.problems.contains(where: { $0.field == "runAt" }) {
            fields.refuse("runAt", .required, "is required")
        }
        try fields.check()
        let time = runAt ?? Date()
        return try await change(call, body, "The job starts at another time.") { id, decision, transaction in
            try await administration.reschedule(
                id: id, at: time, force: decision.force, reason: decision.reason, by: call.actor, in: transaction)
        }
    }

    private func change(
        _ call: AuthenticatedCall, _ body: JSONBody, _ message: String,
        isSuccess: @escaping @Sendable (JobSnapshot) -> Bool = { $0.state == .succeeded },
        _ act: @escaping @Sendable (Int64, Decision, PostgresTransaction) async throws -> Void
    ) async throws -> Response {
        let id = try call.call.jobId("id")
        let decision = try body.decision()
        let outcome = Changes.Outcome(isSuccess: isSuccess)
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            try await act(id, decision, transaction)
            let job = try await administration.queue.job(id: id, in: transaction)
            return Change(resource: Message(message), job: job.map { JobView($0) })
        }
    }

    // MARK: Many jobs

    private func bulk(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        let (request, isDryRun) = try bulkRequest(body)
        guard !isDryRun else { return try .report(try await administration.preview(request)) }
        let outcome = Changes.Outcome(reload: { job in
            try job.result.map { try Report(BulkAnswer(action: request.action, dryRun: false, report: $0)) }
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await administration.startBulk(request, by: call.actor, in: transaction)
            let resource = JobResource(type: "jobs", id: request.action.rawValue)
            return Change(
                resource: try Report(BulkAnswer(action: request.action, dryRun: false, report: nil)),
                job: JobView(job, JobsBulk.self, resource: resource, at: Date()))
        }
    }

    private func bulkRequest(_ body: JSONBody) throws -> (BulkRequest, isDryRun: Bool) {
        var fields = body.fields
        let name = fields.requiredString("action", length: 1...20)
        let action = BulkRequest.Action(rawValue: name)
        if action == nil, !name.isEmpty {
            let known = BulkRequest.Action.allCases.map(\.rawValue).joined(separator: ", ")
            fields.refuse("action", .choice, "must be one of \(known)")
        }
        if !fields.has("filter") { fields.refuse("filter", .required, "is required") }
        let filter = fields.nested("filter") { AdminInput.filter(&$0) } ?? JobQuery()
        let runAt = fields.date("runAt")
        let force = fields.bool("force") ?? false
        let reason = fields.string("reason", length: 1...500)
        let isDryRun = fields.bool("dryRun") ?? true
        try fields.check()
        let request = BulkRequest(
            action: action ?? .retry, filter: filter, runAt: runAt, force: force, reason: reason)
        try request.check()
        return (request, isDryRun)
    }
}

/// The answer to a bulk action that is carried out.
private struct BulkAnswer: Encodable {
    let action: BulkRequest.Action
    let dryRun: Bool
    /// What it did, once it has ended.
    let report: JSONValue?
}
