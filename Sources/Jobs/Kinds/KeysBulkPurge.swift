import Foundation
import Shared

/// Deletes batches of keys that ended and whose time is over. Their keys stay, with their labels.
package struct KeysBulkPurge: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Batches that went.
        package var batches: Int
    }

    /// Batches looked at in one transaction; each has up to ``KeyBatches/limit`` rows.
    private static let chunk = 10

    package static let name = "keys.bulkPurge"
    package static let timeout: Duration = .seconds(600)

    /// Days that batches are kept, from when they were asked for; 1 or more.
    package let days: Int

    package init(days: Int) {
        self.days = days
    }

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        guard (1...3650).contains(days) else {
            throw JobFailure.permanent(
                code: "invalid_retention", message: "days is \(days); use 1 to 3650 in the schedule's parameters.")
        }
        var output = Output(batches: 0)
        var last: UUID?
        while true {
            let after = last
            let (seen, deleted) = try await context.transaction { transaction -> (UUID?, Int) in
                let store = PostgresKeyBatchStore()
                let old = try await store.lockOld(days: days, after: after, limit: Self.chunk, in: transaction)
                guard !old.isEmpty else { return (nil, 0) }
                // Whoever adds a job to a batch has locked it: after the lock all of them are seen. A job that revokes
                // its keys finds them by the batch.
                let busy = Set(
                    try await context.store.unfinished(
                        resources: old.map(\.text), of: "key_batch", in: transaction))
                let ended = old.filter { !busy.contains($0.text) }
                return (old.last, try await store.deleteEnded(ended, in: transaction))
            }
            output.batches += deleted
            guard let seen else { return output }
            last = seen
        }
    }
}
