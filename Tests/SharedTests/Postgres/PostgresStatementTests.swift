import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase) struct PostgresStatementTests {
    @Test func pipelinesAnswerInOrder() async throws {
        try await withEmptyTestDatabase { db in
            let results = try await db.client.pipeline((0..<1000).map { "select \($0)" })
            #expect(try results.map { try $0.one(Int.self) } == Array(0..<1000))
            #expect(try await db.client.pipeline([]).isEmpty)
        }
    }

    @Test func anErrorInTheMiddleUndoesThePipeline() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int primary key)")
            let error = try await postgresError {
                try await db.client.pipeline([
                    "insert into t values (1)", "insert into t values (2)", "insert into t values (1)",
                    "insert into t values (3)", "select nonsense",
                ])
            }
            #expect(error.isUniqueViolation("t_pkey"))
            #expect(!error.isUniqueViolation("other"))
            #expect(error.table == "t")
            #expect(error.sqlState == "23505")
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 0)
            // The statement whose preparation was skipped is prepared when it comes again.
            try await db.client.query("insert into t values (3)")
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 1)
        }
    }

    @Test func rowsTellTheirShape() async throws {
        try await withEmptyTestDatabase { db in
            let rows = try await db.client.query("select i as number, 'x' as text from generate_series(1, 3) i")
            #expect(rows.columns == ["number", "text"])
            #expect(rows.count == 3)
            #expect(rows.affectedRows == 3)
            #expect(try rows.map { try $0.get("number", as: Int.self) } == [1, 2, 3])
            #expect(try rows.last?.decode(Int.self) == 3)
            try await db.client.query("create table t (id int)")
            #expect(try await db.client.query("insert into t select generate_series(1, 7)").affectedRows == 7)
            #expect(try await db.client.query("create index on t (id)").affectedRows == 0)
        }
    }

    /// Both sides fill their buffers: whoever only writes, or only reads, waits for ever.
    @Test(.hangGuard) func largePipelinesWithLargeAnswersDoNotDeadlock() async throws {
        try await withEmptyTestDatabase { db in
            let payload = String(repeating: "payload ", count: 8 * 1024)
            let results = try await db.client.pipeline((0..<400).map { "select \($0)::int, \(payload)::text" })
            #expect(results.count == 400)
            for (index, rows) in results.enumerated() {
                let (number, text) = try rows.one(Int.self, String.self)
                #expect(number == index && text == payload)
            }
        }
    }

    @Test func largeResultsArrive() async throws {
        try await withEmptyTestDatabase { db in
            let rows = try await db.client.query(
                "select i, repeat('x', 100) as text from generate_series(1, 200000) i")
            #expect(rows.count == 200_000)
            #expect(try rows[199_999].decode(Int.self) == 200_000)
        }
    }

    @Test func aConnectionTakesStatementsOfSeveralTasks() async throws {
        try await withEmptyTestDatabase { db in
            let sum = try await db.client.withConnection { connection in
                try await withThrowingTaskGroup(of: Int.self) { group in
                    for number in 0..<100 {
                        group.addTask { try await connection.value("select \(number)") }
                    }
                    return try await group.reduce(0, +)
                }
            }
            #expect(sum == 4950)
        }
    }

    @Test func evictedStatementsGoFromTheServer() async throws {
        try await withEmptyTestDatabase(configure: { $0.statementCacheSize = 4 }) { db in
            let kept = try await db.client.withConnection { connection in
                for number in 0..<20 {
                    try await connection.query(PostgresQuery(stringLiteral: "select \(number)"))
                }
                // The one that had to go for this statement goes with it, after it.
                _ = try await connection.value("select count(*) from pg_prepared_statements", as: Int.self)
                return try await connection.value("select count(*) from pg_prepared_statements", as: Int.self)
            }
            #expect(kept <= 4)
        }
    }

    @Test func evictionDoesNotStandBeforeAStatementThatHasToBeFirst() async throws {
        try await withEmptyTestDatabase(configure: { $0.statementCacheSize = 2 }) { db in
            try await db.client.withConnection { connection in
                try await connection.query("create table t (a int)")
                for number in 0..<6 {
                    try await connection.query(PostgresQuery(stringLiteral: "vacuum /* \(number) */ t"))
                }
            }
        }
    }

    @Test func preparedStatementsCanBeSwitchedOff() async throws {
        try await withEmptyTestDatabase(configure: { $0.preparedStatements = false }) { db in
            let kept = try await db.client.withConnection { connection in
                for number in 0..<5 { try await connection.query("select \(number)") }
                return try await connection.value("select count(*) from pg_prepared_statements", as: Int.self)
            }
            #expect(kept == 0)
        }
    }

    @Test func aChangedTableDoesNotBreakKeptStatements() async throws {
        try await withEmptyTestDatabase(configure: { $0.maxConnections = 2 }) { db in
            try await db.client.query("create table t (a int)")
            try await db.client.query("insert into t values (1)")
            try await db.client.withConnection { connection in
                let columns = try await connection.query("select * from t").columns
                try await db.client.query("alter table t add b text default 'new'")
                let more = try await connection.query("select * from t").columns
                #expect(columns == ["a"])
                #expect(more == ["a", "b"])
                try await connection.query("deallocate all")
                let again = try await connection.query("select * from t").columns
                #expect(again == ["a", "b"])
            }
        }
    }

    @Test func scriptsRunManyStatements() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.withConnection { connection in
                try await connection.execute(
                    "create table a (id int); insert into a values (1), (2); create table b (id int);",
                    timeout: .seconds(10))
                let count = try await connection.value("select count(*) from a", as: Int.self)
                #expect(count == 2)
                let error = try await postgresError {
                    try await connection.execute("insert into a values (3); select nonsense", timeout: .seconds(10))
                }
                #expect(error.sqlState == "42703")
                let unchanged = try await connection.value("select count(*) from a", as: Int.self)
                #expect(unchanged == 2)
                let bound = try await postgresError { try await connection.execute("select \(1)", timeout: nil) }
                #expect(bound.code == .misuse)
            }
        }
    }

    @Test func maintenanceStatementsRunOutsideTransactions() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int)")
            try await db.client.query("vacuum (analyze) t")
            try await db.client.query("create index concurrently t_id on t (id)")
            #expect(
                try await db.client.value("select count(*) from pg_indexes where tablename = 't'", as: Int.self) == 1)
        }
    }

    @Test func maintenanceHasItsOwnLimit() async throws {
        try await withEmptyTestDatabase(configure: {
            $0.maxConnections = 1
            $0.statementTimeout = .milliseconds(500)
        }) { db in
            try await db.client.query("create table t (id int)")
            try await db.client.maintain("vacuum t", timeout: .seconds(30))
            try await db.client.maintain("select pg_sleep(1.6)", timeout: .seconds(30))
            let error = try await postgresError {
                try await db.client.maintain("select pg_sleep(60)", timeout: .milliseconds(50))
            }
            #expect(error.code == .timeout)
            #expect(try await db.client.value("show statement_timeout", as: String.self) == "1500ms")
            #expect(db.client.statistics.connects == 1)
        }
    }

    @Test func copyAsAQueryIsRefused() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int)")
            #expect(try await postgresError { try await db.client.query("copy t from stdin") }.code == .misuse)
            #expect(try await db.client.value("select 1", as: Int.self) == 1)
        }
    }

    @Test func sessionSettingsHoldOnEveryConnection() async throws {
        try await withEmptyTestDatabase(configure: { $0.sessionSettings = ["jit": "off", "work_mem": "7MB"] }) { db in
            #expect(try await db.client.value("show work_mem", as: String.self) == "7MB")
            let local = try await db.client.pipeline(["show work_mem", "show jit"], localSettings: ["work_mem": "9MB"])
            #expect(try local.map { try $0.one(String.self) } == ["9MB", "off"])
            #expect(try await db.client.value("show work_mem", as: String.self) == "7MB")
            #expect(try await db.client.value("show application_name", as: String.self) == "litemaas-tests")
        }
    }
}
