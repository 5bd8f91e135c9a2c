import Foundation
import Shared

/// The SQL of `job_families` and of the jobs in them.
struct PostgresFamilyStore: Sendable {
    struct Family: Sendable, Equatable {
        var policy: ChildPolicy
        var counts: ChildCounts
    }

    /// A parent that waits, as a look at its children found it.
    struct Look: Sendable {
        var parent: Int64
        var queueId: Int16
        var family: Family
        /// Whether any child is live.
        var isOpen: Bool
    }

    func exist(in executor: any PostgresExecutor) async throws -> Bool {
        try await !executor.query("select 1 from job_families limit 1").isEmpty
    }

    func find(parent: Int64, in executor: any PostgresExecutor) async throws -> Family? {
        try await executor.query(
            "select policy, enqueued, succeeded, failed, cancelled from job_families where parent_id = \(parent)"
        ).first.map { row in
            let (policy, total, succeeded, failed, cancelled) = try row.decode(
                Int16.self, Int32.self, Int32.self, Int32.self, Int32.self)
            return Family(
                policy: ChildPolicy(rawValue: policy) ?? .allMustSucceed,
                counts: ChildCounts(
                    total: Int(total), succeeded: Int(succeeded), failed: Int(failed), cancelled: Int(cancelled)))
        }
    }

    /// Makes the family's row if there is none and locks it. Returns how many children there are, and the object that
    /// the parent holds.
    func open(parent: Int64, in transaction: PostgresTransaction) async throws -> (count: Int, orderKey: String?) {
        let results = try await transaction.pipeline([
            "insert into job_families (parent_id) values (\(parent)) on conflict do nothing",
            """
            select f.enqueued, (select order_key from jobs where id = f.parent_id) from job_families f
            where f.parent_id = \(parent) for update
            """,
        ])
        guard let row = results[1].first else { return (0, nil) }
        let (count, orderKey) = try row.decode(Int32.self, String?.self)
        return (Int(count), orderKey)
    }

    func grow(parent: Int64, by count: Int, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "update job_families set enqueued = enqueued + \(Int32(count)) where parent_id = \(parent)")
    }

    /// Says what the parent waits for; the look at its children follows at once.
    func setPolicy(_ policy: ChildPolicy, parent: Int64, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            insert into job_families (parent_id, policy) values (\(parent), \(policy.rawValue))
            on conflict (parent_id) do update set policy = excluded.policy, look_at = now()
            """)
    }

    /// Puts in children without order keys, in one statement.
    func insertPlain(
        _ rows: [PostgresJobStore.NewJob], parent: Int64, requester: JobRequester, names: JobNames,
        in executor: any PostgresExecutor
    ) async throws {
        guard let handler = rows.first?.handler else { return }
        try await executor.query(
            """
            insert into jobs (queue_id, kind_id, upstream, priority, max_attempts, requester_id, request_id, parent_id,
                args)
            select \(try names.queueId(handler.queue)), \(try names.kindId(handler.name)),
                \(handler.upstream?.code ?? 0), p, \(Int16(clamping: handler.retry.maxAttempts)), \(requester.id),
                \(requester.requestId), \(parent), a::jsonb
            from unnest(\(rows.map { Int16(clamping: $0.priority) }), \(rows.map(\.args))::text[])
                with ordinality as t (p, a, n) order by n
            """)
    }

    /// Looks at the next parent whose time has come, and writes down what it found: counts, progress, the next look.
    /// The look's price sets the pace, so that large families are looked at less often. Nil when there is none.
    func lookAtNext(in transaction: PostgresTransaction) async throws -> Look? {
        let rows = try await transaction.query(
            """
            select p.id, p.queue_id, f.policy, f.enqueued, f.created_at
            from jobs p join job_families f on f.parent_id = p.id
            where p.state = 7 and f.look_at <= now() order by f.look_at limit 1 for update of f skip locked
            """)
        guard let row = rows.first else { return nil }
        let (parent, queueId, policy, enqueued, since) = try row.decode(
            Int64.self, Int16.self, Int16.self, Int32.self, Date.self)
        let counts = try await counts(parent: parent, since: since, total: Int(enqueued), in: transaction)
        let progress = JobProgress(
            fraction: counts.counts.total == 0 ? 1 : Double(counts.counts.ended) / Double(counts.counts.total),
            message: "\(counts.counts.ended) of \(counts.counts.total) jobs have ended.", children: counts.counts)
        let json = String(decoding: try JSON.encoder.encode(progress), as: UTF8.self)
        try await transaction.pipeline([
            """
            update job_families set succeeded = \(Int32(counts.counts.succeeded)),
                failed = \(Int32(counts.counts.failed)), cancelled = \(Int32(counts.counts.cancelled)),
                look_at = now() + greatest(interval '250 milliseconds', 20 * (clock_timestamp() - now()))
            where parent_id = \(parent)
            """,
            "update jobs set progress = \(json) where id = \(parent) and state = 7",
        ])
        return Look(
            parent: parent, queueId: queueId,
            family: Family(policy: ChildPolicy(rawValue: policy) ?? .allMustSucceed, counts: counts.counts),
            isOpen: counts.isOpen)
    }

    /// One statement, so one snapshot: a child is either live or among the ended.
    private func counts(
        parent: Int64, since: Date, total: Int, in executor: any PostgresExecutor
    ) async throws -> (counts: ChildCounts, isOpen: Bool) {
        let rows = try await executor.query(
            """
            with live as (select count(*) as n from jobs where parent_id = \(parent)),
            ended as (
                select count(*) filter (where outcome = 10) as succeeded, count(*) filter (where outcome = 12) as cancelled
                from job_history where parent_id = \(parent) and created_at >= \(since))
            select live.n, ended.succeeded, ended.cancelled from live, ended
            """)
        guard let row = rows.first else { return (ChildCounts(total: total), true) }
        let (live, succeeded, cancelled) = try row.decode(Int64.self, Int64.self, Int64.self)
        // Failed ones may be dead letters, discarded or forgotten: they are what is left.
        let failed = max(0, total - Int(live) - Int(succeeded) - Int(cancelled))
        return (
            ChildCounts(total: total, succeeded: Int(succeeded), failed: failed, cancelled: Int(cancelled)), live > 0
        )
    }

    /// Lets a parent whose children have all ended run again. False when it does not wait any more.
    func resume(parent: Int64, in executor: any PostgresExecutor) async throws -> Bool {
        try await !executor.query("update jobs set state = 0 where id = \(parent) and state = 7 returning 1").isEmpty
    }

    /// Parents that have ended, oldest first.
    func endedParents(limit: Int, in executor: any PostgresExecutor) async throws -> [Int64] {
        try await executor.query(
            """
            select f.parent_id from job_families f
            where not exists (select from jobs p where p.id = f.parent_id) order by f.parent_id limit \(limit)
            """
        ).map { try $0.decode(Int64.self) }
    }

    /// Live children that nobody has told to end yet. Those that protect others go on without their parent.
    func orphans(of parent: Int64, limit: Int, in executor: any PostgresExecutor) async throws -> [Int64] {
        try await executor.query(
            """
            select j.id from jobs j join job_queues q on q.id = j.queue_id
            where j.parent_id = \(parent) and j.cancel_requested_at is null and not q.protected
            order by j.id limit \(limit)
            """
        ).map { try $0.decode(Int64.self) }
    }

    /// Forgets the family of an ended parent that has no live children.
    func close(parent: Int64, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            delete from job_families f where f.parent_id = \(parent)
              and not exists (select from jobs j where j.id = f.parent_id or j.parent_id = f.parent_id)
            """)
    }

    /// The greatest id, as a UUID, of what the running family's children act on.
    func lastResource(parent: Int64, in executor: any PostgresExecutor) async throws -> UUID? {
        let rows = try await executor.query(
            """
            select resource_id::uuid from (
                select resource_id, created_at from jobs where parent_id = \(parent)
                union all select resource_id, created_at from job_history where parent_id = \(parent)
                union all select resource_id, created_at from job_dead_letters where parent_id = \(parent)
            ) as children
            where created_at >= (select created_at from job_families where parent_id = \(parent))
            order by 1 desc limit 1
            """)
        return try rows.first?.decode(UUID.self)
    }

    /// The running family's children that ended without success, oldest first.
    func failures(parent: Int64, limit: Int, in executor: any PostgresExecutor) async throws -> [ChildFailure] {
        try await executor.query(
            """
            select resource_id, coalesce(error_code, 'unknown'), coalesce(error_message, '') from (
                select id, resource_id, error_code, error_message, created_at from job_history
                where parent_id = \(parent) and outcome <> \(StoredState.succeeded.rawValue)
                union all
                select id, resource_id, error_code, error_message, created_at from job_dead_letters
                where parent_id = \(parent)
            ) as ended
            where created_at >= (select created_at from job_families where parent_id = \(parent))
            order by id limit \(limit)
            """
        ).map { row in
            let (resource, code, message) = try row.decode(String?.self, String.self, String.self)
            return ChildFailure(resourceId: resource, code: code, message: message)
        }
    }

    /// Ended children of the running family, by id.
    func results<Output: Codable & Sendable>(
        parent: Int64, after last: Int64, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [ChildResult<Output>] {
        let rows = try await executor.query(
            """
            select * from (
                (select h.id, h.outcome, h.result, h.error_class, h.error_code, h.error_message
                 from job_history h join job_families f on f.parent_id = h.parent_id
                 where h.parent_id = \(parent) and h.id > \(last) and h.created_at >= f.created_at
                 order by h.id limit \(limit))
                union all
                (select d.id, d.outcome, null::jsonb, d.error_class, d.error_code, d.error_message
                 from job_dead_letters d join job_families f on f.parent_id = d.parent_id
                 where d.parent_id = \(parent) and d.id > \(last) and d.created_at >= f.created_at
                 order by d.id limit \(limit))
            ) as ended order by id limit \(limit)
            """)
        return try rows.map { row in
            let (id, outcome, result, errorClass, code, message) = try row.decode(
                Int64.self, Int16.self, String?.self, String?.self, String?.self, String?.self)
            return ChildResult(
                id: id, state: (StoredState(rawValue: outcome) ?? .failed).publicState(errors: 0),
                output: try result.map { try JSON.decoder.decode(Output.self, from: Data($0.utf8)) },
                error: code.map {
                    JobErrorInfo(
                        errorClass: errorClass.flatMap(JobErrorClass.init(rawValue:)) ?? .permanent, code: $0,
                        message: message ?? "")
                })
        }
    }
}
