import Foundation
import Shared

/// How a new secret of a key takes the place of the one before it.
struct KeyRotation: Sendable {
    /// How long the one before it works on.
    let grace: Duration
    /// What LiteLLM says the key has spent, in dollars: the new secret must not begin with a fresh budget.
    let spend: Decimal?

    /// Makes the secret the key's own and arranges the end of the one before it. False when it is not wanted any more.
    func swap(to key: APIKey, _ context: JobContext, in transaction: PostgresTransaction) async throws -> Bool {
        let keys = PostgresAPIKeyStore()
        guard let old = try await keys.swap(to: key.hash, of: key.id, grace: grace, in: transaction) else {
            return false
        }
        // Each has a budget and rates of its own in LiteLLM: two at once are enough.
        for hash in try await keys.endGrace(of: key.id, except: old.hash, in: transaction) {
            try await context.retire(hash, of: key.id, at: nil, in: transaction)
        }
        try await context.retire(old.hash, of: key.id, at: grace > .zero ? old.retireAt : nil, in: transaction)
        return true
    }
}

extension JobContext {
    /// Puts in the job that makes LiteLLM refuse a secret that was rotated out, and delete it.
    func retire(_ hash: String, of keyId: UUID, at time: Date?, in transaction: PostgresTransaction) async throws {
        try await services.queue.enqueuer.retire(hash, of: keyId, at: time, requester: requester, in: transaction)
    }
}

extension JobEnd {
    /// The same for one whose rotation has ended without success.
    func retire(_ hash: String, of keyId: UUID, in transaction: PostgresTransaction) async throws {
        let requester = try await PostgresJobStore().requester(ofLive: jobId, in: transaction)
        try await enqueuer.retire(hash, of: keyId, at: nil, requester: requester, in: transaction)
    }
}

extension JobEnqueuer {
    fileprivate func retire(
        _ hash: String, of keyId: UUID, at time: Date?, requester: JobRequester, in transaction: PostgresTransaction
    ) async throws {
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "api_key", id: keyId.text)
        options.runAt = time
        _ = try await enqueue(KeyRetire(keyId: keyId, hash: hash), options: options, in: transaction)
    }
}
