import Foundation
import Hummingbird
import Jobs
import Shared
import Synchronization

/// A user as they are after a change.
struct ChangedUserState: Sendable {
    var user: User
    var deactivatedAt: Date?
    var keyJobs: [KeyJob]
}

/// Changes users and answers with the job that brings them to LiteLLM.
struct UserChanges: Sendable {
    let database: PostgresClient
    let administration: UserAdministration
    let changes: Changes

    /// What the transaction has put in, for the answer after a wait.
    private final class Begun: Sendable {
        let keyJobs = Mutex<[KeyJob]>([])
    }

    /// - Parameter view: the resource, as it is wanted and again once the job has ended.
    func perform(
        _ call: AuthenticatedCall, _ body: JSONBody, _ change: UserChange, of id: UUID, action: String,
        view: @escaping @Sendable (ChangedUserState) -> any ResourceBody
    ) async throws -> Response {
        let begun = Begun()
        let outcome = Changes.Outcome(reload: { _ in
            let users = PostgresUserStore()
            guard let user = try await users.find(id, in: database) else { return nil }
            return view(
                ChangedUserState(
                    user: user, deactivatedAt: try await users.deactivatedAt(id, in: database),
                    keyJobs: begun.keyJobs.withLock { $0 }))
        })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await administration.change(
                id, change, action: action, giving: call.principal.givableRoles, by: call.actor, in: transaction)
            begun.keyJobs.withLock { $0 = changed.keyJobs }
            let state = ChangedUserState(
                user: changed.user, deactivatedAt: changed.deactivatedAt, keyJobs: changed.keyJobs)
            return Change(resource: view(state), job: changed.view)
        }
    }
}
