import Foundation
import Jobs
import Logging
import Shared

/// A scratch database with the product's schema on the server that DATABASE_URL names, dropped at the end. Nothing
/// else on that server is touched.
struct BenchDatabase: Sendable {
    /// Reaches the scratch database.
    let settings: PostgresSettings
    /// For loading and counting; not what is measured.
    let client: PostgresClient
    let logger: Logger
    let store = PostgresBenchStore()

    static func with<Result: Sendable>(
        _ options: DatabaseOptions, _ body: @Sendable (BenchDatabase) async throws -> Result
    ) async throws -> Result {
        let directory = try options.directory()
        return try await DatabaseOptions.withClient { server, configuration, logger in
            let store = PostgresBenchStore()
            let name: String
            do {
                name = try await store.createDatabase(in: server)
            } catch let error as PostgresError where error.sqlState == "42501" {
                throw CommandFailure(
                    description: "The account of DATABASE_URL may not create databases, and benchmarks run only in "
                        + "one of their own. Allow it (alter role … createdb) or name another server.")
            }
            var settings = configuration.database.inDatabase(name)
            settings.statementTimeout = .seconds(1800)
            let client = PostgresClient(settings: settings, logger: logger)
            let outcome: Swift.Result<Result, any Error>
            do {
                try await Migrator(client: client, directory: directory, logger: logger).up()
                outcome = .success(
                    try await body(
                        BenchDatabase(settings: configuration.database.inDatabase(name), client: client, logger: logger)
                    ))
            } catch {
                outcome = .failure(error)
            }
            await client.close()
            // Also when the run was cancelled: the scratch database has to go all the same.
            try await Task { try await store.dropDatabase(name, in: server) }.value
            return try outcome.get()
        }
    }
}
