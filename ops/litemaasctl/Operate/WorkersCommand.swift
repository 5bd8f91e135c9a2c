import ArgumentParser
import Foundation
import Jobs
import Shared

/// `litemaasctl workers`.
struct WorkersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "workers", abstract: "Shows what runs where and for how long; drains a worker.",
        subcommands: [WorkersListCommand.self, WorkersDrainCommand.self, WorkersResumeCommand.self],
        defaultSubcommand: WorkersListCommand.self)

    static func show(_ workers: [WorkerReport], jobs: Bool = true, _ options: OperatorOptions) throws {
        if options.output.json { return try Console.printJSON(workers) }
        guard !workers.isEmpty else { return Console.print("No worker is alive.") }
        var table = Table(
            ["WORKER", "NAME", "HOST", "PID", "STATE", "RUNNING", "LAST BEAT", "STARTED", "VERSION", "QUEUES"],
            rightAligned: ["WORKER", "PID", "RUNNING"])
        for worker in workers {
            table.add(
                "\(worker.id)", worker.name, worker.host, "\(worker.pid)",
                worker.state.rawValue + (worker.drainRequestedBy.map { " (by \($0))" } ?? ""),
                "\(worker.running)/\(worker.capacity)", "\(Duration.seconds(worker.secondsSinceBeat).words) ago",
                Words.distance(worker.startedAt), worker.version, worker.queues.joined(separator: ","))
        }
        Console.print(table.text)
        let running = jobs ? workers.flatMap { worker in worker.jobs.map { (worker.id, $0) } } : []
        guard !running.isEmpty else { return }
        var held = Table(
            ["WORKER", "JOB", "KIND", "FOR", "ATTEMPT", "ON", "PROGRESS"], rightAligned: ["WORKER", "JOB", "ATTEMPT"])
        for (worker, job) in running.sorted(by: { $0.1.runningSeconds > $1.1.runningSeconds }).prefix(50) {
            held.add(
                "\(worker)", "\(job.id)", job.kind,
                Duration.seconds(job.runningSeconds).words + (job.cancelRequested ? ", asked to stop" : ""),
                "\(job.attempt)", job.resource.map { "\($0.type)/\($0.id)" },
                job.progress.map { "\(Int($0.fraction * 100))% \($0.message)" })
        }
        Console.print("\n" + held.text)
    }
}

/// `litemaasctl workers list`.
struct WorkersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Lists the workers and the jobs that they run, longest first.")

    @Flag(help: "Also those that stopped or were lost during the last day.")
    var ended = false
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try WorkersCommand.show(try await options.act { try await $0.workers(ended: ended) }, options)
    }
}

/// `litemaasctl workers drain`.
struct WorkersDrainCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "drain", abstract: "Lets a worker claim no more; what it runs ends in its own time.",
        discussion: "With --wait it ends once nothing runs there any more; then the process can be stopped.")

    @Argument(help: "The worker's number.")
    var id: Int32
    @Option(help: "Why; it is kept in the audit log.")
    var reason: String?
    @Flag(help: "Wait until it runs nothing any more.")
    var wait = false
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        let worker = try await options.act { way in
            var worker = try await way.drain(id, reason: reason)
            guard wait else { return worker }
            var bar = ProgressBar(isQuiet: options.output.json)
            let first = max(worker.running, 1)
            while worker.running > 0 || worker.state == .active {
                bar.show(1 - Double(worker.running) / Double(first), "\(worker.running) jobs run")
                try await Task.sleep(for: .milliseconds(500))
                guard let now = try await way.workers(ended: true).first(where: { $0.id == id }) else { break }
                worker = now
            }
            bar.clear()
            return worker
        }
        try WorkersCommand.show([worker], options)
    }
}

/// `litemaasctl workers resume`.
struct WorkersResumeCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "resume", abstract: "Lets a drained worker claim again.")

    @Argument(help: "The worker's number.")
    var id: Int32
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try WorkersCommand.show([try await options.act { try await $0.resume(worker: id) }], options)
    }
}
