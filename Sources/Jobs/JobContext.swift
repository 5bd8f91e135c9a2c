package import Logging
package import Shared

/// Who asked for a job: follows it into logs, audit rows and LiteLLM's call headers.
package struct JobRequester: Sendable, Equatable {
    /// The user's id, or a name such as `system` for what nobody asked for.
    package var id: String?
    /// The HTTP request that enqueued the job.
    package var requestId: String?

    package init(id: String?, requestId: String? = nil) {
        self.id = id
        self.requestId = requestId
    }
}

/// What a handler can reach.
package struct JobServices: Sendable {
    /// The domain's database.
    package let database: PostgresClient
    /// LiteLLM without a gate; handlers use ``JobContext/litellm``.
    package let litellm: LiteLLMClient
    /// Opens the secrets that rest sealed.
    package let sealer: Sealer
    /// Enqueues follow-up jobs.
    package let queue: JobQueue
    /// Limits and waits of the provisioning kinds.
    package let settings: ProvisioningSettings

    package init(
        database: PostgresClient, litellm: LiteLLMClient, sealer: Sealer, queue: JobQueue,
        settings: ProvisioningSettings
    ) {
        self.database = database
        self.litellm = litellm
        self.sealer = sealer
        self.queue = queue
        self.settings = settings
    }
}

/// One attempt at one job.
package struct JobContext: Sendable {
    package let id: Int64
    /// 1 for the first attempt.
    package let attempt: Int
    package let maxAttempts: Int
    /// The fence of this attempt: only ever grows for a job.
    package let token: Int64
    package let requester: JobRequester
    package let services: JobServices
    let store: PostgresJobStore
    let kind: String
    /// Nil where nothing stands before the calls, as in tests of kinds.
    let gate: (any LiteLLMCallGate)?
    let baseLogger: Logger

    /// LiteLLM behind the breaker, the lease and this job's correlation ids. Made when asked for, as many jobs need none.
    package var litellm: LiteLLMClient {
        let client = services.litellm.withCorrelation(requestId: requester.requestId, jobId: String(id))
        return gate.map { client.gated(by: $0) } ?? client
    }

    /// Says which attempt speaks. Made when asked for.
    package var logger: Logger {
        var logger = baseLogger
        logger[metadataKey: "job_id"] = "\(id)"
        logger[metadataKey: "kind"] = "\(kind)"
        logger[metadataKey: "attempt"] = "\(attempt)"
        if let requestId = requester.requestId { logger[metadataKey: "request_id"] = "\(requestId)" }
        return logger
    }

    /// Runs `body` in a transaction that commits only while this attempt still owns the job.
    ///
    /// - Throws: ``JobLeaseLost`` when the job was taken away; whatever `body` throws.
    @discardableResult
    package func transaction<Result: Sendable>(
        _ body: @Sendable (PostgresTransaction) async throws -> Result
    ) async throws -> Result {
        try await services.database.withTransaction { transaction in
            let result = try await body(transaction)
            // Last, as everybody else locks the object's row before the jobs on it; until the commit it stays true.
            guard try await store.holdsLease(jobId: id, token: token, in: transaction) else {
                throw JobLeaseLost(jobId: id)
            }
            return result
        }
    }

    /// Shows how far the job is.
    ///
    /// - Parameters:
    ///   - fraction: 0...1.
    ///   - message: one short sentence for the owner.
    /// - Throws: ``JobLeaseLost`` when the job was taken away.
    package func progress(_ fraction: Double, _ message: String) async throws {
        let progress = JobProgress(fraction: min(max(fraction, 0), 1), message: message)
        guard try await store.setProgress(progress, jobId: id, token: token, in: services.database) else {
            throw JobLeaseLost(jobId: id)
        }
    }
}
