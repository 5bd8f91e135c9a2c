import CCurl
import Foundation
import Glibc
import Synchronization

/// The thread of libcurl's multi loop, and the executor of the actor that owns the transfers: jobs of that actor run
/// between two rounds of the loop, so transfers are touched on one thread only and no cooperative thread ever waits.
///
/// The thread starts with the first job. After `stop` it ends once there is no job left; a later job starts it again
/// just for itself, so that nothing awaiting the actor is ever left hanging.
final class CurlExecutor: SerialExecutor, Sendable {
    private struct State {
        var jobs: [UnownedJob] = []
        var isRunning = false
        var isStopped = false
        var thread: pthread_t?
        var multi: CurlMulti?
        var round: (@Sendable (CurlMulti) -> Int32)?
    }

    private let state: Mutex<State>

    init(multi: CurlMulti) {
        state = Mutex(State(multi: multi))
    }

    /// Sets what the loop does in each round; it answers how many milliseconds to wait at most afterwards.
    func onRound(_ round: @escaping @Sendable (CurlMulti) -> Int32) {
        state.withLock { $0.round = round }
    }

    /// Lets the thread end when no job is left; the multi handle and its connections go with it.
    func stop() {
        state.withLock {
            $0.isStopped = true
            $0.round = nil
            if $0.isRunning { $0.multi?.wakeUp() } else { $0.multi = nil }
        }
    }

    func enqueue(_ job: consuming ExecutorJob) {
        let unowned = UnownedJob(job)
        let mustStart = state.withLock { state in
            state.jobs.append(unowned)
            if state.isRunning {
                state.multi?.wakeUp()
                return false
            }
            state.isRunning = true
            return true
        }
        guard mustStart else { return }
        Thread { self.loop() }.start()
    }

    func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        unsafe UnownedSerialExecutor(ordinary: self)
    }

    func checkIsolated() {
        precondition(isIsolatingCurrentContext() == true, "not on the curl thread")
    }

    func isIsolatingCurrentContext() -> Bool? {
        state.withLock { state in
            state.thread.map { pthread_equal($0, pthread_self()) != 0 } ?? false
        }
    }

    private func loop() {
        blockBrokenPipeSignal()
        unsafe ccurl_name_thread("curl")
        state.withLock { $0.thread = pthread_self() }
        while true {
            let (jobs, multi, round) = state.withLock { state in
                defer { state.jobs = [] }
                return (state.jobs, state.multi, state.round)
            }
            for job in jobs {
                unsafe job.runSynchronously(on: asUnownedSerialExecutor())
            }
            var wait: Int32 = 0
            if let multi, let round { wait = round(multi) }
            if endIfStopped() { return }
            if state.withLock({ $0.jobs.isEmpty }) { multi?.poll(milliseconds: wait) }
        }
    }

    /// Frees the multi handle here, on the loop's thread and outside the lock, since closing writes to connections.
    private func endIfStopped() -> Bool {
        let (ends, multi) = state.withLock { state -> (Bool, CurlMulti?) in
            guard state.isStopped, state.jobs.isEmpty else { return (false, nil) }
            state.isRunning = false
            state.thread = nil
            return (true, state.multi.take())
        }
        multi?.close()
        return ends
    }

    /// OpenSSL writes without MSG_NOSIGNAL; a signal of this thread's own making is dropped when it blocks it.
    private func blockBrokenPipeSignal() {
        var signals = sigset_t()
        _ = unsafe sigemptyset(&signals)
        _ = unsafe sigaddset(&signals, SIGPIPE)
        _ = unsafe pthread_sigmask(SIG_BLOCK, &signals, nil)
    }
}
