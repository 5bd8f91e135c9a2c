import Foundation

/// What the operating system says about this process.
package enum ProcessStatistics {
    /// The process's id.
    package static var processIdentifier: Int32 {
        ProcessInfo.processInfo.processIdentifier
    }

    /// Resident memory in bytes; nil where `/proc` does not tell.
    package static func residentBytes() -> Int? {
        // "VmRSS:     12345 kB"
        guard let line = status().first(where: { $0.hasPrefix("VmRSS:") }) else { return nil }
        return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }.map { $0 * 1024 }
    }

    /// Number of threads; nil where `/proc` does not tell.
    package static func threads() -> Int? {
        guard let line = status().first(where: { $0.hasPrefix("Threads:") }) else { return nil }
        return line.split(whereSeparator: { !$0.isNumber }).first.flatMap { Int($0) }
    }

    /// Seconds of CPU used since the start, user and system together; nil where `/proc` does not tell.
    package static func cpuSeconds() -> Double? {
        // The second field is the program's name in brackets, which may hold anything; the rest is plain fields.
        guard let stat = read("/proc/self/stat"), let bracket = stat.lastIndex(of: ")") else { return nil }
        let fields = stat[stat.index(after: bracket)...].split(separator: " ")
        let ticksPerSecond = sysconf(Int32(_SC_CLK_TCK))
        guard fields.count > 12, let user = Double(fields[11]), let system = Double(fields[12]), ticksPerSecond > 0
        else { return nil }
        return (user + system) / Double(ticksPerSecond)
    }

    /// Number of open file descriptors; nil where `/proc` does not tell.
    package static func openFileDescriptors() -> Int? {
        do {
            return try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count
        } catch {
            return nil
        }
    }

    /// The limit of open file descriptors; nil where `/proc` does not tell or there is none.
    package static func maximumFileDescriptors() -> Int? {
        // "Max open files            1024                 524288               files"
        guard let line = lines("/proc/self/limits").first(where: { $0.hasPrefix("Max open files") }) else { return nil }
        return line.split(separator: " ").dropFirst(3).first.flatMap { Int($0) }
    }

    private static func status() -> [Substring] {
        lines("/proc/self/status")
    }

    private static func lines(_ path: String) -> [Substring] {
        read(path)?.split(separator: "\n") ?? []
    }

    /// Nil on systems without `/proc`.
    private static func read(_ path: String) -> String? {
        do {
            return try String(contentsOfFile: path, encoding: .utf8)
        } catch {
            return nil
        }
    }
}
