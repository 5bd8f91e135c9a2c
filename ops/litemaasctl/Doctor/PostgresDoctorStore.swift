import Foundation
import Shared

/// The SQL behind `litemaasctl doctor`, which only reads.
struct PostgresDoctorStore: Sendable {
    struct Server: Sendable {
        var version: Int
        var versionText: String
        var isStandby: Bool
        var maxConnections: Int
        var connections: Int
        var autovacuum: Bool
        var trackCounts: Bool
        var now: Date
        /// Whether other people's sessions can be seen.
        var seesAll: Bool
    }

    struct HotTable: Sendable {
        var name: String
        var options: [String]
        var live: Int64
        var dead: Int64
        var lastVacuum: Date?
    }

    /// What keeps dead rows alive.
    struct Holder: Sendable {
        /// session, slot or prepared.
        var sort: String
        var name: String
        var user: String
        var state: String
        var seconds: Double?
        var xminAge: Int64?
    }

    struct Queue: Sendable {
        var name: String
        var isPaused: Bool
        var pausedBy: String?
        var reason: String?
        var isServed: Bool
        var ready: Int64
        /// Ready for longer than five minutes, though the upstream's breaker lets calls through.
        var late: Int64
        var lateExample: Int64?
    }

    struct Stuck: Sendable {
        var count: Int64
        var example: Int64?
    }

    struct Worker: Sendable {
        var name: String
        var state: Int16
        var version: String
        var isLost: Bool
    }

    struct DeadLetters: Sendable {
        var kind: String
        var code: String
        var count: Int64
        var last: Date
        var example: Int64
    }

    /// Counts go no further.
    private static let most = 10_000

    func server(in executor: any PostgresExecutor) async throws -> Server {
        let row = try await executor.query(
            """
            select current_setting('server_version_num')::int, current_setting('server_version'), pg_is_in_recovery(),
                current_setting('max_connections')::int, (select coalesce(sum(numbackends), 0)::int from pg_stat_database),
                current_setting('autovacuum')::boolean, current_setting('track_counts')::boolean, clock_timestamp(),
                pg_has_role(current_user, 'pg_read_all_stats', 'member')
            """
        ).first
        guard let row else { throw CommandFailure(description: "The server says nothing about itself.") }
        let (version, text, standby, most, used, autovacuum, counts, now, seesAll) = try row.decode(
            Int32.self, String.self, Bool.self, Int32.self, Int32.self, Bool.self, Bool.self, Date.self, Bool.self)
        return Server(
            version: Int(version), versionText: text, isStandby: standby, maxConnections: Int(most),
            connections: Int(used), autovacuum: autovacuum, trackCounts: counts, now: now, seesAll: seesAll)
    }

    /// The server process behind a connection.
    func backend(in executor: any PostgresExecutor) async throws -> Int32 {
        guard let row = try await executor.query("select pg_backend_pid()").first else {
            throw CommandFailure(description: "The server does not tell its process.")
        }
        return try row.decode(Int32.self)
    }

    /// Sends a notification without content.
    func notify(_ channel: String, in executor: any PostgresExecutor) async throws {
        try await executor.query("select pg_notify(\(channel)::text, '')")
    }

    func hotTables(in executor: any PostgresExecutor) async throws -> [HotTable] {
        try await executor.query(
            """
            select c.relname::text, coalesce(c.reloptions, '{}'), s.n_live_tup, s.n_dead_tup,
                greatest(s.last_autovacuum, s.last_vacuum)
            from pg_class c join pg_stat_user_tables s on s.relid = c.oid
            where c.relnamespace = current_schema()::regnamespace
              and c.relname in ('jobs', 'job_workers', 'breakers', 'breaker_windows')
            order by c.relname
            """
        ).map { row in
            let (name, options, live, dead, last) = try row.decode(
                String.self, [String].self, Int64.self, Int64.self, Date?.self)
            return HotTable(name: name, options: options, live: live, dead: dead, lastVacuum: last)
        }
    }

    /// The oldest transactions, slots and prepared transactions, oldest first.
    func holders(in executor: any PostgresExecutor) async throws -> [Holder] {
        try await executor.query(
            """
            select * from (
                (select 'session' as sort, pid::text || coalesce(' (' || nullif(application_name, '') || ')', '') as name,
                    coalesce(usename::text, '') as owner, coalesce(state, '') as state,
                    extract(epoch from clock_timestamp() - xact_start)::float8 as seconds, age(backend_xmin)::bigint as held
                from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid() and xact_start is not null
                order by xact_start limit 5)
                union all
                (select 'slot', slot_name::text, coalesce(plugin::text, 'physical'),
                    case when active then 'active' else 'inactive' end, null,
                    greatest(age(xmin), age(catalog_xmin))::bigint
                from pg_replication_slots where xmin is not null or catalog_xmin is not null limit 5)
                union all
                (select 'prepared', gid, owner::text, 'prepared', extract(epoch from clock_timestamp() - prepared)::float8,
                    age(transaction)::bigint
                from pg_prepared_xacts where database = current_database() order by prepared limit 5)
            ) as holders order by seconds desc nulls last
            """
        ).map { row in
            let (sort, name, user, state, seconds, age) = try row.decode(
                String.self, String.self, String.self, String.self, Double?.self, Int64?.self)
            return Holder(sort: sort, name: name, user: user, state: state, seconds: seconds, xminAge: age)
        }
    }

    func workers(in executor: any PostgresExecutor) async throws -> [Worker] {
        try await executor.query(
            """
            select name, state, version, state = 2 or lease_until < now() from job_workers
            where state in (0, 1) or state = 2 and beat_at > now() - interval '1 hour' order by id
            """
        ).map { row in
            let (name, state, version, isLost) = try row.decode(String.self, Int16.self, String.self, Bool.self)
            return Worker(name: name, state: state, version: version, isLost: isLost)
        }
    }

    func queues(in executor: any PostgresExecutor) async throws -> [Queue] {
        try await executor.query(
            """
            select q.name, q.paused_at is not null, q.paused_by, q.pause_reason,
                exists (select from job_workers w where w.state = 0 and w.lease_until > now() and q.name = any (w.queues)),
                (select count(*) from (
                    select from jobs where state = 0 and queue_id = q.id limit \(Self.most)) as ready),
                late.count, late.example
            from job_queues q cross join lateral (
                select count(*) as count, min(id) as example from (
                    select j.id from jobs j left join breakers b on b.upstream = j.upstream
                    where j.state = 0 and j.queue_id = q.id and coalesce(b.state, 0) in (0, 3, 9)
                      and greatest(j.run_at, j.created_at, b.changed_at) < now() - interval '5 minutes'
                    limit \(Self.most)) as found
            ) as late
            order by q.name
            """
        ).map { row in
            let (name, paused, by, reason, served, ready, late, example) = try row.decode(
                String.self, Bool.self, String?.self, String?.self, Bool.self, Int64.self, Int64.self, Int64?.self)
            return Queue(
                name: name, isPaused: paused, pausedBy: by, reason: reason, isServed: served, ready: ready, late: late,
                lateExample: example)
        }
    }

    /// Jobs blocked behind nothing, which a sweep should have found.
    func blockedBehindNothing(in executor: any PostgresExecutor) async throws -> Stuck {
        try await stuck(
            """
            select b.id from jobs b where b.state = 4 and b.order_key is not null and not exists (
                select from jobs h where h.order_key = b.order_key and h.state in (0, 1, 3, 5, 6, 7))
            limit \(Self.most)
            """, in: executor)
    }

    /// Jobs that run on paper only: no live worker holds them.
    func runningWithoutWorker(in executor: any PostgresExecutor) async throws -> Stuck {
        try await stuck(
            """
            select j.id from jobs j where j.state = 1 and not exists (
                select from job_workers w where w.id = j.worker_id and w.state in (0, 1)
                  and w.lease_until > now() - interval '30 seconds')
            limit \(Self.most)
            """, in: executor)
    }

    /// Jobs of kinds that no live worker knows, such as those of a newer version.
    func unknownKinds(in executor: any PostgresExecutor) async throws -> Stuck {
        try await stuck(
            """
            select j.id from jobs j join job_kinds k on k.id = j.kind_id
            where j.state = 0 and not exists (
                select from job_workers w where w.state = 0 and w.lease_until > now() and k.name = any (w.kinds))
            limit \(Self.most)
            """, in: executor)
    }

    /// Jobs that have been due for a minute and that nobody has made ready.
    func overdue(in executor: any PostgresExecutor) async throws -> Stuck {
        try await stuck(
            "select id from jobs where state in (2, 3) and run_at < now() - interval '1 minute' limit \(Self.most)",
            in: executor)
    }

    private func stuck(_ query: PostgresQuery, in executor: any PostgresExecutor) async throws -> Stuck {
        let rows = try await executor.query(query)
        return Stuck(count: Int64(rows.count), example: try rows.first?.decode(Int64.self))
    }

    /// The commonest reasons among the failed jobs that wait for a person.
    func deadLetters(in executor: any PostgresExecutor) async throws -> [DeadLetters] {
        try await executor.query(
            """
            select k.name, coalesce(d.error_code, 'unknown'), count(*), max(d.finished_at), max(d.id)
            from (select kind_id, error_code, finished_at, id from job_dead_letters
                order by finished_at desc, id desc limit \(Self.most)) as d
            join job_kinds k on k.id = d.kind_id
            group by 1, 2 order by 3 desc, 1, 2 limit 10
            """
        ).map { row in
            let (kind, code, count, last, example) = try row.decode(
                String.self, String.self, Int64.self, Date.self, Int64.self)
            return DeadLetters(kind: kind, code: code, count: count, last: last, example: example)
        }
    }
}
