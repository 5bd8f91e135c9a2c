package import Shared

/// What the API asks for concerning usage.
package struct UsageCollection: Sendable {
    private let queue: JobQueue

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// Stores the job that takes one day of usage over from LiteLLM. Requests that come before it starts share one.
    package func request(
        _ day: UTCDay, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "usage_day", id: day.description)
        return try await queue.enqueue(UsageFetchDay(date: day), options: options, in: transaction)
    }

    /// Stores the job that takes a range of days over anew, with its audit row.
    ///
    /// - Parameter force: whether less than what a final day has replaces it too.
    /// - Throws: ``AdministrationError`` for a range that cannot be rebuilt.
    package func rebuild(
        from: UTCDay, to: UTCDay, force: Bool = false, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let today = UTCDay(containing: try await transaction.now())
        guard from <= to else { throw AdministrationError.invalid("startDate", "must not be after endDate") }
        guard to <= today else { throw AdministrationError.invalid("endDate", "must not be in the future") }
        guard from.advanced(by: UsageRebuild.longest) > to else {
            throw AdministrationError.invalid("endDate", "must be at most \(UsageRebuild.longest) days from startDate")
        }
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "usage", id: "\(from)/\(to)")
        let job = try await queue.enqueue(
            UsageRebuild(from: from, to: to, force: force), options: options, in: transaction)
        try await PostgresAuditStore().append(
            AuditEntry(
                actor: actor, action: "USAGE_REBUILD", resourceType: "usage", resourceId: "\(from)/\(to)",
                jobId: job.id,
                metadata: ["force": .bool(force)]),
            in: transaction)
        return job
    }
}
