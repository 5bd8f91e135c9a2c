import Foundation
import Shared
import Synchronization

/// A worker of schema version 3: the statements that it sends, as they stood in that version. They are frozen here and
/// have to go on working while later migrations run, and afterwards beside newer workers.
final class PreviousWorker: Sendable {
    /// The last migration that this version knew.
    static let schemaVersion = 3

    let client: PostgresClient
    private let failures = Mutex<[String]>([])
    private let ended = Mutex(0)

    init(_ client: PostgresClient) { self.client = client }

    /// Errors that such a worker would not have got over by trying again.
    var unexpected: [String] { failures.withLock { $0 } }
    /// Jobs it has finished.
    var finished: Int { ended.withLock { $0 } }

    /// Works until cancelled.
    func run() async {
        do {
            let id = try await register()
            while !Task.isCancelled {
                try await again { try await self.turn(id) }
            }
        } catch {
            if !Task.isCancelled { failures.withLock { $0.append(String(describing: error)) } }
        }
    }

    /// Deadlocks and plans that a change of schema made stale are tried again, as that version does.
    private func again<Value>(_ body: () async throws -> Value) async throws -> Value {
        var attempt = 1
        while true {
            do { return try await body() } catch let error as PostgresError {
                guard attempt < 5, ["40P01", "40001", "0A000"].contains(error.sqlState ?? "") else { throw error }
                attempt += 1
            }
        }
    }

    private func register() async throws -> Int32 {
        let rows = try await client.query(
            """
            insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
            values (\(UUID()), 'previous', 'host', 1, '3', \(["default"]), \(["test.noop"]), 10,
                now() + 45.0::float8 * interval '1 second')
            returning id
            """)
        return try rows.one(Int32.self)
    }

    private func turn(_ workerId: Int32) async throws {
        try await client.pipeline([
            """
            update job_workers set beat_at = now(), lease_until = now() + 45.0::float8 * interval '1 second'
            where id = \(workerId) and state in (0, 1) returning state
            """,
            """
            select id, token, cancel_requested_by from jobs
            where state = 1 and worker_id = \(workerId) and cancel_requested_at is not null
            """,
        ])
        try await enqueue()
        let claimed = try await client.query(
            """
            update jobs set state = 1, attempt = least(attempt, 32766) + 1, token = token + 1, worker_id = \(workerId),
                started_at = now()
            where ctid = any (array (
                select ctid from jobs
                where queue_id = 1::smallint and upstream = 0::smallint and state = 0
                  and (priority, id) > ((-32768)::smallint, 0::int8)
                order by priority, id
                limit (select case
                    when exists (select from job_queues where id = 1::smallint and paused_at is not null) then 0
                    else 20 end)
                for update skip locked))
            returning id, token, attempt, max_attempts, priority, queue_id, kind_id, upstream, order_key,
                requester_id, request_id, created_at, run_at, coalesce(deadline_at < now(), false), args
            """)
        var ids: [Int64] = []
        var tokens: [Int64] = []
        var keys: [String] = []
        for row in claimed {
            ids.append(try row.get("id", as: Int64.self))
            tokens.append(try row.get("token", as: Int64.self))
            if let key = try row.get("order_key", as: String?.self) { keys.append(key) }
        }
        try await finish(ids, tokens, keys)
    }

    private func enqueue() async throws {
        try await client.withTransaction { transaction in
            // A transaction that reads before it writes, as a request of the API does.
            try await transaction.query("select count(*) from job_queues, breakers")
            for key in [nil, "previous-\(Int.random(in: 0..<3))"] as [String?] {
                try await transaction.query(
                    """
                    select job_id, coalesced, job_state, superseded from job_enqueue(
                        1::smallint, (select id from job_kinds where name = 'test.noop'), 0::smallint, 0::smallint,
                        25::smallint, null, null, null, \(key), null, null, 'previous', null, null, null, false, false,
                        '{"number": 1}')
                    """)
            }
        }
    }

    private func finish(_ ids: [Int64], _ tokens: [Int64], _ keys: [String]) async throws {
        guard !ids.isEmpty else { return }
        // By itself: a turn that began again would have forgotten what it claimed.
        let results = try await again { try await self.end(ids, tokens, keys) }
        ended.withLock { $0 += results[0].count }
        // Rows that an enqueuer held at that moment are left for the next flush.
        let done = Set(try results[0].map { try $0.get("id", as: Int64.self) })
        let rest = zip(ids, tokens).filter { !done.contains($0.0) }
        try await finish(rest.map(\.0), rest.map(\.1), keys)
    }

    private func end(_ ids: [Int64], _ tokens: [Int64], _ keys: [String]) async throws -> [PostgresRows] {
        try await client.pipeline([
            """
            with owned as materialized (
                select j.ctid as place, t.result
                from unnest(\(ids), \(tokens), \(ids.map { _ in String?.none })::text[]) as t (id, token, result)
                join jobs j on j.id = t.id and j.token = t.token and j.state = 1
                for update of j skip locked
            ), ended as (
                delete from jobs using owned where jobs.ctid = owned.place returning jobs.*, owned.result
            ), kept as (
                insert into job_history (
                    id, finished_at, created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                    kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                    resource_type, resource_id, requester_id, request_id, args, progress, result)
                select id, now(), created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                    kind_id, upstream, priority, 10, attempt, max_attempts, errors, unique_key, order_key,
                    resource_type, resource_id, requester_id, request_id, args, progress, result::jsonb
                from ended
            )
            select id, watched from ended
            """,
            """
            update jobs set state = case when waits_for > 0 then 5 else 0 end
            where state = 4 and id in (
                select (select b.id from jobs b where b.order_key = k and b.state = 4 order by b.id limit 1)
                from unnest(\(keys)::text[]) as k
                where not exists (select from jobs h where h.order_key = k and h.state in (0, 1, 3, 5)))
            returning queue_id
            """,
        ])
    }
}
