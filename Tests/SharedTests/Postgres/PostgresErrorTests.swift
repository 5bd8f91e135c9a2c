import Foundation
import Logging
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct PostgresErrorTests {
    /// A value that must not turn up in any error.
    private static let sentinel = "sentinel-4711"

    @Test func errorsNeverShowBoundValues() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.withConnection { connection in
                try await connection.execute(
                    """
                    create type mood as enum ('glad');
                    create table t (v varchar(5) unique, long text check (long not like 'sentinel%'), n int not null);
                    create unique index t_long on t (md5(long));
                    create function shout(v text) returns text language plpgsql as
                        $$ begin raise exception 'cannot take %', v using errcode = 'P0001', detail = v; end $$;
                    """, timeout: .seconds(10))
            }
            let sentinel = Self.sentinel
            let cases: [(PostgresQuery, sqlState: String)] = [
                ("select \(sentinel)::int", "22P02"),
                ("select \(sentinel)::uuid", "22P02"),
                ("select \(sentinel)::mood", "22P02"),
                ("select \(sentinel)::jsonb", "22P02"),
                ("select \(sentinel)::timestamptz", "22007"),
                ("select \(sentinel)::inet", "22P02"),
                ("select \(sentinel)::interval", "22007"),
                ("insert into t (v, n) values (\(sentinel), 1)", "22001"),
                ("insert into t (long, n) values (\(sentinel), 1)", "23514"),
                ("insert into t (long) values (\("x\(sentinel)"))", "23502"),
                ("select shout(\(sentinel))", "P0001"),
                ("select to_number(\(sentinel), 'MI')", "22P02"),
                ("select set_config('work_mem', \(sentinel), false)", "22023"),
                ("select regexp_replace('x', \("(\(sentinel)"), '')", "2201B"),
                ("select nonsense from t where v = \(sentinel)", "42703"),
                ("select * from t where n = \([sentinel])", "42883"),
            ]
            for (query, sqlState) in cases {
                let error = try await postgresError { try await db.client.query(query) }
                #expect(error.code == .server)
                #expect(error.sqlState == sqlState)
                for text in [error.description, "\(error)", String(reflecting: error), error.message] {
                    #expect(!text.contains(sentinel), "\(sqlState): \(text)")
                }
            }
        }
    }

    @Test func violationsNameTheirConstraint() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.withConnection { connection in
                try await connection.execute(
                    """
                    create table parent (id int primary key);
                    create table child (id int primary key, parent int constraint child_parent references parent (id),
                                        n int not null constraint positive check (n > 0));
                    insert into child values (1, null, 1);
                    """, timeout: .seconds(10))
            }
            let unique = try await postgresError { try await db.client.query("insert into child values (1, null, 1)") }
            #expect(unique.isUniqueViolation() && unique.isUniqueViolation("child_pkey"))
            #expect(!unique.isUniqueViolation("parent_pkey"))
            let foreign = try await postgresError { try await db.client.query("insert into child values (2, 9, 1)") }
            #expect(foreign.isForeignKeyViolation("child_parent"))
            #expect(foreign.table == "child")
            let check = try await postgresError { try await db.client.query("insert into child values (3, null, 0)") }
            #expect(check.isCheckViolation("positive"))
            let null = try await postgresError { try await db.client.query("insert into child (id) values (4)") }
            #expect(null.sqlState == "23502")
            #expect(null.column == "n")
            #expect("\(unique)".contains("23505") && "\(unique)".contains("child_pkey"))
        }
    }

    @Test func refusedConnectionsSayWhyWithoutThePassword() async throws {
        try await withEmptyTestDatabase { db in
            var settings = db.settings
            var components = try #require(URLComponents(string: db.url.reveal()))
            components.path = "/no_such_database"
            components.password = "hunter2"
            settings.url = Secret(try #require(components.string))
            settings.leaseTimeout = .milliseconds(200)
            let client = PostgresClient(settings: settings, logger: .init(label: "test"))
            // It says that time ran out until the first attempt has failed, and why it failed from then on: the wrong
            // password where the server asks for one, else the missing database.
            try await eventually("the reason is known") {
                let error = try await postgresError { try await client.query("select 1") }
                #expect(!error.message.contains("hunter2"))
                return error.code == .connection
                    && ["no_such_database", "password authentication failed"].contains { error.message.contains($0) }
            }
            await client.close()
        }
    }
}
