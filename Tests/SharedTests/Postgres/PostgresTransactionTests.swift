import Shared
import Synchronization
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard) struct PostgresTransactionTests {
    private struct Unrelated: Error, Equatable {}

    private func withTable(_ body: @Sendable (TestDatabase) async throws -> Void) async throws {
        try await withEmptyTestDatabase { db in
            try await db.client.query("create table t (id int primary key, n int not null default 0)")
            try await body(db)
        }
    }

    @Test func returningCommits() async throws {
        try await withTable { db in
            let value = try await db.client.withTransaction { transaction in
                try await transaction.query("insert into t values (1)")
                let other = try await db.client.value("select count(*) from t", as: Int.self)
                #expect(other == 0)
                return try await transaction.value("select count(*) from t", as: Int.self)
            }
            #expect(value == 1)
            let after = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(after == 1)
            #expect(db.client.statistics.active == 0)
        }
    }

    @Test func throwingRollsBack() async throws {
        try await withTable { db in
            await #expect(throws: Unrelated()) {
                try await db.client.withTransaction { transaction in
                    try await transaction.query("insert into t values (1)")
                    throw Unrelated()
                }
            }
            let error = try await postgresError {
                try await db.client.withTransaction { transaction in
                    try await transaction.query("insert into t values (1)")
                    try await transaction.query("insert into t values (1)")
                }
            }
            #expect(error.isUniqueViolation("t_pkey"))
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
            #expect(db.client.statistics.total <= 2)
        }
    }

    @Test func aSwallowedErrorDoesNotPassForACommit() async throws {
        try await withTable { db in
            let error = try await postgresError {
                try await db.client.withTransaction { transaction in
                    try await transaction.query("insert into t values (1)")
                    _ = try? await transaction.query("select nonsense")
                }
            }
            #expect(error.code == .transactionAborted)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func aDeferredConstraintFailsAtCommit() async throws {
        try await withTable { db in
            try await db.client.query("create table c (id int references t (id) deferrable initially deferred)")
            let ran = Mutex(false)
            let error = try await postgresError {
                try await db.client.withTransaction { transaction in
                    transaction.afterCommit { ran.withLock { $0 = true } }
                    try await transaction.query("insert into c values (9)")
                }
            }
            #expect(error.isForeignKeyViolation("c_id_fkey"))
            #expect(!ran.withLock { $0 })
            let one = try await db.client.value("select 1", as: Int.self)
            #expect(one == 1)
        }
    }

    @Test func hooksRunOnceAfterTheCommit() async throws {
        try await withTable { db in
            let order = Mutex<[String]>([])
            try await db.client.withTransaction { transaction in
                transaction.afterCommit {
                    let seen = try? await db.client.value("select count(*) from t", as: Int.self)
                    order.withLock { $0.append("first saw \(seen ?? -1)") }
                }
                transaction.afterCommit { order.withLock { $0.append("second") } }
                try await transaction.query("insert into t values (1)")
                order.withLock { $0.append("body") }
            }
            #expect(order.withLock { $0 } == ["body", "first saw 1", "second"])
            await #expect(throws: Unrelated()) {
                try await db.client.withTransaction { transaction in
                    transaction.afterCommit { order.withLock { $0.append("never") } }
                    try await transaction.query("insert into t values (2)")
                    throw Unrelated()
                }
            }
            #expect(order.withLock { $0.count } == 3)
        }
    }

    @Test func serializationFailuresAreRetriedWhenAllowed() async throws {
        try await withTable { db in
            try await db.client.query("insert into t values (1)")
            let runs = Mutex(0)
            let hooks = Mutex(0)
            // The first attempt reads, then somebody else changes what it is about to change.
            try await db.client.withTransaction(isolation: .repeatableRead, retries: 3) { transaction in
                let attempt = runs.withLock { runs in
                    runs += 1
                    return runs
                }
                transaction.afterCommit { hooks.withLock { $0 += 1 } }
                let n = try await transaction.value("select n from t where id = 1", as: Int.self)
                if attempt == 1 { try await db.client.query("update t set n = 10 where id = 1") }
                try await transaction.query("update t set n = \(n + 1) where id = 1")
            }
            #expect(runs.withLock { $0 } == 2)
            #expect(hooks.withLock { $0 } == 1)
            let n = try await db.client.value("select n from t", as: Int.self)
            #expect(n == 11)

            let error = try await postgresError {
                try await db.client.withTransaction(isolation: .repeatableRead) { transaction in
                    try await transaction.query("select n from t")
                    try await db.client.query("update t set n = 0")
                    try await transaction.query("update t set n = 1")
                }
            }
            #expect(error.isSerializationFailure)
        }
    }

    @Test func deadlocksAreRetriedWhenAllowed() async throws {
        try await withTable { db in
            try await db.client.query("insert into t values (1), (2)")
            try await withThrowingTaskGroup(of: Void.self) { group in
                for (first, second) in [(1, 2), (2, 1)] {
                    group.addTask {
                        for _ in 0..<5 {
                            try await db.client.withTransaction(retries: 20) { transaction in
                                try await transaction.query("set local deadlock_timeout = '20ms'")
                                try await transaction.query("update t set n = n + 1 where id = \(first)")
                                try await transaction.query("update t set n = n + 1 where id = \(second)")
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            let sum = try await db.client.value("select sum(n) from t", as: Int.self)
            #expect(sum == 20)
        }
    }

    @Test func isolationAndReadOnlyAreAsAsked() async throws {
        try await withTable { db in
            for (isolation, name) in [
                (PostgresIsolation.readCommitted, "read committed"), (.repeatableRead, "repeatable read"),
                (.serializable, "serializable"),
            ] {
                for readOnly in [false, true] {
                    let shown = try await db.client.withTransaction(isolation: isolation, readOnly: readOnly) {
                        try await $0.pipeline(["show transaction_isolation", "show transaction_read_only"])
                            .map { try $0.one(String.self) }
                    }
                    #expect(shown == [name, readOnly ? "on" : "off"])
                }
            }
            // A mistake of ours is no sign of a failover.
            let before = db.client.statistics.total
            let error = try await postgresError {
                try await db.client.withTransaction(readOnly: true) { try await $0.query("insert into t values (1)") }
            }
            #expect(error.sqlState == "25006")
            #expect(db.client.statistics.total == before)
        }
    }

    @Test func misuseIsNamed() async throws {
        try await withTable { db in
            let nested = try await postgresError {
                try await db.client.withTransaction { transaction in
                    try await transaction.query("insert into t values (1)")
                    try await db.client.withTransaction { try await $0.query("insert into t values (2)") }
                }
            }
            #expect(nested.code == .misuse)
            let escaped = try await db.client.withTransaction { $0 }
            #expect(try await postgresError { try await escaped.query("select 1") }.code == .misuse)
            let connection = try await db.client.withConnection { $0 }
            #expect(try await postgresError { try await connection.query("select 1") }.code == .misuse)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func aTaskStartedInsideMayBeginItsOwnAfterwards() async throws {
        try await withTable { db in
            let ended = Signal()
            let later = try await db.client.withTransaction { transaction in
                try await transaction.query("insert into t values (1)")
                return Task {
                    await ended.wait()
                    try await db.client.withTransaction { try await $0.query("insert into t values (2)") }
                }
            }
            await ended.set()
            _ = try await later.value
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 2)
        }
    }

    @Test func anAbandonedTransactionCostsItsConnectionOnly() async throws {
        try await withTable { db in
            try await db.client.withConnection { connection in
                try await connection.query("begin")
                try await connection.query("insert into t values (1)")
            }
            try await eventually("the server has dropped it") {
                try await db.client.value(
                    "select count(*) from pg_locks where relation = 't'::regclass and mode = 'RowExclusiveLock'",
                    as: Int.self) == 0
            }
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
        }
    }

    @Test func cancellationRollsBack() async throws {
        try await withTable { db in
            let task = Task {
                try await db.client.withTransaction { transaction in
                    try await transaction.query("insert into t values (1)")
                    try await transaction.query("select pg_sleep(60) /* inside a transaction */")
                }
            }
            try await eventually("the statement runs") {
                try await db.client.backendsRunning("inside a transaction") == 1
            }
            task.cancel()
            #expect(try await postgresError { try await task.value }.code == .cancelled)
            let count = try await db.client.value("select count(*) from t", as: Int.self)
            #expect(count == 0)
            #expect(db.client.statistics.active == 0)
        }
    }

    @Test func aTransactionWithoutStatementsTouchesNothing() async throws {
        try await withTable { db in
            let ran = Mutex(false)
            try await db.client.withTransaction { $0.afterCommit { ran.withLock { $0 = true } } }
            #expect(ran.withLock { $0 })
        }
    }
}
