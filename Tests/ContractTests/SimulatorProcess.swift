import Foundation
import TestSupport
import Testing

/// A simulator running as a process of its own on a free port.
final class SimulatorProcess: Sendable {
    static let masterKey = "sk-contract-master"

    struct StartError: Error, CustomStringConvertible {
        let description: String
    }

    let url: String
    private let process: ChildProcess
    private let log: URL

    var wire: Wire { Wire(url: url, masterKey: Self.masterKey) }

    /// Runs `body` with a simulator that was started with `arguments`, and stops it afterwards.
    static func with<Result>(
        _ arguments: [String] = [], _ body: (SimulatorProcess) async throws -> Result
    ) async throws -> Result {
        let simulator = try await SimulatorProcess(arguments)
        do {
            let result = try await body(simulator)
            try await simulator.stop()
            return result
        } catch {
            try await simulator.stop()
            throw error
        }
    }

    /// Starts a simulator and waits for its first line.
    init(_ arguments: [String] = []) async throws {
        log = FileManager.default.temporaryDirectory.appending(path: "simulator-\(UUID().uuidString).log")
        process = try ChildProcess(
            Self.program(), ["--port", "0", "--master-key", Self.masterKey] + arguments, environment: [:], output: log)
        do {
            url = try await Self.announcedURL(process, log)
        } catch {
            await process.stop()
            try FileManager.default.removeItem(at: log)
            throw error
        }
    }

    /// What it says once it listens. Throws when it ends before.
    private static func announcedURL(_ process: ChildProcess, _ log: URL) async throws -> String {
        let announcement = "litellm-simulator: listening on "
        while true {
            let isLast = process.status != nil
            let text = try String(contentsOf: log, encoding: .utf8)
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
            if let line = lines.first(where: { $0.hasPrefix(announcement) }) {
                return String(line.dropFirst(announcement.count))
            }
            guard !isLast else { throw StartError(description: "the simulator did not start: \(text)") }
            try await Task.sleep(for: .milliseconds(10))
        }
    }

    /// Asks it to stop and waits until it has; kills it after ten seconds. May be repeated.
    ///
    /// - Returns: its exit status, 128 and more when a signal ended it.
    @discardableResult
    func stop() async throws -> Int32 {
        let status = await process.stop(within: .seconds(10))
        if FileManager.default.fileExists(atPath: log.path) { try FileManager.default.removeItem(at: log) }
        return status
    }

    /// The built program beside the test bundle, or what LITELLM_SIMULATOR names.
    private static func program() throws -> URL {
        if let path = ProcessInfo.processInfo.environment["LITELLM_SIMULATOR"] { return URL(filePath: path) }
        return try BuiltProgram("litellm-simulator").url
    }
}
