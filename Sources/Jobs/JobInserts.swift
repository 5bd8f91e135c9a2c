import Logging
import Shared
import Synchronization

/// Single enqueues outside a caller's transaction, put together: the first one goes at once, and what arrives while it
/// is on its way goes with the next statement. Each caller hears only once its job is committed.
final class JobInserts: Sendable {
    typealias Plain = PostgresJobStore.PlainJob

    private struct Waiting: Sendable {
        var job: Plain
        var continuation: CheckedContinuation<EnqueuedJob, any Error>
    }
    private struct Pending {
        var waiting: [Waiting] = []
        var sending = 0
    }
    /// Statements under way at once: while one is made durable, the next one is prepared.
    private static let lanes = 2
    /// The most jobs of one statement.
    private static let limit = 500

    private let pending = Mutex(Pending())
    private let database: PostgresClient
    private let store: PostgresJobStore
    private let wakeups: JobWakeups

    init(database: PostgresClient, store: PostgresJobStore, wakeups: JobWakeups) {
        self.database = database
        self.store = store
        self.wakeups = wakeups
    }

    /// Puts a job in and returns once it is committed. A caller that is cancelled meanwhile still gets its answer.
    func enqueue(_ job: Plain) async throws -> EnqueuedJob {
        try await withCheckedThrowingContinuation { continuation in
            let isFree = pending.withLock { pending -> Bool in
                pending.waiting.append(Waiting(job: job, continuation: continuation))
                guard pending.sending < Self.lanes else { return false }
                pending.sending += 1
                return true
            }
            if isFree { Task { await drain() } }
        }
    }

    private func drain() async {
        while true {
            let batch = pending.withLock { pending -> [Waiting] in
                let batch = Array(pending.waiting.prefix(Self.limit))
                pending.waiting.removeFirst(batch.count)
                if batch.isEmpty { pending.sending -= 1 }
                return batch
            }
            guard !batch.isEmpty else { return }
            await send(batch)
            // Lets those who have just been answered ask again, so that they go together.
            await Task.yield()
        }
    }

    private func send(_ batch: [Waiting]) async {
        do {
            let news = ReadyNews(queues: Set(batch.map(\.job.queueId)))
            let ids = try await store.enqueuePlain(
                batch.map(\.job), announcing: news, onFailure: wakeups.couldNotSend, in: database)
            wakeups.tellLocally(news)
            for (waiting, id) in zip(batch, ids) {
                waiting.continuation.resume(
                    returning: EnqueuedJob(id: id, coalesced: false, state: .ready, superseded: []))
            }
        } catch let error as PostgresError where batch.count > 1 && error.refusesRow {
            // One of them is at fault and nothing was stored: each gets its own answer.
            for waiting in batch { await send([waiting]) }
        } catch {
            for waiting in batch { waiting.continuation.resume(throwing: error) }
        }
    }
}

extension PostgresError {
    /// Whether the statement failed on its values, or on what the tables hold.
    fileprivate var refusesRow: Bool { refusesValue || sqlState?.hasPrefix("23") == true }
}
