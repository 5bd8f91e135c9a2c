import ArgumentParser
import Shared

/// `litemaasctl config`: what the programs would be told.
struct ConfigCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "config", abstract: "Checks, shows and documents the settings.",
        subcommands: [ConfigCheckCommand.self, ConfigPrintCommand.self, ConfigDocsCommand.self])
}

extension ProcessKind: ExpressibleByArgument {}

/// `litemaasctl config check`.
struct ConfigCheckCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "check", abstract: "Tells everything that is wrong with the settings, without starting anything.")

    @Option(name: .customLong("for"), help: "The program to check for; may be repeated. Left out: api and worker.")
    var processes: [ProcessKind] = []
    @OptionGroup var output: OutputOptions

    private struct Report: Encodable {
        var processes: [ProcessKind]
        var problems: [ConfigurationProblem] = []
        var notices: [String] = []
    }

    func run() async throws {
        var report = Report(processes: processes.isEmpty ? [.api, .worker] : processes)
        for process in report.processes {
            do throws(ConfigurationError) {
                let notices = try await AppConfiguration.load(process: process).notices
                report.notices += notices.filter { !report.notices.contains($0) }
            } catch {
                report.problems += error.problems.filter { !report.problems.contains($0) }
            }
        }
        if output.json {
            try Console.printJSON(report)
        } else {
            report.notices.forEach { Console.print("note: \($0)") }
            report.problems.forEach { Console.print("problem: \($0)") }
            let names = report.processes.map(\.rawValue).joined(separator: " and ")
            Console.print(
                report.problems.isEmpty ? "The settings are good for \(names)." : "Problems: \(report.problems.count).")
        }
        if !report.problems.isEmpty { throw ExitStatus.failed }
    }
}

/// `litemaasctl config print`.
struct ConfigPrintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print", abstract: "Shows the settings in force and where each comes from; secrets are redacted.")

    @Option(name: .customLong("for"), help: "The program whose settings to show.")
    var process: ProcessKind = .api
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let loaded = try await AppConfiguration.load(process: process)
        if output.json {
            try Console.printJSON(loaded.settings)
        } else {
            Console.print(loaded.render(), terminator: "")
        }
    }
}

/// `litemaasctl config docs`.
struct ConfigDocsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "docs", abstract: "Prints docs/configuration.md, or with --env .env.example.")

    @Flag(help: "Print .env.example.")
    var env = false

    func run() {
        print(env ? SettingsDocumentation.environmentFile() : SettingsDocumentation.markdown(), terminator: "")
    }
}
