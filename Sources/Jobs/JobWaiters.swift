import Foundation
package import Logging
import ServiceLifecycle
package import Shared
import Synchronization

/// Lets requests wait for the end of jobs: one listener for the whole process, a slow poll as the truth.
package final class JobWaiters: Service {
    private struct State {
        var signals: [Int64: [UUID: WakeSignal]] = [:]
        var count = 0
        var isStopping = false
    }

    private let state = Mutex(State())
    private let queue: JobQueue
    private let listener: PostgresListener
    private let limit: Int
    private let logger: Logger

    /// - Parameter limit: how many requests may wait at once; others are answered with the job as it is.
    package init(queue: JobQueue, listener: PostgresListener, limit: Int = 2000, logger: Logger) {
        self.queue = queue
        self.listener = listener
        self.limit = limit
        self.logger = logger
    }

    /// Requests that wait now.
    package var count: Int { state.withLock { $0.count } }

    /// Those of them that have seen their job as it is and listen for its next change.
    var listening: Int {
        state.withLock { $0.signals.values.reduce(0) { $0 + $1.values.count { $0.isAwaited } } }
    }

    /// Passes notifications on until graceful shutdown, then lets every waiter go.
    package func run() async throws {
        await withGracefulShutdownHandler {
            for await event in listener.events().cancelOnGracefulShutdown() { ring(event) }
        } onGracefulShutdown: {
            self.release()
        }
        release()
    }

    /// Waits until the job has ended or the time is over.
    ///
    /// - Returns: the job as it is then, or nil when there is none. Returns at once when too many wait already.
    package func wait(for id: Int64, atMost limit: Duration) async throws -> JobSnapshot? {
        let deadline = ContinuousClock.now + limit
        guard let signal = enter(id) else { return try await queue.job(id: id) }
        defer { leave(id, signal.token) }
        try await queue.store.watch(jobId: id, in: queue.database)
        var pause: Duration = .milliseconds(250)
        while true {
            guard let snapshot = try await queue.store.snapshot(jobId: id, in: queue.database) else { return nil }
            let left = deadline - .now
            if snapshot.state.isFinal { return snapshot }
            if left <= .zero || state.withLock({ $0.isStopping }) { return try await queue.job(id: id) }
            await signal.signal.wait(atMost: min(pause, left))
            try Task.checkCancellation()
            pause = min(pause * 2, .seconds(1))
        }
    }

    /// The job whenever it changes, until it has ended; the first value is the job as it is now.
    ///
    /// - Returns: nil when too many wait already.
    package func changes(of id: Int64) -> AsyncThrowingStream<JobSnapshot, any Error>? {
        guard let signal = enter(id) else { return nil }
        return AsyncThrowingStream { continuation in
            let task = Task {
                defer { self.leave(id, signal.token) }
                do {
                    try await self.queue.store.watch(jobId: id, in: self.queue.database)
                    var last: (JobState, Int, JobProgress?)?
                    while !Task.isCancelled, let snapshot = try await self.queue.job(id: id) {
                        let now = (snapshot.state, snapshot.attempt, snapshot.progress)
                        if last.map({ $0 != now }) ?? true { continuation.yield(snapshot) }
                        last = now
                        if snapshot.state.isFinal || self.state.withLock({ $0.isStopping }) { break }
                        await signal.signal.wait(atMost: .milliseconds(500))
                    }
                    continuation.finish()
                } catch {
                    continuation.finish(throwing: error)
                }
            }
            continuation.onTermination = { _ in task.cancel() }
        }
    }

    private func enter(_ id: Int64) -> (token: UUID, signal: WakeSignal)? {
        let token = UUID()
        let signal = WakeSignal()
        return state.withLock { state in
            guard state.count < limit, !state.isStopping else { return nil }
            state.count += 1
            state.signals[id, default: [:]][token] = signal
            return (token, signal)
        }
    }

    private func leave(_ id: Int64, _ token: UUID) {
        state.withLock { state in
            guard state.signals[id]?.removeValue(forKey: token) != nil else { return }
            if state.signals[id]?.isEmpty == true { state.signals[id] = nil }
            state.count -= 1
        }
    }

    private func ring(_ event: PostgresListenerEvent) {
        let signals = state.withLock { state -> [WakeSignal] in
            switch event {
            case .notification(let channel, let payload) where channel == JobChannel.finished:
                payload.split(separator: ",").compactMap { Int64($0) }.flatMap { id in
                    state.signals[id].map { Array($0.values) } ?? []
                }
            case .notification: []
            case .mayHaveMissed: state.signals.values.flatMap(\.values)
            }
        }
        for signal in signals { signal.ring() }
    }

    private func release() {
        let signals = state.withLock { state -> [WakeSignal] in
            state.isStopping = true
            return state.signals.values.flatMap(\.values)
        }
        for signal in signals { signal.ring() }
    }
}
