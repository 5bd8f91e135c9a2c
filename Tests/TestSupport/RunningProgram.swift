package import Foundation
import Glibc

/// A program of this package that runs beside the test, with everything it says in a file.
package final class RunningProgram: Sendable {
    /// Where its output and its errors go.
    package let log: URL
    private let process: ChildProcess

    /// Starts the program with nothing but `environment` (and `PATH`). Throws when it was not built or cannot start.
    package init(
        _ name: String, _ arguments: [String] = [], environment: [String: String], log: URL
    ) throws {
        self.log = log
        process = try ChildProcess(
            BuiltProgram(name).url, arguments, environment: BuiltProgram.environment(environment), output: log)
    }

    /// Sends a signal, unless it has ended.
    package func signal(_ number: Int32) { process.signal(number) }

    /// Asks it to stop and waits until it has; kills it after `limit`.
    ///
    /// - Returns: its exit status, 128 and more when a signal ended it.
    @discardableResult
    package func stop(within limit: Duration = .seconds(30)) async -> Int32 {
        await process.stop(within: limit)
    }
}

/// A port of 127.0.0.1 that nothing listens on at this moment.
package func freePort() throws -> Int {
    let (descriptor, port) = try listenOnLoopback(backlog: 1)
    _ = close(descriptor)
    return port
}
