package import Foundation
package import Shared

/// What operators do with jobs: find them, count them, bring them back, end them, give them up. Every change writes
/// its audit row in its own transaction.
package struct JobAdministration: Sendable {
    /// A change locks a job and its object, as others do the other way round: one of two is tried again.
    static let retries = 3
    private static let pageLimit = 1...500
    private static let statisticsMilliseconds = "3000"

    package let queue: JobQueue
    let search: PostgresJobSearchStore
    private let statistics = PostgresJobStatisticsStore()
    let audit = PostgresAuditStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) {
        self.queue = queue
        search = PostgresJobSearchStore(jobs: queue.store)
    }

    // MARK: Reading

    /// A page of the jobs that a query means, newest first.
    ///
    /// - Parameters:
    ///   - cursor: of the page before, nil for the first.
    ///   - limit: 1...500.
    /// - Throws: ``AdministrationError``.
    package func jobs(_ query: JobQuery, cursor: String? = nil, limit: Int = 20) async throws -> JobPage {
        guard Self.pageLimit.contains(limit) else {
            throw AdministrationError.invalid("limit", "must be from 1 to \(Self.pageLimit.upperBound)")
        }
        let before = try cursor.map { try JobCursor($0).beforeId }
        let resolved = try await search.resolve(query, in: queue.database)
        do {
            let found = try await queue.database.withTransaction(readOnly: true) { transaction in
                try await search.list(resolved, beforeId: before, limit: limit + 1, in: transaction)
            }
            let jobs = found.prefix(limit)
            let hasNext = found.count > limit
            let pagination = JobPage.Pagination(
                limit: limit, hasNext: hasNext,
                cursor: hasNext ? jobs.last.map { JobCursor(beforeId: $0.id).text } : nil,
                total: try await search.count(resolved, in: queue.database))
            return JobPage(data: jobs.map { JobReport($0) }, pagination: pagination)
        } catch let error as PostgresError where error.isTimeout {
            throw AdministrationError.tooBroad
        }
    }

    /// One job with its attempts, the reason it waits for, its parameters and its worker; nil when there is none.
    package func job(id: Int64) async throws -> JobReport? {
        guard let snapshot = try await queue.job(id: id) else { return nil }
        var report = JobReport(snapshot)
        if let details = try await search.details(jobId: id, in: queue.database) {
            report.parameters = details.parameters
            report.orderKey = details.orderKey
            report.uniqueKey = details.uniqueKey
            report.worker = details.holder
        }
        return report
    }

    /// How the queue is doing.
    package func statistics() async throws -> JobStatistics {
        try await queue.database.withTransaction(readOnly: true) { transaction in
            try await transaction.setStatementTimeout(milliseconds: Self.statisticsMilliseconds)
            let (counts, isExact) = try await statistics.counts(in: transaction)
            let ages = try await statistics.oldestReady(in: transaction)
            let names = queue.store.names
            let queues = Dictionary(grouping: counts, by: \.queueId).map { id, counts in
                JobStatistics.Queue(
                    queue: names.queueName(id), states: Self.byState(counts), oldestReadySeconds: ages[id])
            }
            let kinds = Dictionary(grouping: counts, by: { KindInQueue(kindId: $0.kindId, queueId: $0.queueId) }).map {
                JobStatistics.Kind(
                    kind: names.kindName($0.kindId), queue: names.queueName($0.queueId), states: Self.byState($1))
            }
            return JobStatistics(
                takenAt: try await transaction.now(), isExact: isExact, states: Self.byState(counts),
                queues: queues.sorted { $0.queue < $1.queue },
                kinds: kinds.sorted { ($0.kind, $0.queue) < ($1.kind, $1.queue) },
                oldestReadySeconds: ages.values.max(), windows: try await statistics.throughput(in: transaction),
                failures: try await statistics.failures(in: transaction),
                history: try await statistics.history(in: transaction))
        }
    }

    private struct KindInQueue: Hashable {
        let kindId: Int16
        let queueId: Int16
    }

    private static func byState(_ counts: [PostgresJobStatisticsStore.Counted]) -> [String: Int] {
        counts.reduce(into: [:]) { $0[$1.state, default: 0] += $1.count }
    }

    // MARK: Changing

    /// Brings a failed job back with fresh attempts, or makes a waiting one due now.
    ///
    /// - Throws: ``JobQueueError``.
    package func retry(id: Int64, by actor: AuditActor, in transaction: PostgresTransaction) async throws {
        try await queue.retry(id: id, in: transaction)
        try await note("JOB_RETRY", id, actor, in: transaction)
    }

    /// Ends a job that has not ended. What is wanted does not change; its object shows that it failed and by whom.
    ///
    /// - Parameter force: also ends work that protects others.
    /// - Throws: ``JobQueueError``.
    package func cancel(
        id: Int64, force: Bool = false, reason: String? = nil, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws {
        try await queue.cancel(id: id, by: actor.name, force: force, in: transaction)
        try await note("JOB_CANCEL", id, actor, force: force, reason: reason, in: transaction)
    }

    /// Gives a failed job up: see ``JobQueue/discard(id:by:force:in:)``.
    package func discard(
        id: Int64, force: Bool = false, reason: String? = nil, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws {
        try await queue.discard(id: id, by: actor.name, force: force, in: transaction)
        try await note("JOB_DISCARD", id, actor, force: force, reason: reason, in: transaction)
    }

    /// Lets a waiting job start at another time: see ``JobQueue/reschedule(id:at:force:in:)``.
    package func reschedule(
        id: Int64, at time: Date, force: Bool = false, reason: String? = nil, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws {
        try await queue.reschedule(id: id, at: time, force: force, in: transaction)
        try await note(
            "JOB_RESCHEDULE", id, actor, force: force, reason: reason,
            newValues: ["runAt": .string(ISO8601.string(from: time))], in: transaction)
    }

    /// Does one of the changes above in a transaction of its own.
    package func perform<Result: Sendable>(
        _ change: @Sendable (PostgresTransaction) async throws -> Result
    ) async throws -> Result {
        try await queue.database.withTransaction(retries: Self.retries, change)
    }

    private func note(
        _ action: String, _ id: Int64, _ actor: AuditActor, force: Bool = false, reason: String? = nil,
        newValues: JSONValue? = nil, in transaction: PostgresTransaction
    ) async throws {
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "JOB", resourceId: String(id), newValues: newValues,
                jobId: id, metadata: .administration(force: force, reason: reason)),
            in: transaction)
    }
}

extension JSONValue {
    /// What every audit row of an operator's change says besides.
    static func administration(force: Bool, reason: String?) -> JSONValue {
        var members: [String: JSONValue] = [:]
        if force { members["force"] = true }
        if let reason { members["reason"] = .string(reason) }
        return .object(members)
    }
}
