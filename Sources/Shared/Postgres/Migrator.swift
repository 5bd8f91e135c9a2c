package import Foundation
package import Logging

/// Brings the schema up to date with the files of a directory: forward only, each file once, in order.
///
/// Works on a connection of its own over the direct URL, under an advisory lock, so that two of them never meet.
/// What was applied stands in `schema_migrations` with the checksum of its file; an edited file is refused.
package struct Migrator: Sendable {
    let client: PostgresClient
    let directory: URL
    let logger: Logger

    /// The key of the advisory lock, an arbitrary number.
    private static let lockKey: Int64 = 7_213_004_418
    /// How long to wait for another migration to finish.
    private static let lockTimeout: Duration = .seconds(60)
    private static let deadlockAttempts = 10

    /// Migrations of `directory` for the database of `client`.
    package init(client: PostgresClient, directory: URL, logger: Logger) {
        self.client = client
        self.directory = directory
        self.logger = logger
    }

    /// What happened to a file while `up` runs.
    package enum Progress: Sendable {
        /// Its statements are being run.
        case started(MigrationFile)
        /// It is applied, after that time.
        case finished(MigrationFile, Duration)
    }

    /// Where a migration stands.
    package struct Status: Sendable, Equatable {
        /// The kinds of standing.
        package enum State: String, Sendable {
            /// It was applied as it stands in its file.
            case applied
            /// It has not been applied yet.
            case pending
            /// It was applied, and its file was edited afterwards.
            case changed
            /// It was applied, and there is no such file.
            case missing
        }

        /// The number.
        package let version: Int
        /// The name without number and ending.
        package let name: String
        /// Where it stands.
        package let state: State
        /// When it was applied.
        package let appliedAt: Date?
        /// How long it took, in milliseconds.
        package let durationMilliseconds: Int?
    }

    struct Applied: Sendable {
        let version: Int
        let name: String
        let checksum: String
        let appliedAt: Date
        let duration: Int
    }

    // MARK: Commands

    /// Applies what is pending and gives the files applied.
    ///
    /// A file runs in a transaction of its own, unless its first line is `-- migrate: no-transaction`. Throws
    /// `MigrationError`, or `PostgresError` when the database cannot be reached.
    @discardableResult
    package func up(progress: @Sendable (Progress) -> Void = { _ in }) async throws -> [MigrationFile] {
        let files = try MigrationFile.read(directory: directory)
        return try await withDirectConnection { connection in
            try await lock(connection)
            try await connection.query(Self.createTable)
            let applied = try await Self.applied(connection)
            try Self.check(files, against: applied)
            let pending = Array(files.dropFirst(applied.count))
            for file in pending {
                progress(.started(file))
                let duration = try await apply(file, on: connection)
                progress(.finished(file, duration))
                logger.info(
                    "migration applied",
                    metadata: ["file": "\(file.fileName)", "durationMs": "\(duration.inMilliseconds)"])
            }
            return pending
        }
    }

    /// Where each migration stands, by number.
    package func status() async throws -> [Status] {
        let files = try MigrationFile.read(directory: directory)
        let applied = try await withDirectConnection { try await Self.applied($0) }
        let byVersion = Dictionary(applied.map { ($0.version, $0) }, uniquingKeysWith: { first, _ in first })
        var statuses = files.map { file in
            let applied = byVersion[file.version]
            let state: Status.State =
                switch applied {
                case nil: .pending
                case let applied? where applied.checksum == file.checksum && applied.name == file.name: .applied
                default: .changed
                }
            return Status(
                version: file.version, name: file.name, state: state, appliedAt: applied?.appliedAt,
                durationMilliseconds: applied?.duration)
        }
        for applied in applied where applied.version > files.count {
            statuses.append(
                Status(
                    version: applied.version, name: applied.name, state: .missing, appliedAt: applied.appliedAt,
                    durationMilliseconds: applied.duration))
        }
        return statuses
    }

    /// The statements that `up` would run, each file under a comment with its name.
    package func print() async throws -> String {
        let files = try MigrationFile.read(directory: directory)
        let applied = try await withDirectConnection { try await Self.applied($0) }
        try Self.check(files, against: applied)
        return files.dropFirst(applied.count).map { "-- \($0.fileName)\n\($0.sql)" }.joined(separator: "\n")
    }

    /// Throws `MigrationError` unless the database has at least migration `version`; newer is fine, so that programs
    /// can be replaced one after another.
    package static func requireCurrent(client: PostgresClient, atLeast version: Int) async throws {
        let current: Int
        do {
            current = try await client.query("select coalesce(max(version), 0) from schema_migrations").one(Int.self)
        } catch let error as PostgresError where error.sqlState == "42P01" {
            current = 0
        }
        guard current >= version else {
            throw MigrationError(
                .databaseIsOlder,
                "the database schema is at version \(current), this program needs \(version): "
                    + "run `litemaasctl migrate up`")
        }
    }

    // MARK: Inside

    static let createTable: PostgresQuery = """
        create table if not exists schema_migrations (
            version     int primary key,
            name        text not null,
            checksum    text not null,
            applied_at  timestamptz not null default now(),
            duration_ms int not null
        )
        """

    /// A connection past any pooler and without limits of time: a large table takes as long as it takes. With a name,
    /// to another database of the same server.
    func withDirectConnection<T: Sendable>(
        database: String? = nil, _ body: @Sendable (PostgresConnection) async throws -> T
    ) async throws -> T {
        var settings = client.settings
        settings.database = database
        settings.url = settings.directURL
        settings.poolMode = .session
        settings.maxConnections = 1
        settings.minConnections = 0
        settings.statementTimeout = nil
        settings.applicationName += "-migrate"
        settings.sessionSettings["statement_timeout"] = "0"
        settings.sessionSettings["idle_in_transaction_session_timeout"] = "0"
        let direct = PostgresClient(settings: settings, logger: logger)
        do {
            let value = try await direct.withConnection(body)
            await direct.close()
            return value
        } catch {
            await direct.close()
            throw error
        }
    }

    private func lock(_ connection: PostgresConnection) async throws {
        try await connection.query(
            "select set_config('lock_timeout', \("\(Self.lockTimeout.inMilliseconds)"), false)")
        do {
            // Held until the connection closes.
            try await connection.query("select pg_advisory_lock(\(Self.lockKey))")
        } catch let error as PostgresError where error.sqlState == "55P03" {
            throw MigrationError(
                .locked,
                "another migration has been under way for \(Self.lockTimeout.inMilliseconds / 1000) s: "
                    + "wait for it, or end its session (application_name ends in -migrate)")
        }
        try await connection.query("select set_config('lock_timeout', '0', false)")
    }

    static func applied(_ connection: PostgresConnection) async throws -> [Applied] {
        let rows: PostgresRows
        do {
            rows = try await connection.query(
                "select version, name, checksum, applied_at, duration_ms from schema_migrations order by version")
        } catch let error as PostgresError where error.sqlState == "42P01" {
            return []
        }
        return try rows.map { row in
            let (version, name, checksum, appliedAt, duration) = try row.decode(
                Int.self, String.self, String.self, Date.self, Int.self)
            return Applied(
                version: version, name: name, checksum: checksum, appliedAt: appliedAt, duration: duration)
        }
    }

    static func check(_ files: [MigrationFile], against applied: [Applied]) throws(MigrationError) {
        for (index, row) in applied.enumerated() {
            guard row.version == index + 1 else {
                throw MigrationError(
                    .changedFile,
                    "schema_migrations has no version \(index + 1) although it has \(row.version): "
                        + "restore the row of the migration that was applied")
            }
            guard index < files.count else {
                throw MigrationError(
                    .databaseIsNewer,
                    "the database has migration \(row.version) (\(row.name)), the files end at \(files.count): "
                        + "use the release that the database was migrated with, or a newer one")
            }
            let file = files[index]
            guard file.checksum == row.checksum, file.name == row.name else {
                throw MigrationError(
                    .changedFile,
                    "\(file.fileName) is not the file that was applied (\(row.name)): "
                        + "restore it as it was and put the change into a new migration")
            }
        }
    }

    /// Runs a file. Workers go on meanwhile and take their locks in another order: where the two meet, the server
    /// rolls one back; when it is the migration, it is tried again.
    private func apply(_ file: MigrationFile, on connection: PostgresConnection) async throws -> Duration {
        for _ in 1..<Self.deadlockAttempts where file.isTransactional {
            do {
                return try await applyOnce(file, on: connection)
            } catch let error as PostgresError where error.isDeadlock {
                logger.notice("migration met running work and is tried again", metadata: ["file": "\(file.fileName)"])
            } catch let error as PostgresError {
                throw Self.failure(of: file, error)
            }
        }
        do {
            return try await applyOnce(file, on: connection)
        } catch let error as PostgresError {
            throw Self.failure(of: file, error)
        }
    }

    private static func failure(of file: MigrationFile, _ error: PostgresError) -> MigrationError {
        MigrationError(
            .failed,
            file.isTransactional
                ? "\(file.fileName) failed and was rolled back: \(error)"
                : "\(file.fileName) failed; it runs outside a transaction, so what it did before stays: \(error)")
    }

    private func applyOnce(_ file: MigrationFile, on connection: PostgresConnection) async throws -> Duration {
        let start = ContinuousClock.now
        do {
            if file.isTransactional { try await connection.query("begin") }
            try await connection.execute(PostgresQuery(trusted: file.sql), timeout: nil)
            if file.isTransactional, connection.isOutsideTransaction {
                throw MigrationError(
                    .failed,
                    "\(file.fileName) ends its own transaction: remove COMMIT or ROLLBACK, "
                        + "or make `-- migrate: no-transaction` its first line")
            }
            let duration = ContinuousClock.now - start
            try await connection.query(
                """
                insert into schema_migrations (version, name, checksum, duration_ms)
                values (\(file.version), \(file.name), \(file.checksum), \(Int(duration.inMilliseconds)))
                """)
            if file.isTransactional { try await connection.query("commit") }
            return duration
        } catch let error as PostgresError {
            if !connection.isOutsideTransaction { try await connection.query("rollback") }
            throw error
        }
    }
}
