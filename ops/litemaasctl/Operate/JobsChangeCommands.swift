import ArgumentParser
import Foundation
import Jobs
import Shared

/// What is done to jobs named one by one.
protocol JobsChange: AsyncParsableCommand, Sendable {
    static var done: String { get }
    var ids: [Int64] { get }
    var options: OperatorOptions { get }

    func change(_ id: Int64, by way: any Operator) async throws
}

/// What became of one of them.
struct JobsChangeResult: Encodable, Sendable {
    var id: JobNumber
    var changed: Bool
    var error: String?
}

extension JobsChange {
    /// Does it to each job; one that refuses keeps no other from being changed. Ends as the worst of them.
    func run() async throws {
        let (results, worst) = try await options.act { way in
            var results: [JobsChangeResult] = []
            var worst: ExitStatus?
            for id in ids {
                do {
                    try await change(id, by: way)
                    results.append(JobsChangeResult(id: JobNumber(id), changed: true))
                } catch {
                    let refusal: CommandRefusal
                    switch error {
                    case let error as CommandRefusal: refusal = error
                    case let error as JobQueueError: refusal = CommandRefusal(error)
                    case let error as AdministrationError: refusal = CommandRefusal(error)
                    default: throw error
                    }
                    worst = refusal.status
                    results.append(JobsChangeResult(id: JobNumber(id), changed: false, error: refusal.description))
                }
            }
            return (results, worst)
        }
        if options.output.json {
            try Console.printJSON(results)
        } else {
            for result in results {
                if let error = result.error {
                    Console.error(error)
                } else {
                    Console.print("Job \(result.id) \(Self.done).")
                }
            }
        }
        if let worst { throw worst }
    }
}

/// `--force` and `--reason`.
struct ForceOptions: ParsableArguments {
    @Flag(help: "Also for work that protects others (revocations).")
    var force = false
    @Option(help: "Why; it is kept in the audit log.")
    var reason: String?
}

/// `litemaasctl jobs retry`.
struct JobsRetryCommand: JobsChange {
    static let configuration = CommandConfiguration(
        commandName: "retry", abstract: "Brings failed jobs back with fresh attempts; makes waiting ones due now.")
    static let done = "is tried again"

    @Argument(help: "The jobs.")
    var ids: [Int64]
    @OptionGroup var options: OperatorOptions

    func change(_ id: Int64, by way: any Operator) async throws { try await way.retry(id) }
}

/// `litemaasctl jobs cancel`.
struct JobsCancelCommand: JobsChange {
    static let configuration = CommandConfiguration(
        commandName: "cancel", abstract: "Ends jobs that have not ended.",
        discussion: "What is wanted does not change: the object shows that it failed, and by whom.")
    static let done = "is cancelled"

    @Argument(help: "The jobs.")
    var ids: [Int64]
    @OptionGroup var how: ForceOptions
    @OptionGroup var options: OperatorOptions

    func change(_ id: Int64, by way: any Operator) async throws {
        try await way.cancel(id, force: how.force, reason: how.reason)
    }
}

/// `litemaasctl jobs discard`.
struct JobsDiscardCommand: JobsChange {
    static let configuration = CommandConfiguration(
        commandName: "discard", abstract: "Gives failed jobs up: they leave the dead letters and stay in the history.")
    static let done = "is discarded"

    @Argument(help: "The jobs.")
    var ids: [Int64]
    @OptionGroup var how: ForceOptions
    @OptionGroup var options: OperatorOptions

    func change(_ id: Int64, by way: any Operator) async throws {
        try await way.discard(id, force: how.force, reason: how.reason)
    }
}

/// `litemaasctl jobs reschedule`.
struct JobsRescheduleCommand: JobsChange {
    static let configuration = CommandConfiguration(
        commandName: "reschedule", abstract: "Lets waiting jobs start at another time.")
    static let done = "starts at the new time"

    @Argument(help: "The jobs.")
    var ids: [Int64]
    @Option(help: "When: 2026-11-23T08:00:00Z, or from now, such as 30m.")
    var at: Moment
    @OptionGroup var how: ForceOptions
    @OptionGroup var options: OperatorOptions

    func change(_ id: Int64, by way: any Operator) async throws {
        try await way.reschedule(id, at: at.future, force: how.force, reason: how.reason)
    }
}
