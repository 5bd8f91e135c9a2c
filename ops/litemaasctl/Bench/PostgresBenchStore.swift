import Foundation
import Shared

/// The SQL that benchmarks need beside the product's own: a scratch database, a backlog, and what the server counted.
struct PostgresBenchStore: Sendable {
    /// Scratch databases are known by this.
    static let prefix = "litemaas_bench_"

    /// Makes a scratch database, and drops those that a killed run left behind.
    func createDatabase(in executor: any PostgresExecutor) async throws -> String {
        let pattern = "\(Self.prefix)%"
        let old = try await executor.query(
            """
            select datname from pg_database d where datname like \(pattern)
            and not exists (select from pg_stat_activity a where a.datname = d.datname)
            """)
        for row in old { try await dropDatabase(try row.string(0), in: executor) }
        let name = Self.prefix + UUID().uuidString.lowercased().replacing("-", with: "").prefix(12)
        try await executor.query("create database \(identifier: name) template template0")
        return name
    }

    func dropDatabase(_ name: String, in executor: any PostgresExecutor) async throws {
        try await executor.query("drop database if exists \(identifier: name) with (force)")
    }

    /// Where the log stands; the start of a window for ``logRecords(from:in:)``.
    func logPosition(in executor: any PostgresExecutor) async throws -> (text: String, bytes: Int64) {
        let rows = try await executor.query(
            "select pg_current_wal_lsn()::text, (pg_current_wal_lsn() - '0/0'::pg_lsn)::bigint")
        return try rows.one(String.self, Int64.self)
    }

    /// Commits and new index entries since a position of the log. Needs the extension pg_walinspect.
    func logRecords(from position: String, in executor: any PostgresExecutor) async throws -> (
        commits: Int64, indexEntries: Int64
    ) {
        try await executor.query("create extension if not exists pg_walinspect")
        let rows = try await executor.query(
            """
            select coalesce(sum(count) filter (where "resource_manager/record_type" = 'Transaction/COMMIT'), 0)::bigint,
                coalesce(sum(count) filter (where "resource_manager/record_type" ~ '^Btree/(INSERT|SPLIT|NEWROOT)'), 0)::bigint
            from pg_get_wal_stats(\(position)::text::pg_lsn, pg_current_wal_flush_lsn(), true)
            """)
        return try rows.one(Int64.self, Int64.self)
    }

    /// The process ids of the server's first process, found from one of its children, or nil for a server elsewhere.
    func backendProcess(in executor: any PostgresExecutor) async throws -> (pid: Int32, isLocal: Bool) {
        let rows = try await executor.query(
            """
            select pg_backend_pid(), inet_server_addr() is null or inet_server_addr() = inet_client_addr()
            """)
        return try rows.one(Int32.self, Bool.self)
    }

    // MARK: The product's tables

    /// Ready jobs, with arguments of about 60 bytes.
    func load(_ count: Int, kind: String, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            insert into jobs (queue_id, kind_id, max_attempts, args)
            select q.id, k.id, 25, jsonb_build_object('n', g, 'to', 'user' || g || '@example.test', 'k', 'abcdefgh')
            from job_queues q, job_kinds k, generate_series(1, \(count)) as g
            where q.name = 'default' and k.name = \(kind)
            """)
    }

    /// What surrounds the ready jobs of a busy system: future ones, running ones of another worker, ended ones.
    func loadSurroundings(
        future: Int, running: Int, finished: Int, kind: String, in executor: any PostgresExecutor
    ) async throws {
        try await executor.pipeline([
            """
            insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
            values (gen_random_uuid(), 'bench', 'bench', 0, 'bench', '{}', '{}', 1, now() + interval '1 day')
            """,
            """
            insert into jobs (queue_id, kind_id, max_attempts, args, state, run_at, attempt, token, worker_id, started_at)
            select q.id, k.id, 25, jsonb_build_object('n', g), case when g <= \(future) then 2 else 1 end,
                now() + interval '1 day' + g * interval '1 millisecond',
                case when g <= \(future) then 0 else 1 end, case when g <= \(future) then 0 else 1 end,
                case when g > \(future) then (select max(id) from job_workers) end, case when g > \(future) then now() end
            from job_queues q, job_kinds k, generate_series(1, \(future + running)) as g
            where q.name = 'default' and k.name = \(kind)
            """,
            """
            insert into job_history (
                id, finished_at, created_at, run_at, started_at, token, queue_id, kind_id, upstream, priority, outcome,
                attempt, max_attempts, errors, args)
            select 1000000000 + g, now(), now(), now(), now(), 1, q.id, k.id, 0, 0, 10, 1, 25, 0, jsonb_build_object('n', g)
            from job_queues q, job_kinds k, generate_series(1, \(finished)) as g
            where q.name = 'default' and k.name = \(kind)
            """,
        ])
    }

    /// Forgets every job.
    func clear(in executor: any PostgresExecutor) async throws {
        try await executor.query("truncate jobs, job_history, job_attempts, job_dead_letters, job_dependencies")
    }

    /// A table as it is after a night of rest: nothing dead, statistics made, the log's full pages not yet due.
    func settle(in client: PostgresClient) async throws {
        try await client.maintain("vacuum analyze jobs", timeout: .seconds(600))
        do {
            try await client.maintain("checkpoint", timeout: .seconds(600))
        } catch let error as PostgresError where error.sqlState == "42501" {
            Console.error("bench: this account may not CHECKPOINT: the figures include whatever the server does then")
        }
    }

    struct TableHealth: Sendable {
        var live: Int64
        var dead: Int64
        var bytes: Int64
        var ready: Int64
    }

    /// Live and dead rows of the live table, and its size with its indexes.
    func health(in executor: any PostgresExecutor) async throws -> TableHealth {
        let rows = try await executor.query(
            """
            select n_live_tup, n_dead_tup, pg_total_relation_size(relid),
                (select count(*) from (select from jobs where state = 0 limit 1000000) as waiting)
            from pg_stat_user_tables where relname = 'jobs' and schemaname = current_schema()
            """)
        let (live, dead, bytes, ready) = try rows.one(Int64.self, Int64.self, Int64.self, Int64.self)
        return TableHealth(live: live, dead: dead, bytes: bytes, ready: ready)
    }

    /// Takes a number and a snapshot, and so keeps the server from cleaning up until the transaction ends.
    func hold(in transaction: PostgresTransaction) async throws {
        try await transaction.query("select txid_current()")
    }

    /// One plain job by one statement and commit: what a caller without coalescing pays.
    static func insertOne(number: Int64) -> PostgresQuery {
        """
        insert into jobs (queue_id, kind_id, max_attempts, args)
        values (1, 1, 25, jsonb_build_object('n', \(number)::bigint, 'to', 'user@example.test', 'k', 'abcdefgh'))
        returning id
        """
    }

    /// Plain jobs by one statement.
    static func insertMany(_ arguments: [PostgresJSON]) -> PostgresQuery {
        """
        insert into jobs (queue_id, kind_id, max_attempts, args)
        select 1, 1, 25, a from unnest(\(arguments)) as t (a) returning id
        """
    }

    static let copyJobs: PostgresQuery = "copy jobs (queue_id, kind_id, max_attempts, args) from stdin"
}
