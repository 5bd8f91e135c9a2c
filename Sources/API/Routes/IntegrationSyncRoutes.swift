import Foundation
import Hummingbird
import Jobs
import Shared

/// Bringing everything to LiteLLM again.
struct IntegrationSyncRoutes: RouteGroup {
    let queue: JobQueue
    let requests: ReconciliationRequests
    let changes: Changes

    var routes: [Route] {
        [.permitted(.adminSystem, .post, "/api/v1/integration/sync", synchronise)]
    }

    private func synchronise(_ call: AuthenticatedCall) async throws -> Response {
        let body = try await call.call.body()
        var fields = body.fields
        let request = IntegrationSync(
            forceSync: fields.bool("forceSync") ?? false, syncUsers: fields.bool("syncUsers") ?? true,
            syncTeams: fields.bool("syncTeams") ?? true, syncSubscriptions: fields.bool("syncSubscriptions") ?? true,
            syncApiKeys: fields.bool("syncApiKeys") ?? true, syncModels: fields.bool("syncModels") ?? true,
            userId: fields.uuid("userId"), teamId: fields.uuid("teamId"))
        try fields.check()
        let outcome = Changes.Outcome(reload: { job in IntegrationSyncView(job: job) })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let job = try await requests.synchronise(request, by: call.actor, in: transaction)
            guard let seen = try await queue.job(id: job.id, in: transaction) else {
                throw APIError.notFound("job", id: String(job.id))
            }
            return Change(resource: IntegrationSyncView(job: seen), job: JobView(seen))
        }
    }
}

/// A synchronisation as LiteMaaS clients read it.
private struct IntegrationSyncView: ResourceBody {
    let job: JobSnapshot

    func writeMembers(to json: inout JSONWriter) {
        json.member("syncId", "sync-\(Int(job.createdAt.timeIntervalSince1970 * 1000))-\(job.id)")
        json.member("startedAt", job.createdAt)
        json.member("results", job.result?["results"] ?? [:])
        guard let end = job.finishedAt, let success = job.result?["success"]?.boolValue else { return }
        json.member("completedAt", end)
        json.member("success", success)
        json.member("duration", Int(end.timeIntervalSince(job.createdAt) * 1000))
        json.member("reconciliationJobId", job.result?["reconciliationJobId"]?.stringValue)
        json.member("truncated", job.result?["truncated"]?.arrayValue?.compactMap(\.stringValue) ?? [])
    }
}
