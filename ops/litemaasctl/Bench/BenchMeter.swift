import Foundation
import Logging
import Shared

/// What a run cost: CPU of this process and of a server on the same machine, log written, memory.
struct BenchMeter: Sendable {
    private let database: BenchDatabase
    private let ownCPU: Double
    private let server: ServerProcesses?
    private let serverCPU: Double
    private let log: (text: String, bytes: Int64)

    struct Cost: Sendable {
        var ownCPU: Double
        /// Nil for a server on another machine.
        var serverCPU: Double?
        var logBytes: Int64
        /// Nil without the extension pg_walinspect.
        var commits: Int64?
        var indexEntries: Int64?
        var peakMemory: Int?
    }

    /// Begins to measure.
    init(_ database: BenchDatabase) async throws {
        self.database = database
        let (pid, isLocal) = try await database.store.backendProcess(in: database.client)
        server = isLocal ? ServerProcesses(backend: pid) : nil
        log = try await database.store.logPosition(in: database.client)
        PeakMemory.reset()
        serverCPU = server?.cpuSeconds() ?? 0
        ownCPU = ProcessStatistics.cpuSeconds() ?? 0
    }

    /// Ends it.
    func stop() async throws -> Cost {
        let own = (ProcessStatistics.cpuSeconds() ?? 0) - ownCPU
        let serverSeconds = server.map { $0.cpuSeconds() - serverCPU }
        let peak = PeakMemory.bytes()
        let end = try await database.store.logPosition(in: database.client)
        var cost = Cost(
            ownCPU: own, serverCPU: serverSeconds, logBytes: end.bytes - log.bytes, commits: nil, indexEntries: nil,
            peakMemory: peak)
        do {
            let records = try await database.store.logRecords(from: log.text, in: database.client)
            (cost.commits, cost.indexEntries) = (records.commits, records.indexEntries)
        } catch let error as PostgresError {
            // The extension is missing or not allowed, or that part of the log is gone already.
            database.logger.info("commits and index entries are not counted", metadata: ["reason": "\(error)"])
        }
        return cost
    }
}

/// The processes of a PostgreSQL server on this machine.
private struct ServerProcesses: Sendable {
    let first: Int

    /// Nil when the backend is not a process of this machine.
    init?(backend: Int32) {
        guard let fields = Self.fields(of: Int(backend)), fields.name.hasPrefix("postgres") else { return nil }
        first = fields.parent
    }

    /// User and system time of the server and all that it ever started.
    func cpuSeconds() -> Double {
        while true {
            guard let before = Self.fields(of: first) else { return 0 }
            let names: [String]
            do { names = try FileManager.default.contentsOfDirectory(atPath: "/proc") } catch { return 0 }
            let living = names.compactMap { Int($0) }.compactMap { Self.fields(of: $0) }.filter { $0.parent == first }
            guard let after = Self.fields(of: first) else { return 0 }
            // A child that ended meanwhile might be counted twice or not at all.
            guard before.endedChildren == after.endedChildren else { continue }
            return after.seconds + after.endedChildren + living.reduce(0) { $0 + $1.seconds }
        }
    }

    private static func fields(of pid: Int) -> (name: String, parent: Int, seconds: Double, endedChildren: Double)? {
        let stat: String
        do { stat = try String(contentsOfFile: "/proc/\(pid)/stat", encoding: .utf8) } catch { return nil }
        guard let open = stat.firstIndex(of: "("), let close = stat.lastIndex(of: ")") else { return nil }
        let rest = stat[stat.index(after: close)...].split(separator: " ").map { Double($0) ?? 0 }
        guard rest.count > 14 else { return nil }
        let ticks = Double(sysconf(Int32(_SC_CLK_TCK)))
        return (
            String(stat[stat.index(after: open)..<close]), Int(rest[1]), (rest[11] + rest[12]) / ticks,
            (rest[13] + rest[14]) / ticks
        )
    }
}

/// The most memory this process has had.
private enum PeakMemory {
    /// Starts anew; where the kernel does not allow it the peak is the process's.
    static func reset() {
        guard let handle = FileHandle(forWritingAtPath: "/proc/self/clear_refs") else { return }
        handle.write(Data("5".utf8))
        handle.closeFile()
    }

    static func bytes() -> Int? {
        let status: String
        do { status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8) } catch { return nil }
        guard let line = status.split(separator: "\n").first(where: { $0.hasPrefix("VmHWM:") }) else { return nil }
        return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
