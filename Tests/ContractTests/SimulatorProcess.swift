import Foundation
import Synchronization
import Testing

/// A simulator running as a process of its own on a free port.
final class SimulatorProcess: Sendable {
    static let masterKey = "sk-contract-master"

    struct StartError: Error, CustomStringConvertible {
        let description: String
    }

    /// How it ended.
    struct End: Sendable {
        let status: Int32
        let wasSignalled: Bool
    }

    let url: String
    let pid: Int32
    private let ends: AsyncStream<End>

    var wire: Wire { Wire(url: url, masterKey: Self.masterKey) }

    /// Runs `body` with a simulator that was started with `arguments`, and stops it afterwards.
    static func with<Result>(
        _ arguments: [String] = [], _ body: (SimulatorProcess) async throws -> Result
    ) async throws -> Result {
        let simulator = try await SimulatorProcess(arguments)
        do {
            let result = try await body(simulator)
            _ = await simulator.stop()
            return result
        } catch {
            _ = await simulator.stop()
            throw error
        }
    }

    /// Starts a simulator and waits for its first line.
    init(_ arguments: [String] = []) async throws {
        let process = Process()
        process.executableURL = URL(fileURLWithPath: try Self.program())
        process.arguments = ["--port", "0", "--master-key", Self.masterKey] + arguments
        let output = Pipe()
        process.standardOutput = output
        let (lines, lineSender) = AsyncStream.makeStream(of: String.self)
        output.fileHandleForReading.readabilityHandler = { handle in
            let data = handle.availableData
            if data.isEmpty {
                handle.readabilityHandler = nil
                lineSender.finish()
            } else {
                lineSender.yield(String(decoding: data, as: UTF8.self))
            }
        }
        let (ends, endSender) = AsyncStream.makeStream(of: End.self)
        process.terminationHandler = { process in
            let wasSignalled = process.terminationReason == .uncaughtSignal
            endSender.yield(End(status: process.terminationStatus, wasSignalled: wasSignalled))
            endSender.finish()
        }
        self.ends = ends
        try process.run()
        pid = process.processIdentifier
        var text = ""
        for await part in lines {
            text += part
            if text.contains("\n") { break }
        }
        let announcement = "litellm-simulator: listening on "
        guard let line = text.split(separator: "\n").first, line.hasPrefix(announcement) else {
            throw StartError(description: "the simulator did not start: \(text)")
        }
        url = String(line.dropFirst(announcement.count))
    }

    /// Asks it to stop and waits until it has; kills it after ten seconds.
    ///
    /// - Returns: how it ended; nil when it had been stopped before.
    func stop() async -> End? {
        kill(pid, SIGTERM)
        let killer = Task { [pid] in
            try await Task.sleep(for: .seconds(10))
            kill(pid, SIGKILL)
        }
        defer { killer.cancel() }
        return await ends.first { _ in true }
    }

    /// The built program beside the test bundle, or what LITELLM_SIMULATOR names.
    private static func program() throws -> String {
        if let path = ProcessInfo.processInfo.environment["LITELLM_SIMULATOR"] { return path }
        let places = [Bundle.main.bundleURL, Bundle.main.executableURL?.deletingLastPathComponent()].compactMap(\.self)
        let candidates = places.flatMap { place in
            [place, place.deletingLastPathComponent()].map { $0.appendingPathComponent("litellm-simulator").path }
        }
        guard let found = candidates.first(where: FileManager.default.isExecutableFile(atPath:)) else {
            throw StartError(description: "build litellm-simulator first; it is in none of \(candidates)")
        }
        return found
    }
}
