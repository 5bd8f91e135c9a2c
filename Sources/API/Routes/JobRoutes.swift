import Foundation
import Hummingbird
import Jobs
import Shared

/// Following jobs, and for admins bringing them back or ending them. Whoever may not see a job is told that there is
/// none.
struct JobRoutes: RouteGroup {
    let queue: JobQueue
    let waiters: JobWaiters
    let changes: Changes
    let administration: JobAdministration

    var routes: [Route] {
        [
            .signedIn(.get, "/api/v1/jobs", list),
            .signedIn(.get, "/api/v1/jobs/{id}", get),
            .signedIn(.get, "/api/v1/jobs/{id}/events", events),
            .permitted(.jobsWrite, .post, "/api/v1/jobs/{id}/retry", retry),
            .permitted(.jobsWrite, .post, "/api/v1/jobs/{id}/cancel", cancel),
        ]
    }

    // MARK: Reading

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        var filter = JobFilter()
        filter.states = Set(query.choices("state", of: JobState.self))
        filter.kind = query.string("kind", limit: 100)
        filter.beforeId = query.int("before", in: 1...Int.max).map(Int64.init)
        filter.limit = query.int("limit", in: 1...100) ?? 20
        let userId = query.uuid("userId")
        try query.check()
        filter.requesterId = call.principal.may(.jobsReadAll) ? userId?.text : call.principal.id
        do {
            return .json(JobList(jobs: try await queue.list(filter), limit: filter.limit))
        } catch JobQueueError.unknownKind {
            throw APIError.validation("kind", .choice, "must be a kind of job, such as key.create")
        }
    }

    private func get(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.jobId("id")
        var query = try call.call.query()
        let wait = query.int("wait", in: 0...Prefer.longestWait) ?? 0
        try query.check()
        var job = try visible(try await queue.job(id: id), id: id, to: call.principal)
        if wait > 0, !job.state.isFinal {
            job = try visible(
                try await waiters.wait(for: id, atMost: .seconds(wait)), id: id, to: call.principal)
        }
        return .json(JobView(job))
    }

    private func events(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.jobId("id")
        let job = try visible(try await queue.job(id: id), id: id, to: call.principal)
        return JobEvents(job: job, waiters: waiters).response()
    }

    private func visible(_ job: JobSnapshot?, id: Int64, to principal: Principal) throws -> JobSnapshot {
        guard let job, job.requester.id == principal.id || principal.may(.jobsReadAll) else {
            throw APIError.notFound("job", id: String(id))
        }
        return job
    }

    // MARK: Changing

    private func retry(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.jobId("id")
        let body = try await call.call.body()
        return try await changes.perform(call, body: body.bytes, outcome: Changes.Outcome()) { transaction in
            try await administration.retry(id: id, by: call.actor, in: transaction)
            return try await changed(id, "The job was brought back.", in: transaction)
        }
    }

    private func cancel(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.jobId("id")
        let body = try await call.call.body()
        var fields = body.fields
        let force = fields.bool("force") ?? false
        try fields.check()
        // Whichever way it ended: it no longer runs, and the answer shows how it ended.
        let outcome = Changes.Outcome(isSuccess: { _ in true })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            try await administration.cancel(id: id, force: force, by: call.actor, in: transaction)
            return try await changed(id, "The job ends.", in: transaction)
        }
    }

    private func changed(
        _ id: Int64, _ message: String, in transaction: PostgresTransaction
    ) async throws -> Change {
        let job = try await queue.job(id: id, in: transaction)
        return Change(resource: Message(message), job: job.map { JobView($0) })
    }
}

/// A page of jobs, newest first. Pages are told apart by the last id, because jobs come in while one reads.
private struct JobList: JSONRepresentable {
    let jobs: [JobSnapshot]
    let limit: Int

    /// A full page may be the last one; the next one is empty then.
    private var hasNext: Bool { jobs.count == limit }

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("data", jobs.map { JobView($0) })
            json.member("pagination") { json in
                json.member("limit", limit)
                json.member("hasNext", hasNext)
                json.member("before", hasNext ? jobs.last.map { String($0.id) } : nil)
            }
        }
    }
}
