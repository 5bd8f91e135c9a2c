import Foundation
import HTTPTypes
import Hummingbird
import Jobs
import Shared
import Synchronization

/// Changes subscriptions and answers with the first of the jobs that bring the keys in line.
struct SubscriptionChanges: Sendable {
    let database: PostgresClient
    let changes: Changes

    /// What the transaction has changed, for the answer after a wait.
    private final class Begun: Sendable {
        let changed = Mutex<ChangedSubscription?>(nil)
    }

    /// - Parameter show: the answer, as it is wanted and again once the job has ended.
    func perform(
        _ call: AuthenticatedCall, _ body: JSONBody, status: HTTPResponse.Status = .ok,
        show: @escaping @Sendable (SubscriptionView) -> any ResourceBody = { $0 },
        _ change: @escaping @Sendable (PostgresTransaction) async throws -> ChangedSubscription
    ) async throws -> Response {
        let begun = Begun()
        let presenter = SubscriptionPresenter()
        let outcome = Changes.Outcome(
            status: status,
            reload: { _ in
                guard var changed = begun.changed.withLock({ $0 }),
                    let now = try await PostgresSubscriptionStore().find(changed.subscription.id, in: database)
                else { return nil }
                changed.subscription = now
                return show(try await presenter.view(of: changed, in: database))
            })
        return try await changes.perform(call, body: body.bytes, outcome: outcome) { transaction in
            let changed = try await change(transaction)
            begun.changed.withLock { $0 = changed }
            return Change(
                resource: show(try await presenter.view(of: changed, in: transaction)),
                job: changed.keyJobs.firstView(at: changed.subscription.updatedAt))
        }
    }
}

extension AuthenticatedCall {
    /// Who asks for a change of a subscription; routes for administrators say so.
    func subscriptionCaller(isAdministrator: Bool? = nil) -> SubscriptionCaller {
        SubscriptionCaller(
            actor: actor, isAdministrator: isAdministrator ?? principal.may(.adminSubscriptionsWrite),
            actsForOwners: principal.user == nil, personBehind: principal.creatorId)
    }
}
