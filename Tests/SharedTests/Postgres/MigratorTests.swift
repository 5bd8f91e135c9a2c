import Foundation
import Logging
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct MigratorTests {
    /// Migration files in a folder of their own.
    private struct Folder {
        let url: URL

        init(_ files: [String: String]) throws {
            url = FileManager.default.temporaryDirectory.appending(path: "migrations-\(UUID().uuidString)")
            try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
            for (name, sql) in files { try write(name, sql) }
        }

        func write(_ name: String, _ sql: String) throws {
            try sql.write(to: url.appending(path: name), atomically: true, encoding: .utf8)
        }

        func remove(_ name: String) throws {
            try FileManager.default.removeItem(at: url.appending(path: name))
        }
    }

    private static let first = "create table a (id bigint primary key, name text not null);"
    private static let second = "create index a_name on a (name); insert into a values (1, 'one');"

    private func withMigrations(
        _ files: [String: String], _ body: @Sendable (TestDatabase, Migrator, Folder) async throws -> Void
    ) async throws {
        let folder = try Folder(files)
        defer {
            do {
                try FileManager.default.removeItem(at: folder.url)
            } catch {
                Issue.record("\(folder.url.path) is left behind: \(error)")
            }
        }
        try await withEmptyTestDatabase { db in
            let migrator = Migrator(client: db.client, directory: folder.url, logger: Logger(label: "test"))
            try await body(db, migrator, folder)
        }
    }

    private func migrationError<T>(
        sourceLocation: SourceLocation = #_sourceLocation, _ body: () async throws -> T
    ) async throws -> MigrationError {
        let error = await #expect(throws: MigrationError.self, sourceLocation: sourceLocation) { _ = try await body() }
        return try #require(error, sourceLocation: sourceLocation)
    }

    @Test func aMigrationThatLosesADeadlockIsTriedAgain() async throws {
        let files = [
            "0001_first.sql": "create table a (id int); create table b (id int);",
            "0002_locks.sql": """
            set local deadlock_timeout = '5s';
            lock table a in access exclusive mode;
            lock table b in access exclusive mode;
            create table c (id int);
            """,
        ]
        try await withMigrations(files) { db, migrator, folder in
            let second = try String(contentsOf: folder.url.appending(path: "0002_locks.sql"), encoding: .utf8)
            try folder.remove("0002_locks.sql")
            try await migrator.up()
            try folder.write("0002_locks.sql", second)
            @Sendable func waits(_ condition: PostgresQuery) async throws {
                while try await !db.client.query(condition).one(Bool.self) { await Task.yield() }
            }
            async let applied: [MigrationFile] = {
                try await waits("select exists (select from pg_locks where relation = 'b'::regclass and granted)")
                return try await migrator.up()
            }()
            try await db.client.withTransaction { work in
                // The server ends whoever has waited for that long: the migration.
                try await work.query("set local deadlock_timeout = '60s'")
                try await work.query("lock table b in row exclusive mode")
                try await waits("select exists (select from pg_locks where relation = 'b'::regclass and not granted)")
                // Closes the circle: goes on only once the migration has been rolled back.
                try await work.query("insert into a values (1)")
            }
            #expect(try await applied.map(\.fileName) == ["0002_locks.sql"])
            #expect(try await db.client.query("select count(*) from a cross join c").affectedRows == 1)
        }
    }

    @Test func filesAreAppliedOnceInOrder() async throws {
        try await withMigrations(["0001_first.sql": Self.first, "0002_second_step.sql": Self.second, "README.md": ""]) {
            db, migrator, folder in
            let pending = try await migrator.status()
            #expect(pending.map(\.state) == [.pending, .pending])
            let sql = try await migrator.print()
            #expect(sql.contains("-- 0001_first.sql") && sql.contains(Self.second))
            let seen = EventRecorder<String>()
            let applied = try await migrator.up { progress in
                switch progress {
                case .started(let file): seen.record("started \(file.version)")
                case .finished(let file, _): seen.record("finished \(file.version)")
                }
            }
            #expect(applied.map(\.name) == ["first", "second_step"])
            #expect(seen.values == ["started 1", "finished 1", "started 2", "finished 2"])
            let none = try await migrator.up()
            #expect(none.isEmpty)
            let rows = try await db.client.value("select count(*) from a", as: Int.self)
            #expect(rows == 1)
            let status = try await migrator.status()
            #expect(status.map(\.state) == [.applied, .applied])
            #expect(status.allSatisfy { $0.appliedAt != nil && $0.durationMilliseconds != nil })
            let nothing = try await migrator.print()
            #expect(nothing.isEmpty)
            try folder.write("0003_third.sql", "alter table a add n int")
            let third = try await migrator.up()
            #expect(third.map(\.version) == [3])
        }
    }

    @Test func aFailingFileIsRolledBackAndNamed() async throws {
        try await withMigrations([
            "0001_first.sql": Self.first, "0002_broken.sql": "create table b (id int); select nonsense;",
        ]) { db, migrator, folder in
            let error = try await migrationError { try await migrator.up() }
            #expect(error.code == .failed)
            #expect(error.message.contains("0002_broken.sql") && error.message.contains("42703"))
            let tables = try await db.client.value(
                "select count(*) from pg_tables where schemaname = 'public' and tablename = 'b'", as: Int.self)
            #expect(tables == 0)
            #expect(try await migrator.status().map(\.state) == [.applied, .pending])
            try folder.write("0002_broken.sql", "create table b (id int);")
            let applied = try await migrator.up()
            #expect(applied.count == 1)
        }
    }

    @Test func anEditedFileIsRefused() async throws {
        try await withMigrations(["0001_first.sql": Self.first]) { _, migrator, folder in
            try await migrator.up()
            try folder.write("0001_first.sql", Self.first + " -- harmless")
            let error = try await migrationError { try await migrator.up() }
            #expect(error.code == .changedFile)
            #expect(error.message.contains("0001_first.sql") && error.message.contains("new migration"))
            #expect(try await migrator.status().map(\.state) == [.changed])
            #expect(try await migrationError { try await migrator.validate() }.code == .changedFile)
        }
    }

    @Test func gapsAndWrongNamesAreRefused() async throws {
        try await withMigrations(["0001_first.sql": Self.first, "0003_third.sql": "select 1"]) { _, migrator, folder in
            let gap = try await migrationError { try await migrator.up() }
            #expect(gap.code == .badFile)
            #expect(gap.message.contains("0003_third.sql") && gap.message.contains("0002"))
            try folder.remove("0003_third.sql")
            try folder.write("0001_again.sql", "select 1")
            #expect(try await migrationError { try await migrator.up() }.code == .badFile)
            try folder.remove("0001_again.sql")
            try folder.write("2_short.sql", "select 1")
            let name = try await migrationError { try await migrator.up() }
            #expect(name.message.contains("2_short.sql"))
        }
    }

    @Test func aDatabaseFromTheFutureIsRefused() async throws {
        try await withMigrations(["0001_first.sql": Self.first, "0002_second.sql": Self.second]) {
            _, migrator, folder in
            try await migrator.up()
            try folder.remove("0002_second.sql")
            let error = try await migrationError { try await migrator.up() }
            #expect(error.code == .databaseIsNewer)
            #expect(try await migrator.status().map(\.state) == [.applied, .missing])
        }
    }

    @Test func aFileMayRunOutsideATransaction() async throws {
        try await withMigrations([
            "0001_first.sql": Self.first,
            "0002_index.sql": "-- migrate: no-transaction\ncreate index concurrently a_name on a (name)",
        ]) { db, migrator, folder in
            try await migrator.up()
            let indexes = try await db.client.value(
                "select count(*) from pg_indexes where indexname = 'a_name'", as: Int.self)
            #expect(indexes == 1)
            try folder.write("0003_commits.sql", "create table c (id int); commit;")
            let error = try await migrationError { try await migrator.up() }
            #expect(error.message.contains("0003_commits.sql") && error.message.contains("transaction"))
        }
    }

    @Test func twoAtOnceApplyEachFileOnce() async throws {
        try await withMigrations(["0001_first.sql": Self.first, "0002_second.sql": Self.second]) { db, migrator, _ in
            let counts = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<4 { group.addTask { try await migrator.up().count } }
                return try await group.reduce(0, +)
            }
            #expect(counts == 2)
            let rows = try await db.client.value("select count(*) from a", as: Int.self)
            #expect(rows == 1)
        }
    }

    @Test func programsRefuseAnOldSchema() async throws {
        try await withMigrations(["0001_first.sql": Self.first]) { db, migrator, _ in
            let empty = try await migrationError { try await Migrator.requireCurrent(client: db.client, atLeast: 1) }
            #expect(empty.code == .databaseIsOlder)
            #expect(empty.message.contains("run `litemaasctl migrate up`"))
            try await migrator.up()
            try await Migrator.requireCurrent(client: db.client, atLeast: 1)
            try await Migrator.requireCurrent(client: db.client, atLeast: 0)
            let old = try await migrationError { try await Migrator.requireCurrent(client: db.client, atLeast: 2) }
            #expect(old.message.contains("version 1") && old.message.contains("needs 2"))
        }
    }

    @Test func driftIsNamedObjectByObject() async throws {
        try await withMigrations([
            "0001_first.sql": Self.first, "0002_second.sql": Self.second,
            "0003_parts.sql": """
            create table p (day date not null, n int) partition by range (day);
            create type mood as enum ('sad', 'glad');
            create function one() returns int language sql as 'select 1';
            """,
        ]) { db, migrator, _ in
            try await migrator.up()
            let clean = try await migrator.validate()
            #expect(clean.isEmpty)
            try await db.client.withConnection { connection in
                try await connection.execute(
                    """
                    create table p_1 partition of p for values from ('2024-01-01') to ('2024-01-02');
                    drop index a_name;
                    alter table a alter column name type varchar(50), add column extra int;
                    alter type mood add value 'angry';
                    create or replace function one() returns int language sql as 'select 2';
                    """, timeout: .seconds(10))
            }
            let drift = try await migrator.validate()
            #expect(
                drift.map { "\($0.kind.rawValue) \($0.object)" } == [
                    "unexpected column public.a.extra", "different column public.a.name",
                    "different function public.one()", "missing index public.a_name", "different type public.mood",
                ])
            #expect(drift[1].expected == "text not null")
            #expect(drift[1].actual == "character varying(50) not null")
            try await eventually("no scratch database is left") {
                try await db.client.value(
                    "select count(*) from pg_database where datname like 'litemaas_validate_%'", as: Int.self) == 0
            }
        }
    }

    @Test func theMigrationsOfThisPackageApplyAndValidate() async throws {
        try await withTestDatabase { db in
            let migrator = Migrator(
                client: db.client, directory: TestDatabaseServer.migrations, logger: Logger(label: "test"))
            let status = try await migrator.status()
            #expect(status.allSatisfy { $0.state == .applied })
            let drift = try await migrator.validate()
            #expect(drift.isEmpty, "\(drift)")
        }
    }
}
