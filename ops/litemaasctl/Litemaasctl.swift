import ArgumentParser
import Foundation
import Shared

/// The operator's command line.
@main
struct Litemaasctl: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "litemaasctl",
        abstract: "Operates LiteMaaS Backend.",
        discussion: """
            Settings come from the environment and from .env, as for the other programs.

            What looks at jobs and changes them works over REST (--url or LITEMAAS_URL, with LITEMAAS_TOKEN), or in the \
            database of DATABASE_URL.

            Exit status: 0 done, 1 failed, 2 wrong usage, 3 the database's schema is not the one this build needs, \
            4 there is no such thing, 5 refused: its state or your rights do not allow it, or --force is needed. \
            `doctor` ends 0, 1 or 2: well, to be looked at, not working.

            Completions: litemaasctl --generate-completion-script bash (or zsh, fish); see docs/operations.md.
            """,
        version: BuildInfo.version,
        subcommands: [
            JobsCommand.self, QueuesCommand.self, SchedulesCommand.self, BreakersCommand.self, WorkersCommand.self,
            BulkCommand.self, UsersCommand.self, UsageCommand.self, ReconcileCommand.self, DriftCommand.self,
            AlertsCommand.self, DoctorCommand.self, MigrateCommand.self, DatabaseCommand.self, ConfigCommand.self,
            LoadCommand.self,
            ChaosCommand.self, BenchCommand.self,
        ])

    static func main() async {
        do {
            var command = try parseAsRoot()
            if var command = command as? any AsyncParsableCommand {
                try await command.run()
            } else {
                try command.run()
            }
        } catch {
            end(with: error)
        }
    }

    /// Ends the process with the message and the status that belong to `error`.
    private static func end(with error: any Error) -> Never {
        if let status = error as? ExitStatus { Foundation.exit(status.rawValue) }
        if let refusal = error as? CommandRefusal {
            Console.error(refusal.description)
            Foundation.exit(refusal.status.rawValue)
        }
        let code = exitCode(for: error)
        guard code != .success else { exit(withError: error) }
        if let error = error as? MigrationError, ExitStatus.isAboutTheSchema(error) {
            Console.error(error.description)
            Foundation.exit(ExitStatus.notCurrent.rawValue)
        }
        Console.error(code == .validationFailure ? fullMessage(for: error) : message(for: error))
        Foundation.exit((code == .validationFailure ? ExitStatus.usage : .failed).rawValue)
    }
}

/// Ends a command with a status other than 0; what there is to say was said before.
enum ExitStatus: Int32, Error {
    case failed = 1
    case usage = 2
    case notCurrent = 3
    /// What was named is not there.
    case notFound = 4
    /// What was asked for is not allowed as things are.
    case refused = 5

    /// Whether the schema is the trouble, rather than a file or the way to the database.
    static func isAboutTheSchema(_ error: MigrationError) -> Bool {
        [.databaseIsOlder, .databaseIsNewer, .changedFile].contains(error.code)
    }
}

/// Ends a command with status 1 and this sentence.
struct CommandFailure: Error, CustomStringConvertible {
    let description: String
}

/// Results go to standard output, everything else to standard error.
enum Console {
    static func print(_ text: String, terminator: String = "\n") {
        // At once and whole: readers of a pipe follow, and what goes to standard error stays in its place.
        StandardStreamSink(.standardOutput).write(Array((text + terminator).utf8))
    }

    static func printJSON(_ value: some Encodable) throws {
        print(String(decoding: try JSON.encoder.encode(value), as: UTF8.self))
    }

    static func error(_ text: String) {
        StandardStreamSink(.standardError).write(Array((text + "\n").utf8))
    }
}

/// `--json` of the commands that have it.
struct OutputOptions: ParsableArguments {
    @Flag(help: "Print one JSON document instead of text.")
    var json = false
}
