package import Foundation
package import Shared

/// Begins the use of all subscriptions anew, because an administrator wants so: what was used up to today is forgiven,
/// and what only the quota had taken is given back. The keys follow by jobs of their own.
///
/// What chunks have dealt with the history tells, so an attempt that follows a crash forgives nothing twice.
package struct QuotaForgive: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var reset: Int
        /// Suspended ones that are active again.
        package var resumed: Int
    }

    package static let name = "quota.forgive"

    /// Whose own subscriptions stay as they are: nobody forgives themselves.
    package let except: UUID?
    /// Subscriptions dealt with in one transaction.
    var chunk: Int?

    package init(except: UUID?) {
        self.except = except
    }

    package var orderKey: String? { QuotaReset.name }

    package func run(in context: JobContext) async throws -> Output {
        let store = PostgresSubscriptionStore()
        let subscriptions = Subscriptions(queue: context.services.queue)
        let actor = context.auditActor
        let resumed = try await context.inChunks { transaction in
            let all = try await store.lockNotForgiven(
                by: context.id, except: except, limit: max(1, chunk ?? 200), in: transaction)
            try await store.forgiveUse(all.map(\.id), by: actor.userId, jobId: context.id, in: transaction)
            let suspended = all.filter(\.isSuspendedByQuota)
            let move = SubscriptionMove(
                to: .active, cause: .quotaReset, changedBy: actor.userId, jobId: context.id)
            _ = try await subscriptions.move(
                suspended, move, action: "SUBSCRIPTION_QUOTA_RESET", by: actor, in: transaction)
            return (all.count, suspended.count)
        }.followed
        return Output(
            reset: try await store.countForgiven(by: context.id, in: context.services.database), resumed: resumed)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await end.audit("QUOTAS_RESET_FAILED", about: "subscription", "all", in: transaction)
    }
}

extension JobContext {
    /// Repeats a fenced transaction until it finds nothing left. Each has to change what it finds, so that neither the
    /// next one nor an attempt after a crash finds it again.
    ///
    /// - Parameter chunk: gives how many it found, and how many of them led to something else.
    func inChunks(
        _ chunk: @Sendable (PostgresTransaction) async throws -> (found: Int, followed: Int)
    ) async throws -> (found: Int, followed: Int) {
        var all = (found: 0, followed: 0)
        while true {
            let (found, followed) = try await transaction(chunk)
            guard found > 0 else { return all }
            all.found += found
            all.followed += followed
        }
    }
}
