import Logging
import ServiceLifecycle
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct PostgresListenerTests {
    private static var quick: PostgresListener.Timing {
        var timing = PostgresListener.Timing()
        timing.probeInterval = .milliseconds(50)
        timing.backoff = Backoff(initial: .milliseconds(10), cap: .milliseconds(50))
        return timing
    }

    private func withListener(
        _ db: TestDatabase, channels: [String],
        _ body: (PostgresListener, AsyncStream<PostgresListenerEvent>) async throws -> Void
    ) async throws {
        let listener = PostgresListener(
            settings: db.settings, channels: channels, timing: Self.quick, logger: Logger(label: "test"))
        let events = listener.events()
        let running = Task { try await listener.run() }
        let outcome: Result<Void, any Error>
        do {
            try await eventually("the listener is proven") { listener.isProven }
            outcome = .success(try await body(listener, events))
        } catch {
            outcome = .failure(error)
        }
        running.cancel()
        try await running.value
        try outcome.get()
    }

    @Test func notificationsArriveInOrder() async throws {
        try await withEmptyTestDatabase { db in
            try await withListener(db, channels: ["jobs", "Odd \"name\""]) { _, events in
                for number in 0..<100 { try await db.client.query("select pg_notify('jobs', \("\(number)"))") }
                try await db.client.query("notify \"Odd \"\"name\"\"\"")
                var iterator = events.makeAsyncIterator()
                #expect(await iterator.next() == .mayHaveMissed)
                for number in 0..<100 {
                    let event = await iterator.next()
                    #expect(event == .notification(channel: "jobs", payload: "\(number)"))
                }
                #expect(await iterator.next() == .notification(channel: "Odd \"name\"", payload: ""))
            }
        }
    }

    @Test func everyReaderGetsEverything() async throws {
        try await withEmptyTestDatabase { db in
            try await withListener(db, channels: ["jobs"]) { listener, _ in
                let readers = (0..<3).map { _ in listener.events() }
                try await db.client.query("notify jobs, 'all'")
                for reader in readers {
                    var iterator = reader.makeAsyncIterator()
                    #expect(await iterator.next() == .notification(channel: "jobs", payload: "all"))
                }
            }
        }
    }

    @Test func aSlowReaderIsToldThatItMissedSomething() async throws {
        try await withEmptyTestDatabase { db in
            try await withListener(db, channels: ["jobs", "done"]) { listener, _ in
                let slow = listener.events(bufferSize: 4)
                let quick = listener.events()
                for number in 0..<50 { try await db.client.query("select pg_notify('jobs', \("\(number)"))") }
                try await db.client.query("notify done")
                for await event in quick where event == .notification(channel: "done", payload: "") { break }
                var missed = false
                var iterator = slow.makeAsyncIterator()
                for _ in 0..<4 {
                    if await iterator.next() == .mayHaveMissed { missed = true }
                }
                #expect(missed)
            }
        }
    }

    @Test func listeningSurvivesTheLossOfItsConnection() async throws {
        try await withEmptyTestDatabase { db in
            try await withListener(db, channels: ["jobs"]) { listener, events in
                var iterator = events.makeAsyncIterator()
                #expect(await iterator.next() == .mayHaveMissed)
                for round in 0..<3 {
                    try await eventually("the listener is proven") { listener.isProven }
                    let ended = try await db.client.value(
                        """
                        select count(*) from (
                            select pg_terminate_backend(pid) from pg_stat_activity
                            where datname = current_database() and application_name like '%-listen') s
                        """, as: Int.self)
                    #expect(ended == 1)
                    #expect(await iterator.next() == .mayHaveMissed)
                    try await db.client.query("select pg_notify('jobs', \("\(round)"))")
                    #expect(await iterator.next() == .notification(channel: "jobs", payload: "\(round)"))
                }
            }
        }
    }

    @Test func anUnreachableServerIsNeverProven() async throws {
        let settings = PostgresSettings(url: Secret("postgres://127.0.0.1:1/none"))
        let listener = PostgresListener(
            settings: settings, channels: ["jobs"], timing: Self.quick, logger: Logger(label: "test"))
        let events = listener.events()
        let running = Task { try await listener.run() }
        #expect(!listener.isProven)
        running.cancel()
        try await running.value
        for await event in events { Issue.record("unexpected: \(event)") }
        for await event in listener.events() { Issue.record("after the end: \(event)") }
    }

    @Test func gracefulShutdownEndsIt() async throws {
        try await withEmptyTestDatabase { db in
            let listener = PostgresListener(
                settings: db.settings, channels: ["jobs"], timing: Self.quick, logger: Logger(label: "test"))
            let group = ServiceGroup(services: [listener, db.client], logger: Logger(label: "test"))
            let running = Task { try await group.run() }
            try await eventually("the listener is proven") { listener.isProven }
            await group.triggerGracefulShutdown()
            try await running.value
            #expect(!listener.isProven)
            let error = try await postgresError { try await db.client.query("select 1") }
            #expect(error.code == .closed)
        }
    }
}
