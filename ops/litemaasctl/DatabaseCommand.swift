import ArgumentParser
import Shared

/// `litemaasctl db`: a database to work with.
struct DatabaseCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "db", abstract: "Creates a database, and fills it for development.",
        subcommands: [DatabaseSetupCommand.self, DatabaseSeedCommand.self])
}

/// `litemaasctl db setup`.
struct DatabaseSetupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "setup", abstract: "Creates the database of DATABASE_URL if there is none, and its tables.")

    @OptionGroup var database: DatabaseOptions
    @OptionGroup var output: OutputOptions

    func run() async throws {
        let isCreated = try await DatabaseOptions.withClient { client, _, logger in
            try await PostgresDatabaseStore(settings: client.settings, logger: logger).createIfAbsent()
        }
        if isCreated, !output.json { Console.print("The database was created.") }
        try await MigrateUpCommand.apply(database, output)
    }
}
