import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl jobs tail`.
struct JobsTailCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tail", abstract: "Follows jobs live: a line whenever one is new or changes its state.",
        discussion: """
            Looks at the newest 100 jobs that the filter means, again and again; what changes more often than that is \
            seen in its latest state. With --json each line is an object. Ends with Ctrl-C, or after --count lines.
            """)

    @OptionGroup var filter: JobFilterOptions
    @Option(help: "Seconds between two looks, 0.1 to 60.")
    var interval = 1.0
    @Option(help: "End after so many lines.")
    var count: Int?
    @Flag(help: "Begin with the jobs that are there, not only with what changes from now on.")
    var all = false
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard (0.1...60).contains(interval) else { throw ValidationError("--interval is 0.1 to 60") }
        guard count.map({ $0 > 0 }) ?? true else { throw ValidationError("--count is above 0") }
    }

    /// What a line is printed for when it changes.
    private struct Seen: Equatable {
        var state: JobState
        var attempt: Int
        var code: String?
    }

    private static let window = 100

    func run() async throws {
        let query = filter.query()
        try await options.act { way in
            var seen: [JobNumber: Seen] = [:]
            var left = count ?? .max
            var isFirst = true
            while true {
                let jobs = try await way.jobs(query, cursor: nil, limit: Self.window).data
                var now: [JobNumber: Seen] = [:]
                for job in jobs.reversed() {
                    let state = Seen(state: job.state, attempt: job.attempt, code: job.error?.code)
                    now[job.id] = state
                    guard seen[job.id] != state, all || !isFirst else { continue }
                    try report(job)
                    left -= 1
                    if left == 0 { return }
                }
                seen = now
                isFirst = false
                try await Task.sleep(for: .seconds(interval))
            }
        }
    }

    private func report(_ job: JobReport) throws {
        if options.output.json { return try Console.printJSON(job) }
        var words = [
            Words.time(job.finishedAt ?? job.startedAt ?? job.createdAt) ?? "", "\(job.id)",
            job.state.rawValue.padding(toLength: 9, withPad: " ", startingAt: 0), job.kind, "attempt \(job.attempt)",
        ]
        if let resource = job.resource { words.append("\(resource.type)/\(resource.id)") }
        if let error = job.error { words.append("\(error.code): \(error.message)") }
        if let progress = job.progress, job.state == .running {
            words.append("\(Int(progress.fraction * 100))% \(progress.message)")
        }
        Console.print(Table.oneLine(words.joined(separator: "  ")))
    }
}
