import ArgumentParser
import Foundation
import Jobs
import Shared

extension BulkRequest.Action: ExpressibleByArgument {}

/// `litemaasctl jobs bulk`.
struct JobsBulkCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bulk", abstract: "Retries, cancels, discards or reschedules all jobs that a filter means.",
        discussion: """
            First it counts, and shows some of them: a dry run. Then it asks; --yes answers for scripts, --dry-run ends \
            there. The work itself is a job that goes on when this program ends; its progress is shown until then.

            Ends 0 when every job was changed, 5 when some were left as they are.
            """)

    @Argument(help: "retry, cancel, discard or reschedule.")
    var action: BulkRequest.Action
    @OptionGroup var filter: JobFilterOptions
    @Option(help: "These jobs; may be repeated.")
    var id: [Int64] = []
    @Option(help: "For reschedule: when, such as 2026-11-23T08:00:00Z or 30m from now.")
    var at: Moment?
    @OptionGroup var how: ForceOptions
    @Flag(help: "Only count, change nothing.")
    var dryRun = false
    @Flag(help: "Do not ask.")
    var yes = false
    @Flag(inversion: .prefixedNo, help: "Follow the work to its end.")
    var wait = true
    @OptionGroup var options: OperatorOptions

    private struct Outcome: Encodable, Sendable {
        var preview: BulkPreview
        var jobId: JobNumber?
        var state: JobState?
        var report: JSONValue?
    }

    mutating func validate() throws {
        guard (action == .reschedule) == (at != nil) else {
            throw ValidationError("--at is needed for reschedule, and only there")
        }
    }

    func run() async throws {
        let request = BulkRequest(
            action: action, filter: filter.query(ids: id), runAt: at?.future, force: how.force, reason: how.reason)
        let isQuiet = options.output.json
        let outcome = try await options.act { way in
            var outcome = Outcome(preview: try await way.preview(request))
            if !isQuiet { Self.show(outcome.preview) }
            guard !dryRun, outcome.preview.affected.value > 0 else { return outcome }
            if !yes, try !Confirmation.ask("\(Self.verb(action)) \(Self.count(outcome.preview.affected)) jobs?") {
                Console.error("Nothing was done.")
                return outcome
            }
            let jobId = try await way.bulk(request)
            outcome.jobId = jobId
            guard wait else { return outcome }
            let job = try await Self.follow(jobId, way, isQuiet: isQuiet)
            outcome.state = job.state
            outcome.report = job.result
            return outcome
        }
        try end(outcome)
    }

    private func end(_ outcome: Outcome) throws {
        if options.output.json {
            try Console.printJSON(outcome)
        } else if let jobId = outcome.jobId {
            switch outcome.state {
            case .succeeded:
                let changed = outcome.report?["changed"]?.intValue ?? 0
                Console.print("Done: \(changed) jobs changed (job \(jobId)).")
                for refusal in outcome.report?["refused"]?.arrayValue ?? [] {
                    Console.print(
                        "Left as they are: \(refusal["count"]?.intValue ?? 0). \(refusal["message"]?.stringValue ?? "")"
                    )
                }
            case .some(let state): Console.error("The work (job \(jobId)) ended \(state.rawValue).")
            case nil: Console.print("Job \(jobId) does it: litemaasctl jobs show \(jobId)")
            }
        } else if dryRun {
            Console.print("This was a dry run: nothing was changed.")
        }
        if let state = outcome.state, state != .succeeded { throw ExitStatus.failed }
        if outcome.report?["refused"]?.arrayValue?.isEmpty == false { throw ExitStatus.refused }
    }

    /// Shows how far the job is until it has ended.
    static func follow(_ id: JobNumber, _ way: any Operator, isQuiet: Bool) async throws -> JobReport {
        var bar = ProgressBar(isQuiet: isQuiet)
        while true {
            let job = try await way.job(id.value)
            if job.state.isFinal {
                bar.clear()
                return job
            }
            bar.show(job.progress?.fraction, job.progress?.message ?? "job \(id) is \(job.state.rawValue)")
            try await Task.sleep(for: .milliseconds(300))
        }
    }

    private static func show(_ preview: BulkPreview) {
        Console.print("\(count(preview.matched)) jobs match, \(count(preview.affected)) would be changed.")
        for refusal in preview.skipped { Console.print("Left as they are: \(refusal.count). \(refusal.message)") }
        guard !preview.sample.isEmpty else { return }
        Console.print("Some of them:\n" + JobsListCommand.table(Array(preview.sample.prefix(5))).text)
    }

    private static func count(_ count: CountReport) -> String { Words.count(count.value, isExact: count.isExact) }

    private static func verb(_ action: BulkRequest.Action) -> String {
        switch action {
        case .retry: "Retry"
        case .cancel: "Cancel"
        case .discard: "Discard"
        case .reschedule: "Reschedule"
        }
    }
}
