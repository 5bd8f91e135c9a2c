import Foundation
import Shared
import Synchronization

/// Loops over bare libpq, each on a thread of its own: claim, complete, insert, and nothing else.
enum BareLoop {
    /// Runs `body` on as many new threads at once, and waits for all. Throws the first error.
    static func onThreads<Result: Sendable>(
        _ count: Int, _ body: @escaping @Sendable (Int) throws -> Result
    ) async throws -> [Result] {
        try await withThrowingTaskGroup(of: Result.self) { group in
            for number in 0..<count {
                group.addTask {
                    try await withCheckedThrowingContinuation { continuation in
                        let thread = Thread {
                            continuation.resume(with: Swift.Result { try body(number) })
                        }
                        thread.stackSize = 1 << 20
                        thread.start()
                    }
                }
            }
            return try await group.reduce(into: []) { $0.append($1) }
        }
    }

    /// Makes the tables with so many jobs waiting.
    static func prepare(_ settings: PostgresSettings, jobs: Int) async throws {
        _ = try await onThreads(1) { _ in
            var settings = settings
            settings.sessionSettings = [:]
            let connection = try PostgresBareConnection(settings)
            try connection.execute(PostgresRawQueueStore.schema)
            if jobs > 0 { try connection.run("load", PostgresRawQueueStore.load(jobs)) }
            for statement in PostgresRawQueueStore.settle { try connection.execute(statement) }
            do {
                try connection.execute(PostgresRawQueueStore.checkpoint)
            } catch let error as PostgresError where error.sqlState == "42501" {
                Console.error("bench: this account may not CHECKPOINT")
            }
        }
    }

    /// Claims and completes until `isOver` says so after an empty claim; gives the number of jobs worked.
    static func work(
        _ connection: PostgresBareConnection, worker: Int32, batch: Int, done: borrowing Atomic<Int>,
        isOver: () -> Bool
    ) throws -> Int {
        var total = 0
        var after: (priority: Int16, id: Int64) = (.min, 0)
        var cursorSince = ContinuousClock.now
        while true {
            let rows = try connection.run(
                "claim", PostgresRawQueueStore.claim(limit: batch, worker: worker, after: after))
            guard !rows.isEmpty else {
                let wasFromStart = after.priority == .min && after.id == 0
                after = (.min, 0)
                if wasFromStart, isOver() { return total }
                continue
            }
            var ids: [Int64] = []
            var attempts: [Int16] = []
            ids.reserveCapacity(rows.count)
            attempts.reserveCapacity(rows.count)
            for row in rows {
                let (priority, id) = (try row.int16(1), try row.int64(0))
                ids.append(id)
                attempts.append(try row.int16(3))
                if (priority, id) > after { after = (priority, id) }
            }
            if rows.count < batch || .now - cursorSince > .seconds(1) {
                after = (.min, 0)
                cursorSince = .now
            }
            try connection.run("complete", PostgresRawQueueStore.complete(ids: ids, attempts: attempts))
            total += ids.count
            done.add(ids.count, ordering: .relaxed)
        }
    }

    static func arguments(_ numbers: Range<Int>) -> [PostgresJSON] {
        numbers.map { PostgresJSON(#"{"n": \#($0), "to": "user\#($0)@example.test", "k": "abcdefgh"}"#) }
    }
}

/// A count that threads share.
final class SharedCount: Sendable {
    let value = Atomic<Int>(0)
    var now: Int { value.load(ordering: .relaxed) }
}
