import Synchronization

/// Loads values by key, many callers in one query.
///
/// While a query runs, further callers gather for the next one; a caller never joins a query that started before it
/// asked, so it sees everything committed before. With no query running a call starts at once: idle latency is one
/// round trip, and under load the number of queries stays bounded by `concurrency`.
package final class BatchLoader<Key: Hashable & Sendable, Value: Sendable>: Sendable {
    package typealias Load = @Sendable (_ keys: [Key]) async throws -> [Key: Value]

    private struct State {
        var waiting: [Key: [CheckedContinuation<Value?, any Error>]] = [:]
        var running = 0
    }

    private let state = Mutex(State())
    private let load: Load
    private let concurrency: Int
    private let batchLimit: Int

    /// - Parameters:
    ///   - concurrency: queries in flight at most.
    ///   - batchLimit: keys per query at most.
    ///   - load: the query; keys that have no value are absent from its answer.
    package init(concurrency: Int = 2, batchLimit: Int = 500, load: @escaping Load) {
        self.concurrency = concurrency
        self.batchLimit = batchLimit
        self.load = load
    }

    /// Callers whose query has not started.
    package var waitingCount: Int {
        state.withLock { $0.waiting.values.reduce(0) { $0 + $1.count } }
    }

    /// The value of `key`, nil when it has none. Throws what the query throws.
    package func value(for key: Key) async throws -> Value? {
        try await withCheckedThrowingContinuation { continuation in
            let mayStart = state.withLock { state in
                state.waiting[key, default: []].append(continuation)
                guard state.running < concurrency else { return false }
                state.running += 1
                return true
            }
            // The callers of a batch are many: it must outlive the cancellation of any of them.
            if mayStart { Task { await run() } }
        }
    }

    private func run() async {
        while let batch = nextBatch() {
            do {
                let values = try await load(Array(batch.keys))
                for (key, continuations) in batch {
                    for continuation in continuations {
                        continuation.resume(returning: values[key])
                    }
                }
            } catch {
                for continuation in batch.values.joined() {
                    continuation.resume(throwing: error)
                }
            }
        }
    }

    private func nextBatch() -> [Key: [CheckedContinuation<Value?, any Error>]]? {
        state.withLock { state in
            guard !state.waiting.isEmpty else {
                state.running -= 1
                return nil
            }
            guard state.waiting.count > batchLimit else {
                defer { state.waiting = [:] }
                return state.waiting
            }
            var batch: [Key: [CheckedContinuation<Value?, any Error>]] = [:]
            for key in state.waiting.keys.prefix(batchLimit) {
                batch[key] = state.waiting.removeValue(forKey: key)
            }
            return batch
        }
    }
}
