import ArgumentParser
import Foundation
import Jobs
import Shared

extension UTCDay: ExpressibleByArgument {
    /// Such as 2026-01-31.
    public init?(argument: String) { self.init(argument) }
}

/// `litemaasctl usage`.
struct UsageCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "usage", abstract: "Takes usage over from LiteLLM.", subcommands: [UsageRebuildCommand.self])
}

/// `litemaasctl usage rebuild`.
struct UsageRebuildCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "rebuild", abstract: "Takes a range of days over anew, final ones included.",
        discussion: """
            For usage that LiteLLM has corrected, and for keys that became known after their usage. Each day is replaced as \
            a whole; one that cannot be fetched stays as it was. The work itself is a job that goes on when this program \
            ends; its progress is shown until then.

            Ends 0 when every day was replaced, 1 when some were not.
            """)

    @Option(help: "The first day, in UTC, such as 2026-01-01.")
    var from: UTCDay
    @Option(help: "The last day; at most 366 days in all.")
    var to: UTCDay
    @Flag(help: "Replace also final days of which LiteLLM tells less than half of the requests that are stored.")
    var force = false
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true
    @OptionGroup var options: OperatorOptions

    private struct Outcome: Encodable, Sendable {
        var jobId: JobNumber
        var state: JobState?
        var report: JSONValue?
    }

    func run() async throws {
        let outcome = try await options.act { way in
            var outcome = Outcome(jobId: try await way.rebuildUsage(from: from, to: to, force: force))
            guard wait else { return outcome }
            let job = try await JobsBulkCommand.follow(outcome.jobId, way, isQuiet: options.output.json)
            outcome.state = job.state
            outcome.report = job.result
            return outcome
        }
        let failed = outcome.report?["failedDays"]?.arrayValue?.compactMap(\.stringValue) ?? []
        if options.output.json {
            try Console.printJSON(outcome)
        } else {
            switch outcome.state {
            case .succeeded:
                Console.print(
                    "Done: \(outcome.report?["rebuiltDays"]?.intValue ?? 0) days were fetched (job \(outcome.jobId)).")
                if !failed.isEmpty { Console.error("As they were: \(failed.joined(separator: ", ")).") }
            case .some(let state): Console.error("The work (job \(outcome.jobId)) ended \(state.rawValue).")
            case nil: Console.print("Job \(outcome.jobId) does it: litemaasctl jobs show \(outcome.jobId)")
            }
        }
        if let state = outcome.state, state != .succeeded || !failed.isEmpty { throw ExitStatus.failed }
    }
}
