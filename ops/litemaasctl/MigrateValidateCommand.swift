import ArgumentParser
import Shared

/// `litemaasctl migrate validate`.
struct MigrateValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Compares the database with what its migrations make, and lists every difference.",
        discussion: """
            The applied migrations are run in a scratch database on the same server, which is dropped afterwards: the \
            account needs the right to create databases. Ends 3 when there is a difference.
            """)

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    private struct Item: Encodable {
        let kind: String
        let object: String
        let expected: String?
        let actual: String?
    }

    func run() async throws {
        let drift = try await database.withMigrator { try await $0.validate() }
        if output.json {
            try Console.printJSON(
                drift.map {
                    Item(kind: $0.kind.rawValue, object: $0.object, expected: $0.expected, actual: $0.actual)
                })
        } else {
            drift.forEach { Console.print("\($0)") }
            Console.print(
                drift.isEmpty ? "The database is as its migrations make it." : "Differences: \(drift.count).")
        }
        if !drift.isEmpty { throw ExitStatus.notCurrent }
    }
}
