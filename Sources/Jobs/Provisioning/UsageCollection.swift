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
}
