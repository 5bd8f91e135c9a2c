import Foundation
import Shared

/// What one run measured.
struct BenchResult: Encodable, Sendable {
    struct Latency: Encodable, Sendable {
        var count: Int
        var p50: Double
        var p95: Double
        var p99: Double
        var max: Double

        /// In milliseconds.
        init(milliseconds: [Double]) {
            let sorted = milliseconds.sorted()
            func quantile(_ part: Double) -> Double {
                guard !sorted.isEmpty else { return 0 }
                let rank = Swift.max(1, (part * Double(sorted.count)).rounded(.up))
                return rounded(sorted[Int(rank) - 1], 3)
            }
            count = sorted.count
            (p50, p95, p99, max) = (quantile(0.5), quantile(0.95), quantile(0.99), quantile(1))
        }
    }

    var name: String
    var jobs: Int
    var seconds: Double
    var jobsPerSecond: Double
    /// Of this process and the server together; nil for a server elsewhere.
    var jobsPerCoreSecond: Double?
    var clientMicrosecondsPerJob: Double
    var serverMicrosecondsPerJob: Double?
    var commitsPerJob: Double?
    var logBytesPerJob: Double
    var indexEntriesPerJob: Double?
    var peakMemoryMegabytes: Double?
    var latencyMilliseconds: Latency?

    init(_ name: String, jobs: Int, seconds: Double, cost: BenchMeter.Cost, latency: [Double]? = nil) {
        let count = Double(max(jobs, 1))
        self.name = name
        self.jobs = jobs
        self.seconds = rounded(seconds, 3)
        jobsPerSecond = rounded(Double(jobs) / max(seconds, 1e-9), 0)
        jobsPerCoreSecond = cost.serverCPU.map { rounded(Double(jobs) / max($0 + cost.ownCPU, 1e-9), 0) }
        clientMicrosecondsPerJob = rounded(cost.ownCPU / count * 1e6, 2)
        serverMicrosecondsPerJob = cost.serverCPU.map { rounded($0 / count * 1e6, 2) }
        commitsPerJob = cost.commits.map { rounded(Double($0) / count, 4) }
        logBytesPerJob = rounded(Double(cost.logBytes) / count, 0)
        indexEntriesPerJob = cost.indexEntries.map { rounded(Double($0) / count, 2) }
        peakMemoryMegabytes = cost.peakMemory.map { rounded(Double($0) / 1_048_576, 1) }
        latencyMilliseconds = latency.map { Latency(milliseconds: $0) }
    }

    var text: String {
        func show(_ value: Double?, _ unit: String) -> String { value.map { "\(plain($0))\(unit)" } ?? "not measured" }
        var lines = [
            "\(name): \(plain(jobsPerSecond)) jobs/s (\(jobs) jobs in \(plain(seconds)) s)",
            "  per core-second  \(show(jobsPerCoreSecond, " jobs"))",
            "  CPU a job        client \(plain(clientMicrosecondsPerJob)) µs, server \(show(serverMicrosecondsPerJob, " µs"))",
            "  log a job        \(plain(logBytesPerJob)) bytes, \(show(indexEntriesPerJob, " index entries"))",
            "  commits a job    \(show(commitsPerJob, ""))",
            "  peak memory      \(show(peakMemoryMegabytes, " MB"))",
        ]
        if let latency = latencyMilliseconds {
            lines.append(
                "  latency          p50 \(latency.p50) ms, p95 \(latency.p95) ms, p99 \(latency.p99) ms, "
                    + "max \(latency.max) ms (\(latency.count))")
        }
        return lines.joined(separator: "\n")
    }
}

/// To so many digits behind the point.
func rounded(_ value: Double, _ digits: Int) -> Double {
    let factor = pow(10, Double(digits))
    return (value * factor).rounded() / factor
}

/// Without a fraction where there is none.
func plain(_ value: Double) -> String {
    value == value.rounded() && abs(value) < 1e15 ? String(Int(value)) : String(value)
}

/// The middle of some figures, and how far they lie apart.
struct Spread: Encodable, Sendable {
    var median: Double
    var least: Double
    var most: Double

    init(_ values: [Double], digits: Int = 3) {
        let sorted = values.sorted()
        median = sorted.isEmpty ? 0 : rounded((sorted[(sorted.count - 1) / 2] + sorted[sorted.count / 2]) / 2, digits)
        least = rounded(sorted.first ?? 0, digits)
        most = rounded(sorted.last ?? 0, digits)
    }

    var text: String { least == most ? plain(median) : "\(plain(median)) (\(plain(least))–\(plain(most)))" }
}
