import Foundation
import Hummingbird
import Jobs
import Shared

/// What became of one item of a request that names several.
struct EachResult: Sendable {
    let id: UUID
    /// The jobs that carry it to LiteLLM, as `KeyJobView` writes them.
    var keyJobs: [JSONValue] = []
    /// Why it was not done.
    var error: APIError?
    /// Whether an earlier request with the same `Idempotency-Key` has done it.
    var isReplayed = false
}

extension Changes {
    private static let keyJobsMember = "keyJobs"
    /// Two requests that meet on several rows of one item: one of them begins again.
    private static let retries = 2

    /// Runs a change for each item in a transaction of its own, so that an item that is refused takes none of the
    /// others along. An `Idempotency-Key` holds for each item by itself: a repetition goes on where the first request
    /// ended.
    ///
    /// Throws what concerns the request as a whole, and the first item's error when none could be tried at all.
    func performEach(
        _ call: AuthenticatedCall, body: [UInt8], ids: [UUID],
        _ change: @escaping @Sendable (UUID, PostgresTransaction) async throws -> [KeyJob]
    ) async throws -> [EachResult] {
        let key = try IdempotencyKey(call, body: body)
        var results: [EachResult] = []
        for id in ids {
            do {
                results.append(
                    try await database.withTransaction(retries: Self.retries) { transaction in
                        try await once(id, key, in: transaction) { try await change(id, transaction) }
                    })
            } catch let error as CancellationError {
                throw error
            } catch {
                let refusal = ErrorTranslator.apiError(for: error)
                if refusal.code == .idempotencyKeyReused { throw refusal }
                results.append(EachResult(id: id, error: refusal))
            }
        }
        if let first = results.first?.error, results.allSatisfy({ ($0.error?.status.code ?? 0) >= 500 }) { throw first }
        return results
    }

    private func once(
        _ id: UUID, _ key: IdempotencyKey?, in transaction: PostgresTransaction,
        _ change: () async throws -> [KeyJob]
    ) async throws -> EachResult {
        let answers = PostgresIdempotencyStore()
        guard let key else { return EachResult(id: id, keyJobs: try await change().map(Self.json)) }
        var scope = key.scope
        scope.key += "/\(id.text)"
        do {
            switch try await answers.claim(
                scope, bodyHash: key.bodyHash, wait: IdempotencyKey.wait, in: transaction)
            {
            case .answered(let stored):
                return EachResult(
                    id: id, keyJobs: stored.body?[Self.keyJobsMember]?.arrayValue ?? [], isReplayed: true)
            case .otherBody: throw APIError.idempotencyKeyReused
            case .first:
                let keyJobs = try await change().map(Self.json)
                let body: JSONValue = .object([Self.keyJobsMember: .array(keyJobs)])
                try await answers.store(
                    StoredAnswer(status: 200, body: body, headers: [:]), for: scope, in: transaction)
                return EachResult(id: id, keyJobs: keyJobs)
            }
        } catch is IdempotencyInProgress {
            throw APIError.idempotencyKeyInProgress
        }
    }

    private static func json(_ job: KeyJob) -> JSONValue {
        ["keyId": .string(job.keyId.text), "jobId": .string(String(job.job.id))]
    }
}
