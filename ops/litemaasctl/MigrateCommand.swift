import ArgumentParser
import Foundation
import Shared

/// `litemaasctl migrate`: the database's schema.
struct MigrateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "migrate", abstract: "Brings the database's schema up to date, and tells where it stands.",
        subcommands: [
            MigrateUpCommand.self, MigrateStatusCommand.self, MigratePrintCommand.self, MigrateValidateCommand.self,
        ])

    /// A migration as JSON shows it.
    struct Item: Encodable {
        let version: Int
        let name: String
        var state: String?
        var appliedAt: Date?
        var durationMilliseconds: Int?
    }
}

/// `litemaasctl migrate up`.
struct MigrateUpCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "up", abstract: "Applies the migrations that are pending, each in a transaction of its own.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        try await Self.apply(database, output)
    }

    /// Applies what is pending and tells what was done.
    static func apply(_ database: DatabaseOptions, _ output: OutputOptions) async throws {
        let isQuiet = output.json
        let applied = try await database.withMigrator { migrator in
            try await migrator.up { progress in
                guard !isQuiet else { return }
                switch progress {
                case .started(let file): Console.print("applying \(file.fileName)")
                case .finished(let file, let duration):
                    Console.print("applied  \(file.fileName) in \(duration.inMilliseconds) ms")
                }
            }
        }
        if output.json {
            try Console.printJSON(["applied": applied.map { MigrateCommand.Item(version: $0.version, name: $0.name) }])
        } else {
            Console.print(applied.isEmpty ? "The schema is current." : "Migrations applied: \(applied.count).")
        }
    }
}

/// `litemaasctl migrate status`.
struct MigrateStatusCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "status", abstract: "Lists the migrations. Ends 3 unless all are applied as they stand.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let statuses = try await database.withMigrator { try await $0.status() }
        if output.json {
            try Console.printJSON(
                statuses.map {
                    MigrateCommand.Item(
                        version: $0.version, name: $0.name, state: $0.state.rawValue, appliedAt: $0.appliedAt,
                        durationMilliseconds: $0.durationMilliseconds)
                })
        } else {
            for status in statuses {
                let number = String(repeating: "0", count: max(0, 4 - "\(status.version)".count)) + "\(status.version)"
                let state = status.state.rawValue.padding(toLength: 8, withPad: " ", startingAt: 0)
                let when = status.appliedAt.map { "  \(ISO8601.string(from: $0))" } ?? ""
                Console.print("\(state) \(number)_\(status.name)\(when)")
            }
        }
        if statuses.contains(where: { $0.state != .applied }) { throw ExitStatus.notCurrent }
    }
}

/// `litemaasctl migrate print`.
struct MigratePrintCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "print", abstract: "Prints the statements that `migrate up` would run.")

    @OptionGroup var database: DatabaseOptions

    func run() async throws {
        Console.print(try await database.withMigrator { try await $0.print() }, terminator: "")
    }
}
