package import Foundation
import Glibc
import Synchronization

/// A program that runs beside the test.
///
/// Foundation's `Process` hands the signal mask of the thread that starts it on to the child, which may then be deaf
/// to SIGTERM, and its pipe handles close descriptors that a dispatch source still watches. Here the child starts with
/// no signal blocked, its words go into files, and a thread of its own waits for its end.
package final class ChildProcess: Sendable {
    /// How a program ended: its exit status, or the signal's number plus 128.
    package typealias Status = Int32

    /// Why it could not start.
    package struct StartError: Error, CustomStringConvertible {
        /// One sentence.
        package let description: String
    }

    private struct State {
        var isReaped = false
        var status: Status?
        var waiters: [CheckedContinuation<Status, Never>] = []
    }

    private let pid: pid_t
    private let state = Mutex(State())

    /// Starts a program.
    ///
    /// - Parameters:
    ///   - environment: all of it.
    ///   - output: where its words go; nil throws them away. The file is made, or emptied.
    ///   - errors: where its errors go; nil for the same place as `output`.
    package init(
        _ program: URL, _ arguments: [String], environment: [String: String], directory: URL? = nil,
        output: URL? = nil, errors: URL? = nil
    ) throws {
        var actions = unsafe posix_spawn_file_actions_t()
        unsafe posix_spawn_file_actions_init(&actions)
        defer { unsafe posix_spawn_file_actions_destroy(&actions) }
        let write = O_WRONLY | O_CREAT | O_TRUNC | O_APPEND
        unsafe posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
        unsafe posix_spawn_file_actions_addopen(&actions, 1, output?.path ?? "/dev/null", write, 0o644)
        if let errors {
            unsafe posix_spawn_file_actions_addopen(&actions, 2, errors.path, write, 0o644)
        } else {
            unsafe posix_spawn_file_actions_adddup2(&actions, 1, 2)
        }
        var attributes = posix_spawnattr_t()
        unsafe posix_spawnattr_init(&attributes)
        defer { unsafe posix_spawnattr_destroy(&attributes) }
        var none = sigset_t()
        unsafe sigemptyset(&none)
        unsafe posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        unsafe sigfillset(&all)
        unsafe posix_spawnattr_setsigdefault(&attributes, &all)
        unsafe posix_spawnattr_setflags(&attributes, Int16(POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF))

        let words = (directory.map { ["/usr/bin/env", "-C", $0.path] } ?? []) + [program.path] + arguments
        let strings = unsafe words.map { unsafe strdup($0) }
        let variables = unsafe environment.map { unsafe strdup("\($0.key)=\($0.value)") }
        defer { unsafe (strings + variables).forEach { unsafe free($0) } }
        var child: pid_t = 0
        let code = unsafe posix_spawn(&child, words[0], &actions, &attributes, strings + [nil], variables + [nil])
        guard code == 0 else { throw StartError(description: "\(program.path) does not start (error \(code))") }
        pid = child
        Thread { [self] in reap() }.start()
    }

    /// How it ended; nil while it runs.
    package var status: Status? { state.withLock { $0.status } }

    /// Sends a signal, unless the program has ended.
    package func signal(_ number: Int32) {
        // Not after it was reaped: the number may belong to another process by then.
        state.withLock { if !$0.isReaped { _ = kill(pid, number) } }
    }

    /// Waits for its end.
    package func wait() async -> Status {
        await withCheckedContinuation { continuation in
            let status = state.withLock { state in
                if state.status == nil { state.waiters.append(continuation) }
                return state.status
            }
            if let status { continuation.resume(returning: status) }
        }
    }

    /// Asks it to stop and waits until it has; kills it after `limit`.
    @discardableResult
    package func stop(within limit: Duration = .seconds(30)) async -> Status {
        signal(SIGTERM)
        let killer = Task {
            try await Task.sleep(for: limit)
            signal(SIGKILL)
        }
        defer { killer.cancel() }
        return await wait()
    }

    private func reap() {
        var info = unsafe siginfo_t()
        while unsafe waitid(P_PID, id_t(pid), &info, WEXITED | WNOWAIT) == -1, errno == EINTR {}
        let (status, waiters) = state.withLock { state in
            var word: Int32 = 0
            unsafe waitpid(pid, &word, 0)
            let signal = word & 0x7f
            let status = signal == 0 ? (word >> 8) & 0xff : 128 + signal
            state.isReaped = true
            state.status = status
            defer { state.waiters = [] }
            return (status, state.waiters)
        }
        for waiter in waiters { waiter.resume(returning: status) }
    }
}
