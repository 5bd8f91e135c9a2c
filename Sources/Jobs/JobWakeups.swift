import Logging
import Shared
import Synchronization

/// What became ready: in queues, of which in some there may be jobs that claimers have passed already; and whether a
/// waiting job was made due.
struct ReadyNews: Sendable, Equatable {
    var queues: Set<Int16> = []
    var again: Set<Int16> = []
    var isDue = false

    init(queues: Set<Int16> = [], again: Set<Int16> = [], isDue: Bool = false) {
        self.queues = queues
        self.again = again
        self.isDue = isDue
    }

    /// Reads a payload: queue ids separated by commas, 0 for what became due, `a` before those to look at again.
    /// Anything else is for newer versions.
    init(_ payload: String) {
        for part in payload.split(separator: ",") {
            if part.hasPrefix("a"), let id = Int16(part.dropFirst()) {
                again.insert(id)
            } else if let id = Int16(part) {
                if id == 0 { isDue = true } else { queues.insert(id) }
            }
        }
    }

    var payload: String {
        (queues.sorted().map { String($0) } + again.sorted().map { "a\($0)" } + (isDue ? ["0"] : []))
            .joined(separator: ",")
    }

    var isEmpty: Bool { queues.isEmpty && again.isEmpty && !isDue }

    mutating func add(_ news: ReadyNews) {
        queues.formUnion(news.queues)
        again.formUnion(news.again)
        isDue = isDue || news.isDue
    }
}

/// Tells workers and waiters, after the commit and coalesced, what there is to do. A NOTIFY inside the inserting
/// transaction would serialise commits in the whole cluster; a lost one costs a poll interval, nothing more.
final class JobWakeups: Sendable {
    private struct Pending {
        var ready = ReadyNews()
        var finished: [Int64] = []
        var isSending = false
    }

    private let pending = Mutex(Pending())
    private let localListeners = Mutex<[@Sendable (ReadyNews) -> Void]>([])
    private let database: PostgresClient
    private let store: PostgresJobStore
    private let logger: Logger

    init(database: PostgresClient, store: PostgresJobStore, logger: Logger) {
        self.database = database
        self.store = store
        self.logger = logger
    }

    /// Lets an engine in this process hear at once, without a round trip.
    func listenLocally(_ listener: @escaping @Sendable (ReadyNews) -> Void) {
        localListeners.withLock { $0.append(listener) }
    }

    /// A queue has ready jobs. Ordinary new ones come last; others may stand where claimers have passed already.
    func ready(_ queueId: Int16, isNew: Bool = false) async {
        announce(ReadyNews(queues: [queueId], again: isNew ? [] : [queueId]))
    }

    private func announce(_ news: ReadyNews) {
        tellLocally(news)
        send { $0.ready.add(news) }
    }

    /// Tells the engines in this process what others are told by another way.
    func tellLocally(_ news: ReadyNews) {
        for listener in localListeners.withLock({ $0 }) { listener(news) }
    }

    /// A wake-up is lost: the pollers find the work.
    func couldNotSend(_ error: any Error) {
        logger.warning("a wake-up could not be sent", metadata: ["error": "\(error)"])
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
    func due() async { announce(ReadyNews(isDue: true)) }

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
                if pending.ready.isEmpty && pending.finished.isEmpty {
                    pending.isSending = false
                    return nil
                }
                defer {
                    pending.ready = ReadyNews()
                    pending.finished = []
                }
                return pending
            }
            guard let batch else { return }
            do {
                try await store.announce(ready: batch.ready, finished: batch.finished, in: database)
            } catch {
                couldNotSend(error)
            }
        }
    }
}
