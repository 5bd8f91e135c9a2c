import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl queues`.
struct QueuesCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "queues", abstract: "Looks at queues, pauses, resumes and limits them.",
        subcommands: [
            QueuesListCommand.self, QueuesPauseCommand.self, QueuesResumeCommand.self, QueuesLimitCommand.self,
        ],
        defaultSubcommand: QueuesListCommand.self)

    static func table(_ queues: [QueueReport]) -> Table {
        let states = ["ready", "running", "scheduled", "retrying", "blocked", "failed"]
        let numbers = states.map { $0.uppercased() }
        var table = Table(
            ["QUEUE"] + numbers + ["OLDEST", "WORKERS", "PAUSED"], rightAligned: Set(numbers + ["WORKERS"]))
        for queue in queues {
            let paused =
                queue.isPaused
                ? "\(Words.distance(queue.pausedAt) ?? "") by \(queue.pausedBy ?? "?")\(queue.pauseReason.map { ": \($0)" } ?? "")"
                : nil
            let counts = states.map { queue.states[$0].map { Words.count($0, isExact: queue.isExact) } ?? "-" }
            table.add(
                [queue.name + (queue.isProtected ? " (protected)" : "")] + counts + [
                    Words.duration(queue.oldestReadySeconds), "\(queue.workers)", paused,
                ])
        }
        return table
    }

    static func show(_ queues: [QueueReport], _ options: OperatorOptions) throws {
        if options.output.json {
            try Console.printJSON(queues)
        } else {
            Console.print(table(queues).text)
        }
    }
}

/// `litemaasctl queues list`.
struct QueuesListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the queues with their jobs, and who paused them.")

    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try QueuesCommand.show(try await options.act { try await $0.queues() }, options)
    }
}

/// `litemaasctl queues pause`.
struct QueuesPauseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "pause", abstract: "Lets no more jobs of a queue start; what runs goes on.")

    @Argument(help: "The queue.")
    var name: String
    @OptionGroup var how: ForceOptions
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let queue = try await options.act { try await $0.pause(name, reason: how.reason, force: how.force) }
        try QueuesCommand.show([queue], options)
    }
}

/// `litemaasctl queues resume`.
struct QueuesResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets jobs of a paused queue start again.")

    @Argument(help: "The queue.")
    var name: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try QueuesCommand.show([try await options.act { try await $0.resume(name) }], options)
    }
}
