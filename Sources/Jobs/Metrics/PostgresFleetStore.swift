import Foundation
package import Shared

/// How far the partitions of a table reach.
package struct PartitionCare: Sendable, Equatable {
    /// The partitioned table.
    package var table: String
    /// Days from now to the end of the last partition.
    package var daysAhead: Double
    /// Rows in the default partition, counted up to 1000.
    package var strays: Int64
}

/// What can be known of the whole installation only from the database, at one moment.
struct FleetSample: Sendable {
    struct Queue: Sendable, Equatable {
        var name: String
        var isPaused: Bool
        /// Jobs that could start now, counted up to ``PostgresFleetStore/mostCounted``.
        var ready: Int64
        /// How long the oldest of them has been due; 0 when there is none.
        var oldestSeconds: Double
    }

    struct Workers: Sendable, Equatable {
        /// active, draining, lost (within the last hour).
        var state: String
        var count: Int64
        var capacity: Int64
    }

    struct Table: Sendable, Equatable {
        var name: String
        var live: Int64
        var dead: Int64
        var inserts: Int64
        var updates: Int64
        /// Updates that needed no index entries.
        var hotUpdates: Int64
        var deletes: Int64
        var bytes: Int64
        var indexes: Int64
    }

    var running: Int64 = 0
    /// Scheduled, retrying and snoozed.
    var dueLater: Int64 = 0
    var blocked: Int64 = 0
    /// Waiting for jobs that they need, or for their children.
    var waitingForJobs: Int64 = 0
    /// Held back by a limit on their kind.
    var parked: Int64 = 0
    var queues: [Queue] = []
    /// By kind.
    var deadLetters: [(String, Int64)] = []
    var workers: [Workers] = []
    /// Since when it has been open, nil while it is not.
    var breakers: [(name: String, state: String, openSeconds: Double?)] = []
    var tables: [Table] = []
    var partitions: [PartitionCare] = []
    var commits: Int64 = 0
    /// Nil on a standby.
    var walBytes: Double?
    var oldestXminAge: Int64 = 0
    var longestTransactionSeconds = 0.0
    /// Those about the system.
    var alerts: [Alert] = []
}

/// The SQL of the fleet's gauges. Every count has a ceiling, so that a large backlog costs a sample no more than a
/// few ten milliseconds.
package struct PostgresFleetStore: Sendable {
    /// Jobs are counted no further.
    static let mostCounted: Int64 = 100_000
    /// Dead letters of one kind are counted no further.
    static let mostLetters: Int64 = 10_000

    package init() {}

    /// How far the partitions of the history, the attempts and the audit log reach.
    package func partitions(in executor: any PostgresExecutor) async throws -> [PartitionCare] {
        try await executor.query(Self.partitions).map(Self.partitionCare)
    }

    private static func partitionCare(_ row: PostgresRow) throws -> PartitionCare {
        let (table, days, strays) = try row.decode(String.self, Double?.self, Int64.self)
        return PartitionCare(table: table, daysAhead: days ?? 0, strays: strays)
    }

    /// The id of the worker that is to take samples (the oldest that is active; nil when there is none), and the
    /// database's time.
    func sampler(in executor: any PostgresExecutor) async throws -> (id: Int32?, now: Date?) {
        let rows = try await executor.query(
            "select min(id), clock_timestamp() from job_workers where state = 0 and lease_until > now()")
        guard let row = rows.first else { return (nil, nil) }
        let (id, now) = try row.decode(Int32?.self, Date.self)
        return (id, now)
    }

    /// Takes a sample in one round trip.
    func sample(in executor: any PostgresExecutor) async throws -> FleetSample {
        let results = try await executor.pipeline([
            Self.counts, Self.queues, Self.deadLetters, Self.workers, Self.breakers, Self.tables, Self.partitions,
            Self.server,
        ])
        var sample = FleetSample()
        if let row = results[0].first {
            (sample.running, sample.dueLater, sample.blocked, sample.waitingForJobs, sample.parked) = try row.decode(
                Int64.self, Int64.self, Int64.self, Int64.self, Int64.self)
        }
        sample.queues = try results[1].map { row in
            let (name, isPaused, ready, oldest) = try row.decode(String.self, Bool.self, Int64.self, Double?.self)
            return .init(name: name, isPaused: isPaused, ready: ready, oldestSeconds: max(0, oldest ?? 0))
        }
        sample.deadLetters = try results[2].map { try $0.decode(String.self, Int64.self) }
        sample.workers = try results[3].map { row in
            let (state, count, capacity) = try row.decode(String.self, Int64.self, Int64.self)
            return .init(state: state, count: count, capacity: capacity)
        }
        sample.breakers = try results[4].map { row in
            let (name, state, openSeconds) = try row.decode(String.self, Int16.self, Double?.self)
            let known = BreakerPolicy.State(rawValue: state) ?? .closed
            return (name, known.name, known.admits ? nil : openSeconds ?? 0)
        }
        sample.tables = try results[5].map { row in
            let (name, live, dead, inserts, updates, hot, deletes, bytes, indexes) = try row.decode(
                String.self, Int64.self, Int64.self, Int64.self, Int64.self, Int64.self, Int64.self, Int64.self,
                Int64.self)
            return .init(
                name: name, live: live, dead: dead, inserts: inserts, updates: updates, hotUpdates: hot,
                deletes: deletes, bytes: bytes, indexes: indexes)
        }
        sample.partitions = try results[6].map(Self.partitionCare)
        if let row = results[7].first {
            let (commits, wal, xmin, longest) = try row.decode(Int64?.self, Double?.self, Int64?.self, Double?.self)
            sample.commits = commits ?? 0
            sample.walBytes = wal
            sample.oldestXminAge = xmin ?? 0
            sample.longestTransactionSeconds = max(0, longest ?? 0)
        }
        return sample
    }

    private static var counts: PostgresQuery {
        """
        select (select count(*) from (select from jobs where state = 1 limit \(mostCounted)) as r),
            (select count(*) from (select from jobs where state in (2, 3) limit \(mostCounted)) as s),
            (select count(*) from (
                select from jobs where state = 4 and order_key is not null limit \(mostCounted)) as b),
            (select count(*) from (select distinct job_id from job_dependencies limit \(mostCounted)) as d)
                + (select count(*) from (select from jobs where state = 7 limit \(mostCounted)) as p),
            (select count(*) from (select from jobs where state = 6 limit \(mostCounted)) as l)
        """
    }

    private static var queues: PostgresQuery {
        """
        select q.name, q.paused_at is not null, r.count,
            extract(epoch from clock_timestamp() - r.oldest)::float8
        from job_queues q cross join lateral (
            select count(*) as count, min(greatest(run_at, created_at)) as oldest
            from (select run_at, created_at from jobs where state = 0 and queue_id = q.id limit \(mostCounted)) as ready
        ) as r
        """
    }

    private static var deadLetters: PostgresQuery {
        """
        select k.name, (
            select count(*) from (
                select from job_dead_letters d where d.kind_id = k.id limit \(mostLetters)) as letters)
        from job_kinds k
        """
    }

    private static var workers: PostgresQuery {
        """
        select case when lease_until < now() or state = 2 then 'lost' when state = 1 then 'draining' else 'active' end,
            count(*), sum(capacity)::bigint
        from job_workers where state in (0, 1) or state = 2 and beat_at > now() - interval '1 hour'
        group by 1
        """
    }

    private static var breakers: PostgresQuery {
        "select name, state, extract(epoch from now() - coalesce(opened_at, changed_at))::float8 from breakers"
    }

    private static var tables: PostgresQuery {
        """
        select s.relname::text, s.n_live_tup, s.n_dead_tup, s.n_tup_ins, s.n_tup_upd, s.n_tup_hot_upd, s.n_tup_del,
            pg_total_relation_size(s.relid), (select count(*) from pg_index i where i.indrelid = s.relid)
        from pg_stat_user_tables s
        where s.schemaname = current_schema()
          and s.relname in ('jobs', 'job_dependencies', 'job_dead_letters', 'job_workers', 'breakers',
            'breaker_windows', 'api_keys', 'sealed_secrets', 'idempotency_keys')
        """
    }

    private static var partitions: PostgresQuery {
        """
        select p.relname::text, extract(epoch from max(
                (regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''([^'']+)''\\)'))[1]::timestamptz
            ) - now())::float8 / 86400,
            case p.relname
                when 'job_history' then (select count(*) from (select from job_history_default limit 1000) as h)
                when 'job_attempts' then (select count(*) from (select from job_attempts_default limit 1000) as a)
                else (select count(*) from (select from audit_logs_default limit 1000) as l) end
        from pg_class p join pg_inherits i on i.inhparent = p.oid join pg_class c on c.oid = i.inhrelid
        where p.relnamespace = current_schema()::regnamespace
          and p.relname in ('job_history', 'job_attempts', 'audit_logs')
        group by p.relname
        """
    }

    /// Other people's sessions show their times only to members of pg_read_all_stats; the rest is left out.
    private static var server: PostgresQuery {
        """
        select (select xact_commit from pg_stat_database where datname = current_database()),
            case when pg_is_in_recovery() then null else pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')::float8 end,
            (select max(age(x.held))::bigint from (
                select backend_xmin as held from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid()
                union all select xmin from pg_replication_slots
                union all select transaction from pg_prepared_xacts where database = current_database()) as x),
            (select extract(epoch from max(clock_timestamp() - xact_start))::float8 from pg_stat_activity
                where datname = current_database() and pid <> pg_backend_pid())
        """
    }
}
