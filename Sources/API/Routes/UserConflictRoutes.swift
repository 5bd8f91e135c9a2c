import Foundation
import Hummingbird
import Jobs
import Shared

/// Decisions about users whose address LiteLLM knows under another id.
struct UserConflictRoutes: RouteGroup {
    let database: PostgresClient
    let realignment: UserRealignment
    let changes: Changes
    private let users = PostgresUserStore()

    init(database: PostgresClient, realignment: UserRealignment, changes: Changes) {
        self.database = database
        self.realignment = realignment
        self.changes = changes
    }

    var routes: [Route] {
        [.permitted(.usersWrite, .post, "/api/v1/admin/users/{id}/realign", realign)]
    }

    private func realign(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        var query = try call.call.query()
        let isDryRun = query.bool("dryRun") ?? false
        try query.check()
        let body = try await call.call.body()
        var fields = body.fields
        let action = RealignAction(rawValue: fields.requiredString("action", length: 1...50))
        if action == nil, fields.has("action") {
            let known = RealignAction.allCases.map(\.rawValue).joined(separator: ", ")
            fields.refuse("action", .choice, "must be one of \(known)")
        }
        let reason = fields.string("reason", length: 1...500)
        if reason == nil, !fields.has("reason"), !isDryRun { fields.refuse("reason", .required, "is required") }
        try fields.check()
        guard let action else { throw APIError.validation("action", .required, "is required") }

        let outcome = Changes.Outcome(reload: { job in
            try await view(of: id, action, preview: isDryRun ? job.result : nil, isDryRun: isDryRun, in: database)
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let resource = JobResource(type: "user", id: id.text)
            let job: JobView
            if isDryRun {
                job = JobView(
                    try await realignment.preview(action, for: id, by: call.actor, in: transaction),
                    UserRealignPreview.self, resource: resource, at: Date())
            } else {
                let (user, enqueued) = try await realignment.decide(
                    action, for: id, reason: reason ?? "", by: call.actor, in: transaction)
                job =
                    action == .adopt
                    ? JobView(enqueued, UserRealign.self, resource: resource, at: user.updatedAt)
                    : JobView(enqueued, UserProvision.self, resource: resource, at: user.updatedAt)
            }
            guard let view = try await view(of: id, action, preview: nil, isDryRun: isDryRun, in: transaction) else {
                throw APIError.notFound("user", id: id.text)
            }
            return Change(resource: view, job: job)
        }
    }

    private func view(
        of id: UUID, _ action: RealignAction, preview: JSONValue?, isDryRun: Bool, in executor: any PostgresExecutor
    ) async throws -> RealignmentView? {
        guard let user = try await users.find(id, in: executor) else { return nil }
        return RealignmentView(
            user: user, conflict: try await users.conflict(of: id, in: executor), action: action, isDryRun: isDryRun,
            preview: preview)
    }
}

/// A decision, and how far it is.
private struct RealignmentView: ResourceBody {
    let user: User
    let conflict: UserConflict?
    let action: RealignAction
    let isDryRun: Bool
    let preview: JSONValue?

    func writeMembers(to json: inout JSONWriter) {
        json.member("id", user.id)
        json.member("action", action.rawValue)
        json.member("dryRun", isDryRun)
        json.member("syncStatus", user.sync.status.rawValue)
        json.member("syncError", user.sync.error.map { SyncErrorView(error: $0) })
        json.member("conflict", conflict.map { UserConflictView(conflict: $0) })
        json.member("preview", preview)
    }
}

/// LiteLLM's other user with a person's address, and what can be done about it.
struct UserConflictView: JSONRepresentable {
    let conflict: UserConflict

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("code", "user_email_taken")
            json.member("litellmUserId", conflict.litellmUserId)
            json.member("keyCount", conflict.keyCount)
            json.member("foundAt", conflict.foundAt)
            json.member("actions", RealignAction.allCases.map(\.rawValue))
        }
    }
}
