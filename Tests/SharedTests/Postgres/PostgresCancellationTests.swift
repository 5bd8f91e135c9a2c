import Foundation
import Logging
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct PostgresCancellationTests {
    @Test func cancellingTheTaskCancelsTheStatement() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.withConnection { connection in
                let task = Task { try await connection.query("select pg_sleep(60) /* to be cancelled */") }
                try await eventually("the statement runs") {
                    try await db.client.backendsRunning("to be cancelled") == 1
                }
                task.cancel()
                let error = try await postgresError { try await task.value }
                #expect(error.code == .cancelled)
                let running = try await db.client.backendsRunning("to be cancelled")
                #expect(running == 0)
                // The connection itself is as good as before.
                let pid = try await connection.value("select pg_backend_pid()", as: Int32.self)
                #expect(pid == connection.backendProcessID)
            }
        }
    }

    @Test func manyCancellationsLeaveNoConnectionBehind() async throws {
        try await withEmptyTestDatabase { db in
            for _ in 0..<30 {
                let tasks = (0..<4).map { _ in Task { try await db.client.query("select pg_sleep(60)") } }
                for _ in 0..<Int.random(in: 0...300) { await Task.yield() }
                for task in tasks { task.cancel() }
                for task in tasks {
                    let error = try await postgresError { try await task.value }
                    #expect(error.code == .cancelled)
                }
            }
            // Each statement gets its own answer, so no late cancel hit a stranger.
            for number in 0..<50 {
                let answer = try await db.client.value("select \(number)", as: Int.self)
                #expect(answer == number)
            }
            #expect(db.client.statistics.active == 0)
        }
    }

    @Test func aCancelledTaskSendsNothing() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int)")
            let isCancelled = Signal()
            let task = Task {
                await isCancelled.wait()
                return try await db.client.query("insert into t values (1)")
            }
            task.cancel()
            await isCancelled.set()
            #expect(try await postgresError { try await task.value }.code == .cancelled)
            #expect(try await db.client.value("select count(*) from t", as: Int.self) == 0)
        }
    }

    @Test func cancellingOneOfTheQueueLeavesTheOthers() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.withConnection { connection in
                let blocker = Task { try await connection.query("select pg_sleep(60) /* blocker */") }
                try await eventually("the statement runs") { try await db.client.backendsRunning("blocker") == 1 }
                let waiting = Task { try await connection.query("select 1") }
                let other = Task { try await connection.value("select 2", as: Int.self) }
                waiting.cancel()
                let error = try await postgresError { try await waiting.value }
                #expect(error.code == .cancelled)
                blocker.cancel()
                let two = try await other.value
                #expect(two == 2)
            }
        }
    }

    @Test func aStatementBeyondItsLimitIsCancelled() async throws {
        try await withEmptyTestDatabase(configure: { $0.statementTimeout = .milliseconds(100) }) { db in
            try await db.client.withConnection { connection in
                let error = try await postgresError { try await connection.query("select pg_sleep(60)") }
                #expect(error.code == .timeout)
                #expect(error.message.contains("100 ms"))
                let pid = try await connection.value("select pg_backend_pid()", as: Int32.self)
                #expect(pid == connection.backendProcessID)
                try await connection.query("select pg_sleep(0.2)", timeout: .seconds(10))
            }
            let pipeline = try await postgresError {
                try await db.client.pipeline(["select 1", "select pg_sleep(60)", "select 2"])
            }
            #expect(pipeline.code == .timeout)
            #expect(try await db.client.value("show statement_timeout", as: String.self) == "1100ms")
        }
    }

    @Test func aStatementOfTheServersOwnAccordIsNoTimeout() async throws {
        try await withEmptyTestDatabase { db in
            let task = Task { try await db.client.query("select pg_sleep(60) /* cancelled by an operator */") }
            try await eventually("the statement was cancelled") {
                try await db.client.value(
                    """
                    select count(*) from (
                        select pg_cancel_backend(pid) from pg_stat_activity
                        where state = 'active' and query like '%by an operator%' and pid <> pg_backend_pid()) s
                    """, as: Int.self) == 1
            }
            let error = try await postgresError { try await task.value }
            #expect(error.code == .server)
            #expect(error.sqlState == "57014")
        }
    }

    @Test func aServerThatDoesNotAnswerCostsBoundedTime() async throws {
        let pooler = try await PgBouncer.start(mode: .session)
        do {
            try await withEmptyTestDatabase { db in
                var settings = db.settings
                settings.url = pooler.url(for: db)
                settings.connectTimeout = .milliseconds(500)
                settings.leaseTimeout = .milliseconds(700)
                settings.statementTimeout = .milliseconds(300)
                let client = PostgresClient(settings: settings, logger: .init(label: "test"))
                // Its limits are short: the first connection of a busy machine may miss them.
                try await eventually("the client works") {
                    do {
                        return try await client.value("select 1", as: Int.self) == 1
                    } catch let error as PostgresError where error.code == .timeout || error.code == .connection {
                        return false
                    }
                }

                // The peer's kernel still answers, so neither a connection nor its loss tells anything.
                pooler.suspend()
                let open = try await postgresError { try await client.query("select 2") }
                #expect(open.code == .timeout)
                let new = try await postgresError { try await client.query("select 3") }
                #expect(new.code == .timeout || new.code == .connection)

                pooler.resume()
                try await eventually("the client works again") {
                    do {
                        return try await client.value("select 4", as: Int.self) == 4
                    } catch is PostgresError {
                        return false
                    }
                }
                await client.close()
            }
        } catch {
            await pooler.stop()
            throw error
        }
        await pooler.stop()
    }

    @Test func anUnreachableServerIsReportedWithoutThePassword() async throws {
        var settings = PostgresSettings(url: Secret("postgres://someone:hunter2@127.0.0.1:1/db"))
        settings.leaseTimeout = .milliseconds(300)
        let client = PostgresClient(settings: settings, logger: .init(label: "test"))
        // It says that time ran out until the first attempt has failed, and why it failed from then on.
        try await eventually("the reason is known") {
            let error = try await postgresError { try await client.query("select 1") }
            #expect(!error.description.contains("hunter2"))
            return error.code == .connection
        }
        await client.close()
    }
}
