import ArgumentParser
import Foundation
import Logging
import Shared

/// What the commands that need the database share: its settings, and the migrations' directory.
struct DatabaseOptions: ParsableArguments {
    @Option(
        help: ArgumentHelp(
            "The directory of the migrations.",
            discussion: "Left out: migrations in the working directory, else beside the program."))
    var migrations: String?

    /// The directory. Throws `ValidationError` when there is none.
    func directory() throws -> URL {
        let program = URL(filePath: CommandLine.arguments[0]).resolvingSymlinksInPath().deletingLastPathComponent()
        let candidates =
            migrations.map { [URL(filePath: $0)] } ?? [
                URL(filePath: "migrations"), program.appending(path: "migrations"),
                program.deletingLastPathComponent().appending(path: "share/litemaas/migrations"),
            ]
        if let found = candidates.first(where: { FileManager.default.fileExists(atPath: $0.path) }) { return found }
        throw ValidationError(
            "There is no directory \(candidates[0].path): name the directory of the migrations with --migrations.")
    }

    /// Runs `body` with a client that is closed afterwards. Throws `ConfigurationError` for wrong settings.
    static func withClient<Result: Sendable>(
        _ body: (PostgresClient, AppConfiguration, Logger) async throws -> Result
    ) async throws -> Result {
        let configuration = try await AppConfiguration.load(process: .cli)
        let logger = logger(configuration)
        var settings = configuration.database
        // Somebody is waiting: the pool need not go on trying for long.
        settings.leaseTimeout = min(settings.leaseTimeout, .seconds(5))
        let client = PostgresClient(settings: settings, logger: logger)
        do {
            let result = try await body(client, configuration, logger)
            await client.close()
            return result
        } catch {
            await client.close()
            throw error
        }
    }

    /// Runs `body` with a migrator of the configured database.
    func withMigrator<Result: Sendable>(_ body: (Migrator) async throws -> Result) async throws -> Result {
        let directory = try directory()
        return try await Self.withClient { client, _, logger in
            try await body(Migrator(client: client, directory: directory, logger: logger))
        }
    }

    /// What a command does is told by its output; the log is for errors, or for all that a lower LOG_LEVEL asks for.
    private static func logger(_ configuration: AppConfiguration) -> Logger {
        let asked = configuration.logging.level
        return Logger(label: "litemaasctl") { label in
            JSONLogHandler(
                label: label, level: asked < .info ? asked : .error, format: .text,
                sink: StandardStreamSink(.standardError))
        }
    }
}
