import ArgumentParser
import Foundation
import Jobs
import Shared

extension JobLimitScope: ExpressibleByArgument {}

/// `litemaasctl queues limit`.
struct QueuesLimitCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "limit", abstract: "Shows and sets how many jobs of a queue or kind may run, and how many start.",
        discussion: """
            A limit holds for the whole fleet; workers follow within a second. Without a name it lists the limits; \
            --none lifts one. Jobs of a kind are limited with --scope kind.
            """)

    @Argument(help: "The queue, or with --scope kind the kind.")
    var name: String?
    @Option(help: "queue or kind.")
    var scope = JobLimitScope.queue
    @Option(help: "Jobs at once.")
    var maxRunning: Int?
    @Option(help: "Starts in a period, such as 100/60s: a number, a slash, seconds.")
    var rate: String?
    @Flag(help: "Lift the limit.")
    var none = false
    @OptionGroup var how: ForceOptions
    @OptionGroup var options: OperatorOptions

    mutating func validate() throws {
        let isSetting = none || maxRunning != nil || rate != nil
        guard !isSetting || name != nil else { throw ValidationError("name the queue or kind to limit") }
        guard !(none && (maxRunning != nil || rate != nil)) else { throw ValidationError("--none stands alone") }
        _ = try parsedRate()
    }

    func run() async throws {
        let rate = try parsedRate()
        let limits = try await options.act { way in
            if let name, none || maxRunning != nil || rate != nil {
                try await way.limit(scope, name, maxRunning: maxRunning, rate: rate, force: how.force)
            }
            return try await way.limits().filter { name == nil || ($0.name == name && $0.scope == scope) }
        }
        if options.output.json { return try Console.printJSON(limits) }
        guard !limits.isEmpty else { return Console.print("There is no limit.") }
        var table = Table(
            ["SCOPE", "NAME", "RUNNING", "STARTS", "PARKED", "REACHED", "SET BY"],
            rightAligned: ["RUNNING", "STARTS", "PARKED"])
        for limit in limits {
            table.add(
                limit.scope.rawValue, limit.name, "\(limit.running)/\(limit.maxRunning.map { "\($0)" } ?? "∞")",
                limit.rate.map { "\(limit.starts)/\($0.count) in \($0.seconds) s" } ?? "-", "\(limit.parked)",
                limit.isReached ? "yes" : "no", "\(limit.changedBy), \(Words.distance(limit.changedAt) ?? "")")
        }
        Console.print(table.text)
    }

    private func parsedRate() throws -> JobRate? {
        guard let rate else { return nil }
        let parts = rate.split(separator: "/").map(String.init)
        let seconds = parts.count == 2 ? parts[1].replacing(/s$/, with: "") : ""
        guard parts.count == 2, let count = Int(parts[0]), let period = Int(seconds) else {
            throw ValidationError("--rate is a number, a slash and seconds, such as 100/60s")
        }
        return JobRate(count: count, per: period)
    }
}
