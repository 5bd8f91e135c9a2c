import Foundation
import Shared
import Synchronization
import Testing

@testable import Jobs

/// A database as large as one after months of work: the tables that hot statements must not walk through.
struct PlanScene: Sendable {
    let harness: EngineHarness
    /// A worker that claims, one that has never done anything, and the one that runs all the running jobs.
    let worker: Int32
    let idle: Int32
    let busy: Int32

    /// Rows of each sort; PLAN_ROWS sets another size, such as a million.
    static let size = ProcessInfo.processInfo.environment["PLAN_ROWS"].flatMap { Int($0) } ?? 20_000

    init(_ harness: EngineHarness) async throws {
        self.harness = harness
        worker = try await harness.registerWorker()
        idle = try await harness.registerWorker()
        busy = try await harness.registerWorker()
    }

    /// What a claim must not notice: future, running and ended jobs, and a class behind an open breaker.
    func fill() async throws {
        let client = harness.client
        let size = Int32(Self.size)
        // One thousand people, and ten thousand objects.
        let columns: PostgresFragment =
            "queue_id, kind_id, max_attempts, requester_id, resource_type, resource_id, args"
        let values: PostgresFragment =
            """
            q.id, k.id, 25::smallint, 'user-' || n % 1000, 'object', 'object-' || n % 10000,
                jsonb_build_object('number', n)
            """
        let source: PostgresFragment =
            """
            generate_series(1, \(size)) as n, job_queues q, job_kinds k
            where q.name = 'default' and k.name = 'test.noop'
            """
        try await client.pipeline([
            """
            insert into jobs (\(columns), state, run_at)
            select \(values), 2, now() + interval '1 day' + n * interval '1 second' from \(source)
            """,
            """
            insert into jobs (\(columns), state, upstream)
            select \(values), 0, \(Upstream.litellmUsage.code) from \(source)
            """,
            """
            insert into jobs (\(columns), state, worker_id, attempt, token)
            select \(values), 1, \(busy), 1, 1 from \(source) and n <= \(size / 5)
            """,
            """
            insert into jobs (\(columns), state, order_key)
            select \(values), case when n % 2 = 0 then 1 else 4 end, 'object-' || n / 2 from \(source) and n <= \(size / 5)
            """,
            "update jobs set worker_id = \(busy), attempt = 1, token = 1 where state = 1 and worker_id is null",
            """
            insert into job_history (
                id, finished_at, created_at, run_at, token, upstream, priority, outcome, attempt, errors, \(columns))
            select -n, now() - n * interval '1 second', now() - interval '30 days', now(), 1, 0, 0, 10, 1, 0, \(values)
            from \(source)
            """,
            """
            insert into job_dead_letters (
                id, finished_at, created_at, run_at, token, upstream, priority, outcome, attempt, errors, error_class,
                error_code, error_message, \(columns))
            select -n - 10000000, now() - n * interval '1 second', now() - interval '30 days', now(), 1, 0, 0, 11, 25, 25,
                'retryable', 'code-' || n % 50, 'It failed.', \(values)
            from \(source) and n <= \(size / 5)
            """,
            """
            insert into job_attempts (job_id, attempt, ended_at, class, code, message, charged)
            select -n - 10000000, 25, now() - n * interval '1 second', 'retryable', 'x', 'x', true
            from generate_series(1, \(size / 5)) as n
            """,
            "update breakers set state = 8 where upstream = \(Upstream.litellmUsage.code)",
        ])
        for table in ["jobs", "job_history", "job_dead_letters", "job_attempts"] {
            try await client.maintain("vacuum analyze \(identifier: table)", timeout: .seconds(60))
        }
    }

    /// A few jobs of every sort for the statements to work on.
    func addWork() async throws {
        let stage = Stage()
        let harness = harness
        try await harness.client.withTransaction { transaction in
            _ = try await harness.queue.enqueueMany((0..<60).map { NoOpJob(number: $0) }, in: transaction)
            for number in 0..<20 {
                for _ in 0..<2 {
                    _ = try await harness.queue.enqueue(
                        TestJob(stage, "o", order: "work-\(number)"), in: transaction)
                }
                _ = try await harness.queue.enqueue(
                    TestJob(stage, "u", unique: "unique-\(number)"), in: transaction)
            }
        }
    }

    func lane(_ upstream: Upstream?) throws -> JobLane {
        JobLane(queueId: try harness.store.names.queueId("default"), upstream: upstream?.code ?? 0)
    }

    /// Runs `body` in a transaction that never commits, and explains what it does.
    func explain(
        _ mode: PlanMode, _ body: @Sendable (Explainer) async throws -> Void
    ) async throws -> (plans: [ExplainedPlan], scanned: Set<String>) {
        struct Undo: Error {}
        let result = Mailbox<(plans: [ExplainedPlan], scanned: Set<String>)>()
        do {
            try await harness.client.withTransaction { transaction in
                for (name, value) in mode.settings.sorted(by: { $0.key < $1.key }) {
                    try await transaction.query("select set_config(\(name), \(value), true)")
                }
                let before = try await Self.scans(in: transaction)
                let explainer = Explainer(transaction)
                try await body(explainer)
                let after = try await Self.scans(in: transaction)
                let scanned = after.filter { $0.value > before[$0.key, default: 0] }
                result.put((explainer.plans, Set(scanned.keys)))
                throw Undo()
            }
        } catch is Undo {}
        return try #require(result.take())
    }

    /// Whole scans of the tables that grow, as this transaction counts them: those inside functions too.
    private static func scans(in transaction: PostgresTransaction) async throws -> [String: Int64] {
        let rows = try await transaction.query(
            """
            select s.relname::text, s.seq_scan from pg_stat_xact_user_tables s join pg_class c on c.oid = s.relid
            where s.seq_scan > 0 and (s.relname in ('jobs', 'job_dead_letters')
                or s.relname ~ '^job_(history|attempts)_' and c.reltuples > 1000)
            """)
        var scans: [String: Int64] = [:]
        for row in rows {
            let (name, count) = try row.decode(String.self, Int64.self)
            scans[name] = count
        }
        return scans
    }
}

/// Carries one value out of a closure.
final class Mailbox<Value: Sendable>: Sendable {
    private let value = Mutex<Value?>(nil)
    func put(_ new: Value) { value.withLock { $0 = new } }
    func take() -> Value? { value.withLock { $0 } }
}
