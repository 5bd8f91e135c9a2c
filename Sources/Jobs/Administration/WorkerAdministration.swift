package import Shared

/// What operators do with worker processes.
package struct WorkerAdministration: Sendable {
    private let queue: JobQueue
    private let store = PostgresWorkerStore()
    private let audit = PostgresAuditStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) { self.queue = queue }

    /// Workers with what they run, living ones first.
    ///
    /// - Parameter ended: also those that stopped or were lost during the last day.
    package func workers(ended: Bool = false) async throws -> [WorkerReport] {
        try await store.reports(id: nil, ended: ended, names: queue.store.names, in: queue.database)
    }

    /// One worker, as the caller's transaction sees it.
    ///
    /// - Throws: ``AdministrationError`` when there is none with this id.
    package func worker(_ id: Int32, in executor: any PostgresExecutor) async throws -> WorkerReport {
        let found = try await store.reports(id: id, ended: true, names: queue.store.names, in: executor)
        guard let report = found.first else { throw AdministrationError.notFound("worker", String(id)) }
        return report
    }

    /// The same, as it is now.
    package func worker(_ id: Int32) async throws -> WorkerReport { try await worker(id, in: queue.database) }

    /// Lets a worker claim no more; what it runs ends in its own time. It obeys at its next heartbeat at the latest,
    /// and stays idle until it is stopped or told to go on.
    ///
    /// - Throws: ``AdministrationError``.
    package func drain(
        _ id: Int32, reason: String? = nil, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> WorkerReport {
        try await change(id, drain: true, "WORKER_DRAIN", reason: reason, by: actor, in: transaction)
    }

    /// Lets a draining worker claim again.
    ///
    /// - Throws: ``AdministrationError``.
    package func resume(
        _ id: Int32, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> WorkerReport {
        try await change(id, drain: false, "WORKER_RESUME", reason: nil, by: actor, in: transaction)
    }

    private func change(
        _ id: Int32, drain: Bool, _ action: String, reason: String?, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> WorkerReport {
        guard try await store.requestDrain(drain, workerId: id, by: actor.name, in: transaction) else {
            let found = try await worker(id, in: transaction)
            throw AdministrationError.conflict(
                "Worker \(id) is \(found.state.rawValue); only a living one can be told.", resource: "worker",
                String(id))
        }
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "WORKER", resourceId: String(id),
                metadata: .administration(force: false, reason: reason)),
            in: transaction)
        // The channel that makes a worker beat at once.
        transaction.afterCommit { [wakeups = queue.wakeups] in await wakeups.cancelled(id) }
        return try await worker(id, in: transaction)
    }
}
