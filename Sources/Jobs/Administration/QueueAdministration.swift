package import Shared

/// What operators do with queues.
package struct QueueAdministration: Sendable {
    private static let statisticsMilliseconds = "3000"

    private let queue: JobQueue
    private let store = PostgresQueueStore()
    private let statistics = PostgresJobStatisticsStore()
    private let audit = PostgresAuditStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) { self.queue = queue }

    /// All queues, by name.
    package func queues() async throws -> [QueueReport] {
        try await queue.database.withTransaction(readOnly: true) { transaction in
            try await transaction.setStatementTimeout(milliseconds: Self.statisticsMilliseconds)
            return try await reports(in: transaction)
        }
    }

    /// One queue, as the caller's transaction sees it.
    ///
    /// - Throws: ``AdministrationError`` when there is none of this name.
    package func queue(_ name: String, in executor: any PostgresExecutor) async throws -> QueueReport {
        guard let report = try await reports(in: executor).first(where: { $0.name == name }) else {
            throw AdministrationError.notFound("queue", name)
        }
        return report
    }

    /// The same, as it is now.
    package func queue(_ name: String) async throws -> QueueReport { try await queue(name, in: queue.database) }

    private func reports(in executor: any PostgresExecutor) async throws -> [QueueReport] {
        let rows = try await store.all(in: executor)
        let (counts, isExact) = try await statistics.counts(in: executor)
        let ages = try await statistics.oldestReady(in: executor)
        let byQueue = Dictionary(grouping: counts, by: \.queueId)
        return rows.map { row in
            QueueReport(
                name: row.name, isProtected: row.isProtected, isPaused: row.pausedAt != nil, pausedAt: row.pausedAt,
                pausedBy: row.pausedBy, pauseReason: row.pauseReason,
                states: (byQueue[row.id] ?? []).reduce(into: [:]) { $0[$1.state, default: 0] += $1.count },
                isExact: isExact, oldestReadySeconds: ages[row.id], workers: row.workers)
        }
    }

    /// Nothing of the queue is claimed any more until it is resumed; what runs goes on.
    ///
    /// - Parameters:
    ///   - reason: shown to everybody who waits for a job of the queue.
    ///   - force: needed for a queue that protects others.
    /// - Throws: ``AdministrationError``.
    package func pause(
        _ name: String, reason: String?, force: Bool = false, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> QueueReport {
        guard let found = try await store.lock(name, in: transaction) else {
            throw AdministrationError.notFound("queue", name)
        }
        guard force || !found.isProtected else { throw AdministrationError.protectedQueue(name) }
        try await store.pause(found.id, by: actor.name, reason: reason, in: transaction)
        try await note("JOB_QUEUE_PAUSE", name, actor, force: force, reason: reason, in: transaction)
        return try await queue(name, in: transaction)
    }

    /// Lets the queue's jobs be claimed again.
    ///
    /// - Throws: ``AdministrationError``.
    package func resume(
        _ name: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> QueueReport {
        guard let found = try await store.lock(name, in: transaction) else {
            throw AdministrationError.notFound("queue", name)
        }
        try await store.resume(found.id, in: transaction)
        try await note("JOB_QUEUE_RESUME", name, actor, in: transaction)
        let queueId = found.id
        transaction.afterCommit { [wakeups = queue.wakeups] in await wakeups.ready(queueId) }
        return try await queue(name, in: transaction)
    }

    private func note(
        _ action: String, _ name: String, _ actor: AuditActor, force: Bool = false, reason: String? = nil,
        in transaction: PostgresTransaction
    ) async throws {
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "JOB_QUEUE", resourceId: name,
                metadata: .administration(force: force, reason: reason)),
            in: transaction)
    }
}
