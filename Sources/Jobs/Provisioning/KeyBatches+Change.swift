package import Foundation
package import Shared

/// What a change of many keys would do.
package struct KeyBulkPreview: Sendable {
    /// Live keys that are meant.
    package let count: Int
    /// Keys of batches that are still to be made.
    package let waiting: Int
    /// The first of them.
    package let sample: [APIKey]
}

/// Stopping and repeating batches; changing the keys of a batch or of labels.
extension KeyBatches {
    private static let sampleSize = 10

    // MARK: A batch

    /// Tries again what failed. Only whoever asked for the batch does so, as its keys are made in that name; what the
    /// request needed they need now.
    ///
    /// - Parameters:
    ///   - mayMakePeople: as in ``KeyBatchRequest``.
    ///   - maySubscribe: as in ``KeyBatchRequest``.
    /// - Throws: ``ProvisioningError`` `batchNotFound`, `roleBeyondOwn`, `batchConflict`.
    package func retry(
        _ id: UUID, mayMakePeople: Bool, maySubscribe: Bool, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob) {
        let batch = try await lock(id, in: transaction)
        guard batch.cancelledAt == nil else {
            throw ProvisioningError(.batchConflict, "The batch was cancelled; ask for another one.")
        }
        guard (actor.requester.id ?? actor.name) == batch.requester else {
            throw ProvisioningError(.roleBeyondOwn, "A batch is retried only by whoever asked for it.")
        }
        guard maySubscribe || !batch.subscribes else {
            throw ProvisioningError(
                .roleBeyondOwn, "The batch subscribes people, which needs the permission admin:subscriptions:write.")
        }
        let running = try await queue.unfinished(orderKey: KeysBulk(batchId: id).orderKey, in: transaction)
        if let jobId = running.first {
            throw ProvisioningError(
                .batchConflict, "The batch's job \(jobId) has not ended; retry what failed once it has.")
        }
        let count = try await batches.retryFailed(of: id, in: transaction)
        guard count > 0 else { throw ProvisioningError(.batchConflict, "No key of this batch has failed.") }
        let makesPeople = try await batches.hasNewcomers(id, in: transaction)
        guard mayMakePeople || !makesPeople else {
            throw ProvisioningError(
                .roleBeyondOwn, "People who are not known yet are made only with the permission users:write.")
        }
        let job = try await start(batch, actor.requester, in: transaction)
        try await note("API_KEYS_BULK_RETRY", batch, job.id, ["keys": .int(count)], by: actor, in: transaction)
        return (try await lock(id, in: transaction), job)
    }

    /// Stops a batch: no more keys are made, and those that LiteLLM does not have yet are given up. The others stay,
    /// unless they are to be revoked.
    ///
    /// - Returns: the job that revokes them; nil without that.
    /// - Throws: ``ProvisioningError`` `batchNotFound`.
    package func cancel(
        _ id: UUID, revoking: Bool, reason: String?, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob?) {
        let batch = try await lock(id, in: transaction)
        try await stop(batch, by: actor, in: transaction)
        let job =
            revoking
            ? try await revoke(KeySelection(batchId: id), reason: reason, by: actor, in: transaction) : nil
        try await note(
            "API_KEYS_BULK_CANCEL", batch, job?.id ?? batch.jobId, ["revoke": .bool(revoking)], by: actor,
            in: transaction)
        return (try await lock(id, in: transaction), job)
    }

    /// Revokes all keys of a batch, and makes no more.
    ///
    /// - Throws: ``ProvisioningError`` `batchNotFound`.
    package func revoke(
        batch id: UUID, reason: String?, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob) {
        _ = try await lock(id, in: transaction)
        let job = try await revoke(KeySelection(batchId: id), reason: reason, by: actor, in: transaction)
        return (try await lock(id, in: transaction), job)
    }

    /// Prolongs all keys of a batch.
    ///
    /// - Throws: ``ProvisioningError`` `batchNotFound`, `expiryInPast`.
    package func extend(
        batch id: UUID, to expiresAt: Date, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> (batch: KeyBatch, job: EnqueuedJob) {
        _ = try await lock(id, in: transaction)
        let job = try await extend(KeySelection(batchId: id), to: expiresAt, by: actor, in: transaction)
        // For keys that are still to be made.
        try await batches.extend(id, to: expiresAt, in: transaction)
        return (try await lock(id, in: transaction), job)
    }

    private func lock(_ id: UUID, in transaction: PostgresTransaction) async throws -> KeyBatch {
        guard let batch = try await batches.lock(id, in: transaction) else {
            throw ProvisioningError(.batchNotFound, "There is no batch of keys with this id.")
        }
        return batch
    }

    private func stop(
        _ batch: KeyBatch, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws {
        try await batches.cancel(batch.id, in: transaction)
        // Also a job from before a retry that somebody brought back.
        for jobId in try await queue.unfinished(orderKey: KeysBulk(batchId: batch.id).orderKey, in: transaction) {
            do {
                try await queue.cancel(id: jobId, by: actor.name, in: transaction)
            } catch JobQueueError.notFound, JobQueueError.wrongState {
                // It has ended meanwhile.
            }
        }
    }

    // MARK: Many keys

    /// What is meant now.
    package func preview(
        _ selection: KeySelection, in executor: any PostgresExecutor
    ) async throws -> KeyBulkPreview {
        let ids = try await keys.keys.selected(selection, after: nil, limit: Self.sampleSize, in: executor)
        var sample: [APIKey] = []
        for id in ids {
            if let key = try await keys.keys.find(id, in: executor) { sample.append(key) }
        }
        return KeyBulkPreview(
            count: try await keys.keys.count(selection, in: executor),
            waiting: try await batches.countWaiting(selection, in: executor), sample: sample)
    }

    /// Stores the job that prolongs the keys; those that last longer already stay as they are.
    ///
    /// - Throws: ``ProvisioningError`` `expiryInPast`.
    package func extend(
        _ selection: KeySelection, to expiresAt: Date, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        guard expiresAt > keys.now() else {
            throw ProvisioningError(.expiryInPast, "The time of expiry lies in the past.", field: "expiresAt")
        }
        let selection = try await fixed(selection, in: transaction)
        let kind = KeysBulkExtend(selection: selection, expiresAt: expiresAt)
        return try await enqueue(
            kind, "API_KEYS_BULK_EXTEND", selection, ["expiresAt": .string(ISO8601.string(from: expiresAt))],
            by: actor, in: transaction)
    }

    /// Stores the job that revokes the keys. Those that are not made yet stay unmade: their batches are stopped.
    package func revoke(
        _ selection: KeySelection, reason: String?, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        for id in try await batches.unmade(selection, in: transaction) {
            // Waits for a chunk that is being made: what it makes is meant too.
            let batch = try await lock(id, in: transaction)
            try await stop(batch, by: actor, in: transaction)
            try await note(
                "API_KEYS_BULK_CANCEL", batch, batch.jobId, ["revoke": true], by: actor, in: transaction)
        }
        let selection = try await fixed(selection, in: transaction)
        return try await enqueue(
            KeysBulkRevoke(selection: selection, reason: reason), "API_KEYS_BULK_REVOKE", selection,
            reason.map { ["reason": .string($0)] } ?? [:], by: actor, in: transaction)
    }

    /// Keys that are given these labels later are not meant.
    private func fixed(_ selection: KeySelection, in transaction: PostgresTransaction) async throws -> KeySelection {
        var selection = selection
        if selection.batchId == nil { selection.asOf = try await transaction.now() }
        return selection
    }

    private func enqueue(
        _ kind: some JobKind, _ action: String, _ selection: KeySelection, _ values: [String: JSONValue],
        by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        var options = JobOptions()
        options.requester = actor.requester
        options.resource = selection.batchId.map { JobResource(type: "key_batch", id: $0.text) }
        let job = try await queue.enqueue(kind, options: options, in: transaction)
        var values = values
        if selection.batchId == nil {
            values["labels"] = .array(selection.labels.map(JSONValue.string))
            values["match"] = .string(selection.match.rawValue)
        }
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "key_batch", resourceId: selection.batchId?.text,
                newValues: .object(values), jobId: job.id),
            in: transaction)
        return job
    }

    private func note(
        _ action: String, _ batch: KeyBatch, _ jobId: Int64?, _ values: JSONValue, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws {
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "key_batch", resourceId: batch.id.text, newValues: values,
                jobId: jobId),
            in: transaction)
    }
}
