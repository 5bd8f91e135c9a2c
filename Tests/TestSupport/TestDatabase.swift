package import Foundation
import Logging
package import Shared
package import Testing

/// A database of its own for one test.
package struct TestDatabase: Sendable {
    /// A client with a small pool.
    package let client: PostgresClient
    /// The settings of the client; its URL reaches the test's database.
    package let settings: PostgresSettings
    /// The database's name.
    package let name: String

    /// The connection string of the test's database.
    package var url: Secret { settings.url }
}

/// Runs `body` with a new database that has all migrations of `migrations/`, and drops it afterwards.
///
/// - Parameter configure: changes the settings of the client before it is made.
///
/// Needs `TEST_DATABASE_URL`: a user of a scratch cluster who may create databases. Without it the test fails, unless
/// `ALLOW_NO_DATABASE=1`: then it is cancelled, which counts as skipped.
package func withTestDatabase<T: Sendable>(
    configure: (inout PostgresSettings) -> Void = { _ in },
    _ body: @Sendable (TestDatabase) async throws -> T
) async throws -> T {
    let server = try TestDatabaseServer.required()
    let template = try await server.template()
    return try await server.withDatabase(template: template, configure: configure, body)
}

/// Runs `body` with a new database without any tables, and drops it afterwards. See `withTestDatabase`.
package func withEmptyTestDatabase<T: Sendable>(
    configure: (inout PostgresSettings) -> Void = { _ in },
    _ body: @Sendable (TestDatabase) async throws -> T
) async throws -> T {
    let server = try TestDatabaseServer.required()
    return try await server.withDatabase(template: "template0", configure: configure, body)
}

extension Trait where Self == ConditionTrait {
    /// Skips tests that need a database when there is none and `ALLOW_NO_DATABASE=1`. Without that variable they run,
    /// and fail with a message that says what to set.
    package static var needsDatabase: Self {
        .enabled(
            if: TestDatabaseServer.url != nil || !TestDatabaseServer.mayBeAbsent,
            "TEST_DATABASE_URL is not set and ALLOW_NO_DATABASE=1")
    }
}

/// The scratch cluster that tests run on.
package actor TestDatabaseServer {
    /// What is missing, and what to do.
    package struct Unavailable: Error, CustomStringConvertible {
        /// One sentence.
        package let description: String
    }

    /// The connection string of the cluster.
    package static let url: Secret? = variable("TEST_DATABASE_URL").map(Secret.init)
    static let mayBeAbsent = variable("ALLOW_NO_DATABASE") == "1"

    /// `migrations/` of this package.
    package static let migrations = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "migrations", directoryHint: .isDirectory)

    /// One for the whole process.
    private static let shared: TestDatabaseServer? = url.map { TestDatabaseServer(url: $0) }

    /// The key of the advisory lock under which templates are made, an arbitrary number.
    private static let lockKey: Int64 = 5_400_218_811

    /// How many test databases there may be at once: a server takes a hundred connections unless told otherwise, and
    /// Swift Testing starts all tests together.
    private static let limit = 12

    private let baseURL: Secret
    private let admin: PostgresClient
    private var making: Task<String, any Error>?
    private var free = limit
    private var waiting: [CheckedContinuation<Void, Never>] = []

    private init(url: Secret) {
        baseURL = url
        var settings = PostgresSettings(url: url)
        settings.maxConnections = 4
        settings.maxWaiting = 10_000
        settings.leaseTimeout = .seconds(120)
        settings.statementTimeout = .seconds(60)
        admin = PostgresClient(settings: settings, logger: Logger(label: "test-database"))
    }

    private static func variable(_ name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else { return nil }
        return value
    }

    /// The server; throws or cancels the test when there is none.
    static func required() throws -> TestDatabaseServer {
        if let shared { return shared }
        if mayBeAbsent { try Test.cancel("TEST_DATABASE_URL is not set and ALLOW_NO_DATABASE=1") }
        throw Unavailable(
            description: "TEST_DATABASE_URL is not set: point it to a scratch PostgreSQL cluster where the user may "
                + "create databases, or set ALLOW_NO_DATABASE=1 to skip tests that need one")
    }

    // MARK: The template

    /// The name of a database with all migrations, made once for each state of the files.
    func template() async throws -> String {
        if let making { return try await making.value }
        let task = Task { try await self.makeTemplate() }
        making = task
        return try await task.value
    }

    private func makeTemplate() async throws -> String {
        let files = try MigrationFile.read(directory: Self.migrations)
        let key = sha256Hex(files.map { "\($0.fileName) \($0.checksum)" }.joined(separator: "\n")).prefix(16)
        let name = "litemaas_template_\(key)"
        return try await admin.withConnection { [self] connection in
            // Other test processes may be about to make the same one.
            try await connection.query("select pg_advisory_lock(\(Self.lockKey))")
            do {
                let isThere = try await connection.query(
                    "select exists(select from pg_database where datname = \(name))")
                if try !isThere.one(Bool.self) { try await makeTemplate(name, on: connection) }
            } catch {
                try await connection.query("select pg_advisory_unlock(\(Self.lockKey))")
                throw error
            }
            try await connection.query("select pg_advisory_unlock(\(Self.lockKey))")
            return name
        }
    }

    private nonisolated func makeTemplate(_ name: String, on connection: PostgresConnection) async throws {
        // It gets its name when it is complete, so that one left behind by a killed process is never taken.
        let unfinished = "\(name)_unfinished"
        try await connection.query("drop database if exists \(identifier: unfinished) with (force)")
        try await connection.query("create database \(identifier: unfinished) template template0")
        let client = PostgresClient(settings: settings(for: unfinished), logger: Logger(label: "test-template"))
        do {
            let migrator = Migrator(client: client, directory: Self.migrations, logger: Logger(label: "test-template"))
            try await migrator.up()
            await client.close()
        } catch {
            await client.close()
            throw error
        }
        try await connection.query("alter database \(identifier: unfinished) rename to \(identifier: name)")
    }

    // MARK: A test's database

    private func enter() async {
        if free > 0 {
            free -= 1
        } else {
            await withCheckedContinuation { waiting.append($0) }
        }
    }

    private func leave() {
        if waiting.isEmpty {
            free += 1
        } else {
            waiting.removeFirst().resume()
        }
    }

    nonisolated func withDatabase<T: Sendable>(
        template: String, configure: (inout PostgresSettings) -> Void,
        _ body: @Sendable (TestDatabase) async throws -> T
    ) async throws -> T {
        await enter()
        let outcome: Result<T, any Error>
        do {
            outcome = .success(try await withOwnDatabase(template: template, configure: configure, body))
        } catch {
            outcome = .failure(error)
        }
        await leave()
        return try outcome.get()
    }

    private nonisolated func withOwnDatabase<T: Sendable>(
        template: String, configure: (inout PostgresSettings) -> Void,
        _ body: @Sendable (TestDatabase) async throws -> T
    ) async throws -> T {
        let name = "litemaas_test_\(UUID().uuidString.lowercased().replacing("-", with: ""))"
        var settings = settings(for: name)
        configure(&settings)
        try await admin.query("create database \(identifier: name) template \(identifier: template)")
        let client = PostgresClient(settings: settings, logger: Logger(label: "test"))
        let outcome: Result<T, any Error>
        do {
            outcome = .success(try await body(TestDatabase(client: client, settings: settings, name: name)))
        } catch {
            outcome = .failure(error)
        }
        await client.close()
        // Not in the test's task, which may be cancelled: the database has to go all the same.
        _ = try await Task { [admin] in
            try await admin.query("drop database if exists \(identifier: name) with (force)")
        }.value
        return try outcome.get()
    }

    private nonisolated func settings(for database: String) -> PostgresSettings {
        var settings = PostgresSettings(url: Self.url(baseURL, database: database))
        settings.maxConnections = 6
        // Generous: tests share the machine, and what they wait for are events, not times.
        settings.connectTimeout = .seconds(30)
        settings.leaseTimeout = .seconds(60)
        settings.statementTimeout = .seconds(60)
        settings.applicationName = "litemaas-tests"
        return settings
    }

    /// The same server and user, another database.
    private static func url(_ base: Secret, database: String) -> Secret {
        guard var components = URLComponents(string: base.reveal()) else { return base }
        components.path = "/\(database)"
        return Secret(components.string ?? base.reveal())
    }
}
