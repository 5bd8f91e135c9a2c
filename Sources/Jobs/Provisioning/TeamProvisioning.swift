package import Foundation
package import Shared

/// What the API asks for concerning teams.
package struct TeamProvisioning: Sendable {
    private let queue: JobQueue
    private let teams = PostgresTeamStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// Makes sure that a job brings the team into LiteLLM; nil when it is there already.
    ///
    /// - Returns: the job to wait for.
    /// - Throws: ``ProvisioningError`` `teamNotFound`.
    package func ensure(
        _ id: UUID, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob? {
        guard let seen = try await teams.find(id, in: transaction), seen.isActive else { throw notFound }
        guard !seen.sync.isSynced else { return nil }
        // Only now the lock: everybody's keys hang on one team, and once it is there nobody has to queue for its row.
        guard let team = try await teams.lock(id, in: transaction), team.isActive else { throw notFound }
        guard !team.sync.isSynced else { return nil }
        return try await enqueue(id, requester: requester, in: transaction)
    }

    /// The job that makes LiteLLM's team what ours is, for a row that this transaction has locked or made.
    func enqueue(
        _ id: UUID, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.resource = JobResource(type: "team", id: id.text)
        options.requester = requester
        let job = try await queue.enqueue(TeamEnsure(teamId: id), options: options, in: transaction)
        try await teams.expectSync(id, by: job.id, in: transaction)
        return job
    }

    private var notFound: ProvisioningError {
        ProvisioningError(.teamNotFound, "There is no such team.", field: "teamId")
    }
}
