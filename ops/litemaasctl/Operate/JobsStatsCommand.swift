import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl jobs stats`.
struct JobsStatsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "stats", abstract: "Counts jobs by state and kind, what was done, and what failed and why.")

    @OptionGroup var options: OperatorOptions

    private static let states = ["ready", "running", "scheduled", "retrying", "blocked", "failed"]

    func run() async throws {
        let statistics = try await options.act { try await $0.statistics() }
        if options.output.json { return try Console.printJSON(statistics) }
        var kinds = Table(
            ["KIND", "QUEUE"] + Self.states.map { $0.uppercased() },
            rightAligned: Set(Self.states.map { $0.uppercased() }))
        for kind in statistics.kinds {
            kinds.add([kind.kind, kind.queue] + Self.states.map { Self.count(kind.states[$0], statistics.isExact) })
        }
        kinds.add(["all", ""] + Self.states.map { Self.count(statistics.states[$0], statistics.isExact) })
        Console.print(kinds.text)
        if let oldest = Words.duration(statistics.oldestReadySeconds) {
            Console.print("\nThe oldest job that could start has been ready for \(oldest).")
        }
        var windows = Table(
            ["LAST", "SUCCEEDED", "FAILED", "CANCELLED", "PER SECOND"],
            rightAligned: ["SUCCEEDED", "FAILED", "CANCELLED", "PER SECOND"])
        for window in statistics.windows {
            windows.add(
                Duration.seconds(window.seconds).words, "\(window.succeeded)", "\(window.failed)",
                "\(window.cancelled)", String(format: "%.1f", window.perSecond))
        }
        Console.print("\n" + windows.text)
        guard !statistics.failures.isEmpty else { return Console.print("\nNo failed job waits for a person.") }
        var failures = Table(
            ["FAILED", "KIND", "ERROR CODE", "LAST", "EXAMPLE", "MESSAGE"], rightAligned: ["FAILED", "EXAMPLE"])
        for failure in statistics.failures {
            failures.add(
                "\(failure.count)", failure.kind, failure.errorCode, Words.distance(failure.lastAt),
                "\(failure.lastJobId)", failure.message)
        }
        Console.print("\n" + failures.text)
    }

    private static func count(_ value: Int?, _ isExact: Bool) -> String {
        value.map { Words.count($0, isExact: isExact) } ?? "-"
    }
}
