import CLibPQ
import Foundation
import Glibc
import Synchronization

/// Something the event loop watches: one socket.
protocol PostgresEventHandler: AnyObject, Sendable {
    /// The socket can be read or written, or has failed. Called on the loop's thread.
    nonisolated func socketReady(readable: Bool, writable: Bool)
}

/// The thread that does all reading and writing of one client's connections, and their serial executor.
///
/// It waits in `epoll_wait` for sockets, for work handed over by other threads (an eventfd wakes it) and for timers.
/// Nothing that runs on it may block. The thread starts with the first piece of work and ends after `stop()`, when no
/// socket is watched any more; work that arrives later starts it again, so no job is ever lost.
final class PostgresEventLoop: SerialExecutor {
    private enum Work: Sendable {
        case job(UnownedJob)
        case call(@Sendable () -> Void)
    }

    private struct State: Sendable {
        var work: [Work] = []
        var handlers: [UInt64: any PostgresEventHandler] = [:]
        var lastToken: UInt64 = 0
        var timers = PostgresTimerQueue()
        var isAsleep = false
        var isRunning = false
        var isStopped = false
    }

    private enum Wake {
        case none, signal, start
    }

    /// How many rounds of handed-over work may run before the sockets are looked at again.
    private static let roundsBeforePoll = 8

    private let name: String
    private let epoll: Int32
    private let wakeup: Int32
    private let state = Mutex(State())
    private let threadIdentity = Atomic<UInt>(0)

    /// Creates its two descriptors. A process that cannot have them when it starts cannot do anything else either.
    init(name: String) {
        self.name = name
        epoll = clibpq_epoll_create()
        wakeup = clibpq_eventfd_create()
        let isReady = epoll >= 0 && wakeup >= 0 && clibpq_epoll_add_eventfd(epoll, wakeup) == 0
        precondition(isReady, "the process has no file descriptors left for an event loop")
    }

    deinit {
        Glibc.close(epoll)
        Glibc.close(wakeup)
    }

    // MARK: Handing work over

    func enqueue(_ job: consuming ExecutorJob) {
        push(.job(UnownedJob(job)))
    }

    func checkIsolated() {
        precondition(isOnThread, "this must run on the event loop's thread")
    }

    /// Whether the caller is on the loop's thread.
    var isOnThread: Bool {
        threadIdentity.load(ordering: .relaxed) == UInt(pthread_self())
    }

    /// Runs `call` on the loop's thread, after everything handed over before it.
    func submit(_ call: @escaping @Sendable () -> Void) {
        push(.call(call))
    }

    /// Runs `action` on the loop's thread when `deadline` has passed, unless the loop was stopped before.
    func schedule(at deadline: ContinuousClock.Instant, _ action: @escaping @Sendable () -> Void) {
        wake(
            state.withLock { state in
                guard !state.isStopped else { return .none }
                let isEarliest = state.timers.insert(deadline, action)
                return isEarliest ? Self.wake(for: &state) : .none
            })
    }

    private func push(_ work: Work) {
        wake(
            state.withLock { state in
                state.work.append(work)
                return Self.wake(for: &state)
            })
    }

    private static func wake(for state: inout State) -> Wake {
        guard state.isRunning else {
            state.isRunning = true
            return .start
        }
        guard state.isAsleep else { return .none }
        state.isAsleep = false
        return .signal
    }

    private func wake(_ wake: Wake) {
        switch wake {
        case .none: break
        case .signal: _ = clibpq_eventfd_signal(wakeup)
        case .start:
            let thread = Thread { self.run() }
            thread.name = name
            thread.start()
        }
    }

    /// Lets the thread end when the last socket is gone; timers are dropped.
    func stop() {
        wake(
            state.withLock { state in
                state.isStopped = true
                state.timers = PostgresTimerQueue()
                return state.isRunning ? Self.wake(for: &state) : .none
            })
    }

    // MARK: Sockets

    /// Watches a socket for reading; the token stands for it from now on. Nil when the kernel refuses.
    func watch(_ descriptor: Int32, _ handler: any PostgresEventHandler) -> UInt64? {
        let token = state.withLock { state in
            state.lastToken += 1
            state.handlers[state.lastToken] = handler
            return state.lastToken
        }
        guard clibpq_epoll_add(epoll, descriptor, token) == 0 else {
            state.withLock { _ = $0.handlers.removeValue(forKey: token) }
            return nil
        }
        return token
    }

    /// Also watches for room to write, or no longer.
    func setWritable(_ descriptor: Int32, token: UInt64, _ isWanted: Bool) {
        _ = clibpq_epoll_modify(epoll, descriptor, token, isWanted ? 1 : 0)
    }

    /// Forgets a socket; has to come before the descriptor is closed.
    func unwatch(_ descriptor: Int32, token: UInt64) {
        _ = clibpq_epoll_remove(epoll, descriptor)
        state.withLock { _ = $0.handlers.removeValue(forKey: token) }
    }

    // MARK: The thread

    private func run() {
        threadIdentity.store(UInt(pthread_self()), ordering: .relaxed)
        var events = [clibpq_event](repeating: clibpq_event(), count: 64)
        var spare: [Work] = []
        while true {
            let isIdle = runWork(&spare)
            guard let timeout = prepareToSleep(mayBlock: isIdle) else { return }
            let count = unsafe events.withUnsafeMutableBufferPointer { buffer in
                unsafe clibpq_epoll_wait(epoll, buffer.baseAddress, Int32(buffer.count), timeout)
            }
            state.withLock { $0.isAsleep = false }
            for event in events.prefix(Int(max(count, 0))) where event.token != 0 {
                let handler = state.withLock { $0.handlers[event.token] }
                handler?.socketReady(readable: event.readable != 0, writable: event.writable != 0)
            }
            runTimers()
        }
    }

    /// Runs what was handed over; true when nothing is left.
    private func runWork(_ spare: inout [Work]) -> Bool {
        for _ in 0..<Self.roundsBeforePoll {
            state.withLock { state in
                swap(&state.work, &spare)
            }
            if spare.isEmpty { return true }
            for work in spare {
                switch work {
                case .job(let job): unsafe job.runSynchronously(on: asUnownedSerialExecutor())
                case .call(let call): call()
                }
            }
            spare.removeAll(keepingCapacity: true)
        }
        return false
    }

    /// The milliseconds to wait; nil when the thread has nothing left to do and ends.
    private func prepareToSleep(mayBlock: Bool) -> Int32? {
        state.withLock { state in
            guard mayBlock, state.work.isEmpty else { return 0 }
            if state.isStopped, state.handlers.isEmpty {
                state.isRunning = false
                threadIdentity.store(0, ordering: .relaxed)
                return nil
            }
            state.isAsleep = true
            guard let deadline = state.timers.earliest else { return -1 }
            let wait = (deadline - ContinuousClock.now).inMilliseconds
            // Rounded up: waking before the deadline would only turn the loop once more.
            return Int32(clamping: max(wait, 0) + 1)
        }
    }

    private func runTimers() {
        while let action = state.withLock({ state in state.timers.popDue(at: ContinuousClock.now) }) {
            action()
        }
    }
}
