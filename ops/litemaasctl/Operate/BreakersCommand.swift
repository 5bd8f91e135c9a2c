import ArgumentParser
import Foundation
import Jobs
import Shared

extension BreakerAdministration.Force: ExpressibleByArgument {}

/// `litemaasctl breakers`.
struct BreakersCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "breakers",
        abstract: "Shows the circuit breakers before LiteLLM, holds them open or closed, hands them back.",
        subcommands: [BreakersListCommand.self, BreakersForceCommand.self, BreakersResetCommand.self],
        defaultSubcommand: BreakersListCommand.self)

    static func show(_ breakers: [BreakerReport], _ options: OperatorOptions) throws {
        if options.output.json { return try Console.printJSON(breakers) }
        var table = Table(
            ["BREAKER", "STATE", "SINCE", "READY", "RUNNING", "CALLS (30 S)", "NEXT PROBE", "CHANGED BY", "WHY"],
            rightAligned: ["READY", "RUNNING"])
        for breaker in breakers {
            table.add(
                breaker.name, breaker.state, Words.distance(breaker.openedAt ?? breaker.changedAt),
                Words.count(breaker.ready.value, isExact: breaker.ready.isExact), "\(breaker.running)",
                "\(breaker.window.succeeded) ok, \(breaker.window.failed) failed", Words.distance(breaker.retryAt),
                breaker.changedBy.map { UUID(uuidString: $0) == nil ? $0 : "worker \($0.prefix(8))" }, breaker.reason)
        }
        Console.print(table.text)
    }

    /// What its state means for the jobs behind it.
    static func sentences(_ breaker: BreakerReport) -> [String] {
        var lines = [
            "The breaker of \(breaker.name) is \(breaker.state) since "
                + "\(Words.time(breaker.openedAt ?? breaker.changedAt) ?? "")"
                + (breaker.reason.map { ": \($0)." } ?? ".")
        ]
        if let retry = breaker.retryAt { lines.append("The next probe is due \(Words.distance(retry) ?? "").") }
        lines.append(
            "\(Words.count(breaker.ready.value, isExact: breaker.ready.isExact)) jobs wait behind it, \(breaker.running) run."
        )
        if breaker.isForced { lines.append("→ litemaasctl breakers reset \(breaker.name)") }
        return lines
    }
}

/// `litemaasctl breakers list`.
struct BreakersListCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "list", abstract: "Shows each breaker's state, since when, who changed it and why.")

    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try BreakersCommand.show(try await options.act { try await $0.breakers() }, options)
    }
}

/// `litemaasctl breakers force`.
struct BreakersForceCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "force", abstract: "Holds a breaker open or closed until it is reset.")

    @Argument(help: "The breaker, such as litellm.admin.")
    var name: String
    @Argument(help: "open: no calls; closed: calls, whatever LiteLLM does.")
    var state: BreakerAdministration.Force
    @Option(help: "Why; everybody who waits sees it.")
    var reason: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try BreakersCommand.show([try await options.act { try await $0.force(name, state, reason: reason) }], options)
    }
}

/// `litemaasctl breakers reset`.
struct BreakersResetCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reset", abstract: "Closes a breaker and leaves it to itself again.")

    @Argument(help: "The breaker, such as litellm.admin.")
    var name: String
    @OptionGroup var options: OperatorOptions

    func run() async throws {
        try BreakersCommand.show([try await options.act { try await $0.reset(name) }], options)
    }
}
