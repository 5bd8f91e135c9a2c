import Foundation
import Logging
import Shared
import TestSupport
import Testing

/// PgBouncer in transaction mode: nothing may rely on the server connection being the same one next time.
@Suite(.needsDatabase, .hangGuard) struct PostgresPgBouncerTests {
    private func withPooledClient(
        _ body: @Sendable (PostgresClient, TestDatabase) async throws -> Void
    ) async throws {
        let pooler = try await PgBouncer.start(mode: .transaction)
        let outcome: Result<Void, any Error>
        do {
            try await withEmptyTestDatabase { db in
                var settings = db.settings
                settings.directURL = db.url
                settings.url = pooler.url(for: db)
                settings.poolMode = .transaction
                settings.sessionSettings = ["enable_seqscan": "off", "work_mem": "5MB"]
                let client = PostgresClient(settings: settings, logger: Logger(label: "test"))
                try await body(client, db)
                await client.close()
            }
            outcome = .success(())
        } catch {
            outcome = .failure(error)
        }
        await pooler.stop()
        try outcome.get()
    }

    @Test func statementsAndTransactionsWork() async throws {
        try await withPooledClient { client, _ in
            try await client.query("create table t (id int primary key)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<60 {
                    group.addTask {
                        try await client.withTransaction { transaction in
                            try await transaction.query("insert into t values (\(id))")
                            let backend = try await transaction.value("select pg_backend_pid()", as: Int.self)
                            try await transaction.query("update t set id = id + 1000 where id = \(id)")
                            let same = try await transaction.value("select pg_backend_pid()", as: Int.self)
                            #expect(backend == same)
                        }
                    }
                    group.addTask { try await client.query("select \(id), \("text")::text") }
                }
                try await group.waitForAll()
            }
            let count = try await client.value("select count(*) from t where id >= 1000", as: Int.self)
            #expect(count == 60)
            let error = try await postgresError {
                try await client.pipeline(["insert into t values (1)", "insert into t values (1000)"])
            }
            #expect(error.isUniqueViolation())
            let unchanged = try await client.value("select count(*) from t", as: Int.self)
            #expect(unchanged == 60)
        }
    }

    @Test func announcementsFollowTheirStatement() async throws {
        try await withPooledClient { client, _ in
            let failures = EventRecorder<PostgresError>()
            try await client.query("create table t (id int)")
            try await client.query("create table told (id int)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for id in 0..<200 {
                    group.addTask {
                        _ = try await client.query(
                            "insert into t values (\(id))",
                            announcing: PostgresAnnouncement("insert into told select count(*) from t") {
                                failures.record($0)
                            })
                    }
                }
                try await group.waitForAll()
            }
            try await eventually("all are told") {
                try await client.value("select count(*) from told", as: Int.self) == 200
            }
            let count = try await client.value("select count(*) from t", as: Int.self)
            #expect(count == 200)
            #expect(failures.values.isEmpty)
        }
    }

    @Test func plannerSettingsHoldForEachTransaction() async throws {
        try await withPooledClient { client, db in
            let shown = try await client.value("show enable_seqscan", as: String.self)
            #expect(shown == "off")
            let inside = try await client.withTransaction { transaction in
                try await transaction.pipeline(["show work_mem", "show enable_seqscan"]).map { try $0.one(String.self) }
            }
            #expect(inside == ["5MB", "off"])
            let local = try await client.pipeline(["show work_mem", "show jit"], localSettings: ["jit": "off"])
            #expect(try local.map { try $0.one(String.self) } == ["5MB", "off"])
            // What another user of the same server connection sees.
            var plain = client.settings
            plain.sessionSettings = [:]
            let other = PostgresClient(settings: plain, logger: Logger(label: "test"))
            let untouched = try await other.value("show work_mem", as: String.self)
            let standard = try await db.client.value("show work_mem", as: String.self)
            #expect(untouched == standard)
            await other.close()
        }
    }

    @Test func noStatementStaysPrepared() async throws {
        try await withPooledClient { client, _ in
            for number in 0..<10 { try await client.query("select \(number)") }
            let kept = try await client.value("select count(*) from pg_prepared_statements", as: Int.self)
            #expect(kept == 0)
        }
    }

    @Test func cancellationReachesTheServer() async throws {
        try await withPooledClient { client, db in
            let task = Task { try await client.query("select pg_sleep(60) /* through the pooler */") }
            try await eventually("the statement runs") {
                try await db.client.backendsRunning("through the pooler") == 1
            }
            task.cancel()
            let error = try await postgresError { try await task.value }
            #expect(error.code == .cancelled)
            try await eventually("the statement has ended") {
                try await db.client.backendsRunning("through the pooler") == 0
            }
            let one = try await client.value("select 1", as: Int.self)
            #expect(one == 1)
        }
    }

    @Test func listeningGoesPastThePooler() async throws {
        try await withPooledClient { client, _ in
            let listener = PostgresListener(
                settings: client.settings, channels: ["jobs"], logger: Logger(label: "test"))
            let events = listener.events()
            let running = Task { try await listener.run() }
            try await eventually("the listener is proven") { listener.isProven }
            try await client.query("select pg_notify('jobs', 'hello')")
            var iterator = events.makeAsyncIterator()
            #expect(await iterator.next() == .mayHaveMissed)
            #expect(await iterator.next() == .notification(channel: "jobs", payload: "hello"))
            running.cancel()
            try await running.value
        }
    }

    @Test func listeningThroughThePoolerIsNeverProven() async throws {
        try await withPooledClient { client, _ in
            var settings = client.settings
            settings.directURL = settings.url
            var timing = PostgresListener.Timing()
            timing.probeTimeout = .milliseconds(200)
            timing.backoff = Backoff(initial: .milliseconds(10), cap: .milliseconds(10))
            let listener = PostgresListener(
                settings: settings, channels: ["jobs"], timing: timing, logger: Logger(label: "test"))
            let events = listener.events()
            let running = Task { try await listener.run() }
            // It tries again and again, and says each time that something may have been missed.
            var iterator = events.makeAsyncIterator()
            for _ in 0..<3 {
                #expect(await iterator.next() == .mayHaveMissed)
                #expect(!listener.isProven)
            }
            running.cancel()
            try await running.value
        }
    }
}
