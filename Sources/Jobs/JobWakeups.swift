import Logging
import Shared
import Synchronization

/// Tells workers and waiters, after the commit and coalesced, what there is to do. A NOTIFY inside the inserting
/// transaction would serialise commits in the whole cluster; a lost one costs a poll interval, nothing more.
final class JobWakeups: Sendable {
    private struct Pending {
        var queues: Set<Int16> = []
        var finished: [Int64] = []
        var isSending = false
    }

    private let pending = Mutex(Pending())
    private let localListeners = Mutex<[@Sendable (Int16?) -> Void]>([])
    private let database: PostgresClient
    private let store: PostgresJobStore
    private let logger: Logger

    init(database: PostgresClient, store: PostgresJobStore, logger: Logger) {
        self.database = database
        self.store = store
        self.logger = logger
    }

    /// Lets an engine in this process hear at once, without a round trip. Nil stands for "something became due".
    func listenLocally(_ listener: @escaping @Sendable (Int16?) -> Void) {
        localListeners.withLock { $0.append(listener) }
    }

    func ready(_ queueId: Int16) async {
        for listener in localListeners.withLock({ $0 }) { listener(queueId) }
        send { $0.queues.insert(queueId) }
    }

    func finished(_ ids: [Int64]) async {
        send { $0.finished.append(contentsOf: ids) }
    }

    /// A running job is to end: its worker, known by its row id, looks.
    func cancelled(_ worker: Int32) async {
        do {
            try await store.announceCancel(worker: worker, in: database)
        } catch {
            // The worker's next heartbeat sees it.
            logger.warning("a cancellation could not be announced", metadata: ["error": "\(error)"])
        }
    }

    /// A waiting job was made due: the promoters look again.
    func due() async {
        for listener in localListeners.withLock({ $0 }) { listener(nil) }
        send { $0.queues.insert(0) }
    }

    /// The first caller's news goes out at once; what arrives meanwhile goes with the next round. In a task of its own:
    /// a request that enqueued one job must not wait for a round trip, or stay to send the news of others.
    private func send(_ add: (inout Pending) -> Void) {
        let isFirst = pending.withLock { pending -> Bool in
            add(&pending)
            defer { pending.isSending = true }
            return !pending.isSending
        }
        if isFirst { Task { await drain() } }
    }

    private func drain() async {
        while true {
            let batch = pending.withLock { pending -> Pending? in
                if pending.queues.isEmpty && pending.finished.isEmpty {
                    pending.isSending = false
                    return nil
                }
                defer {
                    pending.queues = []
                    pending.finished = []
                }
                return pending
            }
            guard let batch else { return }
            do {
                try await store.announce(queues: batch.queues, finished: batch.finished, in: database)
            } catch {
                // The pollers find the work; nothing is lost.
                logger.warning("a wake-up could not be sent", metadata: ["error": "\(error)"])
            }
        }
    }
}
