package import Foundation
package import Shared

/// A job about one key.
package struct KeyJob: Sendable, Equatable {
    /// The key's row.
    package let keyId: UUID
    /// A `key.access` job.
    package let job: EnqueuedJob
}

/// Carries what people may use, and whether they may sign in, to their keys.
package struct KeyGrants: Sendable {
    private let queue: JobQueue
    private let keys = PostgresAPIKeyStore()

    /// Puts its jobs into `queue`.
    package init(queue: JobQueue) {
        self.queue = queue
    }

    /// For the transaction that has changed whether people may use a model, after the change: each of their live keys
    /// that names the model is to be brought into line.
    ///
    /// - Returns: one job for each such key, by key.
    package func refresh(
        of userIds: [UUID], modelId: String, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        try await enqueue(
            keys.expectGrants(ofUsers: userIds, modelId: modelId, in: transaction), requester, in: transaction)
    }

    /// For the transaction that has deactivated a user or taken them back: each of their live keys is to be refused,
    /// or let in again.
    package func refresh(
        allOf userId: UUID, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        try await enqueue(keys.lockLive(ofUser: userId, in: transaction), requester, in: transaction)
    }

    private func enqueue(
        _ keyIds: [UUID], _ requester: JobRequester, in transaction: PostgresTransaction
    ) async throws -> [KeyJob] {
        var jobs: [KeyJob] = []
        for keyId in keyIds {
            var options = JobOptions()
            options.requester = requester
            options.resource = JobResource(type: "api_key", id: keyId.text)
            let job = try await queue.enqueue(KeyAccess(keyId: keyId), options: options, in: transaction)
            try await keys.expectAccess(keyId, by: job.id, in: transaction)
            jobs.append(KeyJob(keyId: keyId, job: job))
        }
        return jobs
    }
}

extension JobContext {
    /// The same as ``KeyGrants/refresh(of:modelId:requester:in:)``, with the keys' jobs as children of this one.
    ///
    /// - Returns: the keys.
    func refreshGrants(
        of userIds: [UUID], modelId: String, in transaction: PostgresTransaction
    ) async throws -> [UUID] {
        let keyIds = try await PostgresAPIKeyStore().expectGrants(ofUsers: userIds, modelId: modelId, in: transaction)
        try await addChildren(
            keyIds.map { KeyAccess(keyId: $0) }, resource: { JobResource(type: "api_key", id: $0.keyId.text) },
            in: transaction)
        return keyIds
    }
}
