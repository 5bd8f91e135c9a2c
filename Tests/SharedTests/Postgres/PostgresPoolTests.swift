import Foundation
import Logging
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct PostgresPoolTests {
    @Test func connectionsAreReused() async throws {
        try await withEmptyTestDatabase { db in
            for _ in 0..<20 { try await db.client.query("select 1") }
            #expect(db.client.statistics.total == 1)
            #expect(db.client.statistics.connects == 1)
            #expect(db.client.statistics.idle == 1)
        }
    }

    @Test func noMoreThanTheLimitIsOpened() async throws {
        try await withEmptyTestDatabase(configure: { $0.maxConnections = 3 }) { db in
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<60 {
                    group.addTask {
                        let answer = try await db.client.value("select \(number)", as: Int.self)
                        #expect(answer == number)
                    }
                }
                try await group.waitForAll()
            }
            #expect(db.client.statistics.connects <= 3)
            #expect(db.client.statistics.leases >= 60)
            #expect(db.client.statistics.waiting == 0)
        }
    }

    @Test func waitingForAConnectionHasALimit() async throws {
        try await withEmptyTestDatabase(configure: {
            $0.maxConnections = 1
            $0.leaseTimeout = .milliseconds(100)
        }) { db in
            // On a busy machine connecting alone may take longer than that.
            try await eventually("a connection is open") {
                do {
                    try await db.client.query("select 1")
                } catch let error as PostgresError where error.code == .timeout {}
                return db.client.statistics.idle == 1
            }
            let refusals = db.client.statistics.refusals
            try await db.client.withConnection { _ in
                let error = try await postgresError { try await db.client.query("select 1") }
                #expect(error.code == .timeout)
                #expect(error.message.contains("100 ms"))
            }
            let one = try await db.client.value("select 1", as: Int.self)
            #expect(one == 1)
            #expect(db.client.statistics.refusals == refusals + 1)
        }
    }

    @Test func tooManyWaitersAreRefused() async throws {
        try await withEmptyTestDatabase(configure: {
            $0.maxConnections = 1
            $0.maxWaiting = 2
        }) { db in
            try await db.client.withConnection { _ in
                let waiting = (0..<2).map { _ in Task { try await db.client.query("select 1") } }
                try await eventually("both wait") { db.client.statistics.waiting == 2 }
                let error = try await postgresError { try await db.client.query("select 1") }
                #expect(error.code == .poolExhausted)
                for task in waiting { task.cancel() }
                for task in waiting {
                    let error = try await postgresError { try await task.value }
                    #expect(error.code == .cancelled)
                }
            }
        }
    }

    @Test func waitersAreServedInOrder() async throws {
        try await withEmptyTestDatabase(configure: { $0.maxConnections = 1 }) { db in
            let order = EventRecorder<Int>()
            let tasks = try await db.client.withConnection { _ in
                var tasks: [Task<Void, any Error>] = []
                for number in 0..<10 {
                    tasks.append(
                        Task {
                            try await db.client.withConnection { _ in order.record(number) }
                        })
                    try await eventually("it waits") { db.client.statistics.waiting == number + 1 }
                }
                return tasks
            }
            for task in tasks { try await task.value }
            #expect(order.values == Array(0..<10))
        }
    }

    @Test func aTerminatedBackendIsReplaced() async throws {
        try await withEmptyTestDatabase { db in
            let pid = try await db.client.value("select pg_backend_pid()", as: Int.self)
            let error = try await postgresError {
                try await db.client.query("select pg_terminate_backend(pg_backend_pid()), pg_sleep(10)")
            }
            #expect(error.isConnectionLoss)
            #expect(error.sqlState == "57P01")
            let next = try await db.client.value("select pg_backend_pid()", as: Int.self)
            #expect(next != pid)
        }
    }

    @Test func oneTerminatedBackendRecyclesAll() async throws {
        try await withEmptyTestDatabase(configure: { $0.maxConnections = 4 }) { db in
            let pids = EventRecorder<Int>()
            try await open(4, db.client) { pids.record($0) }
            #expect(db.client.statistics.idle == 4)
            // An idle one goes, as in a failover; the client notices without using it.
            let victim = try #require(pids.values.first)
            try await terminate(victim, from: db)
            try await eventually("all are given up") { db.client.statistics.total == 0 }
            let fresh = try await db.client.value("select pg_backend_pid()", as: Int.self)
            #expect(!pids.values.contains(fresh))
        }
    }

    @Test func aServerThatBecameReadOnlyIsLeft() async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int)")
            try await open(3, db.client) { _ in }
            let before = db.client.statistics.connects
            try await db.client.withConnection { connection in
                try await connection.query("set default_transaction_read_only = on")
                let error = try await postgresError { try await connection.query("insert into t values (1)") }
                #expect(error.sqlState == "25006")
            }
            #expect(db.client.statistics.total == 0)
            try await db.client.query("insert into t values (1)")
            #expect(db.client.statistics.connects == before + 1)
        }
    }

    @Test func maintenanceKeepsTheMinimumAndDropsTheRest() async throws {
        try await withEmptyTestDatabase(configure: {
            $0.minConnections = 1
            $0.idleTimeout = .milliseconds(50)
        }) { db in
            let running = Task { try await db.client.run() }
            try await eventually("the minimum is open") { db.client.statistics.idle == 1 }
            try await open(4, db.client) { _ in }
            try await eventually("the rest is closed") { db.client.statistics.total == 1 }
            running.cancel()
            try await running.value
            let error = try await postgresError { try await db.client.query("select 1") }
            #expect(error.code == .closed)
            #expect(db.client.statistics.total == 0)
        }
    }

    @Test func oldConnectionsAreReplaced() async throws {
        try await withEmptyTestDatabase(configure: { $0.maxAge = .milliseconds(1) }) { db in
            for _ in 0..<5 { try await db.client.query("select pg_sleep(0.002)") }
            #expect(db.client.statistics.connects == 5)
        }
    }

    @Test func closingWaitsForWhatIsInUse() async throws {
        try await withEmptyTestDatabase { db in
            let running = Task { try await db.client.value("select 7 from pg_sleep(0.3) /* in use */", as: Int.self) }
            try await eventually("it runs") { db.client.statistics.active == 1 }
            await db.client.close()
            #expect(try await running.value == 7)
            #expect(db.client.statistics.total == 0)
            await db.client.close()
        }
    }

    @Test func aDroppedClientClosesItsConnections() async throws {
        try await withEmptyTestDatabase { db in
            do {
                var settings = db.settings
                settings.applicationName = "dropped"
                let client = PostgresClient(settings: settings, logger: Logger(label: "test"))
                try await client.query("select 1")
            }
            try await eventually("its backend has ended") {
                try await db.client.value(
                    "select count(*) from pg_stat_activity where application_name = 'dropped'", as: Int.self) == 0
            }
        }
    }

    /// Has `count` connections open at once, and reports their backends.
    private func open(
        _ count: Int, _ client: PostgresClient, _ report: @escaping @Sendable (Int) -> Void
    ) async throws {
        let arrived = EventRecorder<Int>()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<count {
                group.addTask {
                    try await client.withConnection { connection in
                        let pid = Int(connection.backendProcessID)
                        report(pid)
                        arrived.record(pid)
                        try await eventually("all have one") { arrived.values.count == count }
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Ends a backend from outside the client under test.
    private func terminate(_ pid: Int, from db: TestDatabase) async throws {
        let other = PostgresClient(settings: db.settings, logger: Logger(label: "test"))
        try await other.query("select pg_terminate_backend(\(pid)::int)")
        await other.close()
    }
}
