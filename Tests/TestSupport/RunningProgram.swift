package import Foundation
import Glibc

/// A program of this package that runs beside the test, with everything it says in a file.
package final class RunningProgram: Sendable {
    /// Where its output and its errors go.
    package let log: URL
    private let pid: Int32
    private let ends: AsyncStream<Int32>

    /// Starts the program with nothing but `environment` (and `PATH`). Throws when it was not built or cannot start.
    package init(
        _ name: String, _ arguments: [String] = [], environment: [String: String], log: URL
    ) throws {
        self.log = log
        try Data().write(to: log)
        let output = try FileHandle(forWritingTo: log)
        let process = Process()
        process.executableURL = try BuiltProgram(name).url
        process.arguments = arguments
        process.environment = ["PATH": "/usr/bin:/bin"].merging(environment) { _, new in new }
        process.standardInput = FileHandle.nullDevice
        process.standardOutput = output
        process.standardError = output
        let (ends, sender) = AsyncStream.makeStream(of: Int32.self)
        process.terminationHandler = { process in
            sender.yield(process.terminationStatus + (process.terminationReason == .uncaughtSignal ? 128 : 0))
            sender.finish()
        }
        self.ends = ends
        try process.run()
        pid = process.processIdentifier
        try output.close()
    }

    /// Asks it to stop and waits until it has; kills it after `limit`.
    ///
    /// - Returns: its exit status, 128 and more when a signal ended it; nil when it had been stopped before.
    @discardableResult
    package func stop(within limit: Duration = .seconds(30)) async -> Int32? {
        kill(pid, SIGTERM)
        let killer = Task { [pid] in
            try await Task.sleep(for: limit)
            kill(pid, SIGKILL)
        }
        defer { killer.cancel() }
        return await ends.first { _ in true }
    }
}

/// A port of 127.0.0.1 that nothing listens on at this moment.
package func freePort() throws -> Int {
    let (descriptor, port) = try listenOnLoopback(backlog: 1)
    _ = close(descriptor)
    return port
}
