import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl jobs`.
struct JobsCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "jobs", abstract: "Looks at jobs, and brings them back, ends them, or gives them up.",
        subcommands: [
            JobsListCommand.self, JobsShowCommand.self, JobsExplainCommand.self, JobsStatsCommand.self,
            JobsTailCommand.self, JobsRetryCommand.self, JobsCancelCommand.self, JobsDiscardCommand.self,
            JobsRescheduleCommand.self, JobsBulkCommand.self,
        ])
}

/// `litemaasctl jobs list`.
struct JobsListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists jobs, newest first.",
        discussion: "Discarded jobs are left out unless --discarded is given.")

    @OptionGroup var filter: JobFilterOptions
    @Flag(help: "Only failed jobs that a person has discarded.")
    var discarded = false
    @Option(help: "How many jobs a page has, 1 to 500.")
    var limit = 20
    @Option(help: "The page after the one that gave this cursor.")
    var cursor: String?
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        guard (1...500).contains(limit) else { throw ValidationError("--limit is 1 to 500") }
    }

    func run() async throws {
        var query = filter.query()
        // Which failed jobs are meant; others are never discarded.
        if discarded || filter.state.contains(.failed) { query.discarded = discarded }
        let asked = query
        let page = try await options.act { try await $0.jobs(asked, cursor: cursor, limit: limit) }
        if options.output.json { return try Console.printJSON(page) }
        guard !page.data.isEmpty else { return Console.print("There are no such jobs.") }
        Console.print(Self.table(page.data).text)
        let total = Words.count(page.pagination.total.value, isExact: page.pagination.total.isExact)
        var footer = "\(page.data.count) of \(total)"
        if let next = page.pagination.cursor { footer += "; the next page: --cursor \(next)" }
        Console.print(footer)
    }

    static func table(_ jobs: [JobReport]) -> Table {
        var table = Table(
            ["ID", "STATE", "KIND", "QUEUE", "ATTEMPT", "CREATED", "ON", "ERROR"], rightAligned: ["ID", "ATTEMPT"])
        for job in jobs {
            table.add(
                "\(job.id)", job.state.rawValue + (job.discardedAt == nil ? "" : " (discarded)"), job.kind, job.queue,
                "\(job.attempt)/\(job.maxAttempts.map { "\($0)" } ?? "∞")", Words.distance(job.createdAt),
                job.resource.map { "\($0.type)/\($0.id)" }, job.error?.code)
        }
        return table
    }
}

/// `litemaasctl jobs show`.
struct JobsShowCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "show", abstract: "Shows one job with its parameters and every attempt that failed.")

    @Argument(help: "The job.")
    var id: Int64
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let job = try await options.act { try await $0.job(id) }
        if options.output.json { return try Console.printJSON(job) }
        Console.print(Self.sheet(job).text)
        if let waiting = job.waiting { Console.print("\nIt does not run now: \(waiting.message)") }
        guard !job.errors.isEmpty else { return }
        var table = Table(["ATTEMPT", "ENDED", "CLASS", "CODE", "COUNTED", "MESSAGE"], rightAligned: ["ATTEMPT"])
        for attempt in job.errors {
            table.add(
                "\(attempt.attempt)", Words.time(attempt.endedAt), attempt.class, attempt.code,
                attempt.charged ? "yes" : "no", attempt.message)
        }
        Console.print("\n" + table.text)
    }

    private static func sheet(_ job: JobReport) -> Sheet {
        var sheet = Sheet()
        sheet.add("job", "\(job.id)")
        sheet.add("kind", job.kind)
        sheet.add("state", job.state.rawValue + (job.cancelRequested == true ? ", asked to stop" : ""))
        sheet.add("attempt", "\(job.attempt) of \(job.maxAttempts.map { "\($0)" } ?? "as many as it takes")")
        sheet.add("queue", "\(job.queue), priority \(job.priority)")
        sheet.add("upstream", job.upstream)
        sheet.add("on", job.resource.map { "\($0.type)/\($0.id)" })
        sheet.add("asked for by", job.requestedBy)
        sheet.add("request", job.requestId)
        sheet.add("parent", job.parentId.map { "\($0)" })
        sheet.add("created", Words.time(job.createdAt))
        sheet.add("due", job.state.isFinal ? nil : Words.time(job.runAt))
        sheet.add("started", Words.time(job.startedAt))
        sheet.add("finished", Words.time(job.finishedAt))
        sheet.add("deadline", Words.time(job.deadlineAt))
        sheet.add("ended by", job.endedBy)
        sheet.add("discarded", job.discardedAt.map { "\(Words.time($0) ?? "") by \(job.discardedBy ?? "")" })
        sheet.add("worker", job.worker.map { "\($0.id) \($0.name) on \($0.host)" })
        sheet.add("progress", job.progress.map { "\(Int($0.fraction * 100))% \($0.message)" })
        sheet.add("order key", job.orderKey)
        sheet.add("unique key", job.uniqueKey)
        sheet.add("parameters", job.parameters?.encodedString())
        sheet.add("result", job.result?.encodedString())
        sheet.add("error", job.error.map { "\($0.code) (\($0.class)): \($0.message)" })
        return sheet
    }
}

/// `litemaasctl jobs explain`.
struct JobsExplainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "explain", abstract: "Says why a job is not running now, and what would change that.")

    @Argument(help: "The job.")
    var id: Int64
    @OptionGroup var options: OperatorOptions

    private struct Explanation: Encodable, Sendable {
        var jobId: JobNumber
        var state: JobState
        var explanation: [String]
        /// Everything that stands in its way, the most telling first.
        var reasons: [JobExplanation.Reason]
        /// Ready jobs that come before it; at least so many when there are ten thousand.
        var ahead: Int?
        var breaker: BreakerReport?
    }

    func run() async throws {
        let explanation = try await options.act { way in
            let job = try await way.job(id)
            let found = try await way.explain(id)
            var breaker: BreakerReport?
            if found.reasons.contains(where: { $0.code == JobWaitReason.Code.breakerOpen.rawValue }) {
                breaker = try await way.breakers().first { $0.name == job.upstream }
            }
            return Explanation(
                jobId: job.id, state: job.state, explanation: Self.sentences(job, found, breaker),
                reasons: found.reasons, ahead: found.ahead, breaker: breaker)
        }
        if options.output.json { return try Console.printJSON(explanation) }
        Console.print(explanation.explanation.joined(separator: "\n"))
    }

    private static func sentences(
        _ job: JobReport, _ found: JobExplanation, _ breaker: BreakerReport?
    ) -> [String] {
        var lines = ["Job \(job.id) (\(job.kind)) is \(job.state.rawValue), at attempt \(job.attempt)."]
        if let worker = job.worker {
            lines.append(
                "Worker \(worker.id) (\(worker.name) on \(worker.host)) has run it since \(Words.time(job.startedAt) ?? "")."
            )
        }
        if job.cancelRequested == true { lines.append("It was asked to stop.") }
        if let error = job.error { lines.append("Its last error: \(error.code): \(error.message)") }
        for reason in found.reasons {
            lines.append(reason.message)
            if let by = reason.by { lines.append("  By \(by).") }
            if !reason.jobIds.isEmpty {
                lines.append("  Before it: \(reason.jobIds.prefix(10).map(\.description).joined(separator: ", ")).")
            }
            if let until = reason.until { lines.append("  That may change at \(Words.time(until) ?? "").") }
            lines.append("  → \(remedy(job, reason))")
        }
        if let ahead = found.ahead, ahead > 0 {
            let least = found.aheadIsAtLeast ? "At least " : ""
            lines.append("\(least)\(ahead) ready jobs come before it in \(job.queue).")
        }
        if let breaker { lines.append(contentsOf: BreakersCommand.sentences(breaker)) }
        if job.state == .failed, job.discardedAt == nil {
            lines.append("→ litemaasctl jobs retry \(job.id), or jobs discard \(job.id)")
        }
        return lines
    }

    private static func remedy(_ job: JobReport, _ reason: JobExplanation.Reason) -> String {
        switch JobWaitReason.Code(rawValue: reason.code) {
        case .dueLater: "litemaasctl jobs retry \(job.id) makes it due now."
        case .behindJob:
            "litemaasctl jobs explain \(reason.jobIds.first?.description ?? "ID") tells about the one before it."
        case .waitingForJobs:
            "It starts by itself when they have succeeded: "
                + "litemaasctl jobs explain \(reason.jobIds.first?.description ?? "ID")"
        case .queuePaused: "litemaasctl queues resume \(job.queue)"
        case .breakerOpen: "It starts by itself when LiteLLM answers again; it has lost no attempt by waiting."
        case .noWorker: "Start a worker whose WORKER_QUEUES is empty or names \(job.queue)."
        case .unknownKind: "Start a worker of the version that knows \(job.kind)."
        case .soon: "Nothing is in its way; when it stays so, all slots are taken: litemaasctl workers list"
        case .waitingForChildren: "It goes on by itself when they have ended."
        case .upstreamBusy: "It starts by itself: the workers let as many calls at once as LiteLLM bears."
        case .atLimit: "litemaasctl queues limit shows the limits; what recovers has one of its own for a while."
        case nil: "It starts by itself."
        }
    }
}
