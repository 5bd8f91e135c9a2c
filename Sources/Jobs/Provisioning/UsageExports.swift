package import Foundation
package import Shared

/// Files of usage that jobs write.
package struct UsageExports: Sendable {
    /// How long a file can be fetched.
    private static let kept: Duration = .seconds(24 * 3600)

    private let queue: JobQueue
    private let store = PostgresUsageExportStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// Stores that a file is wanted, the job that writes it, and who asked.
    package func start(
        _ request: UsageExportRequest, id: UUID, ownerId: UUID?, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> (file: UsageExportFile, job: EnqueuedJob) {
        var file = try await store.insert(request, id: id, ownerId: ownerId, keptFor: Self.kept, in: transaction)
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = JobResource(type: "usage_export", id: id.text)
        let job = try await queue.enqueue(UsageExport(exportId: id), options: options, in: transaction)
        try await store.note(jobId: job.id, of: id, in: transaction)
        file.jobId = job.id
        try await PostgresAuditStore().append(entry(request, id: id, by: actor, jobId: job.id), in: transaction)
        return (file, job)
    }

    /// The audit row of a file; without an id it was answered at once.
    package func entry(
        _ request: UsageExportRequest, id: UUID?, by actor: AuditActor, jobId: Int64? = nil
    ) throws -> AuditEntry {
        AuditEntry(
            actor: actor, action: "USAGE_EXPORT", resourceType: "usage_export", resourceId: id?.text, jobId: jobId,
            metadata: try .encoding(request))
    }
}
