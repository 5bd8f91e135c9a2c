import Shared

/// The yardstick: a job queue of the same design with nothing but what the work needs, in tables of its own. A small
/// live table with partial indexes, claims by row address that go on where the last one stopped, completions that move
/// to a partitioned history. No upstream classes, objects, breakers, unique jobs or people: only the server's own limit.
struct PostgresRawQueueStore: Sendable {
    static let schema: PostgresQuery = """
        drop schema if exists bare cascade;
        create schema bare;
        create table bare.job (
            id bigint generated always as identity primary key,
            queue_id int not null, priority smallint not null default 0, state smallint not null default 0,
            attempt smallint not null default 0, max_attempts smallint not null default 25, kind_id int not null,
            worker_id int, run_at timestamptz not null default now(), created_at timestamptz not null default now(),
            started_at timestamptz, unique_key bytea, args jsonb not null
        ) with (
            autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 5000,
            autovacuum_analyze_scale_factor = 0.1, autovacuum_vacuum_cost_delay = 0
        );
        create index on bare.job (queue_id, priority, id) where state = 0;
        create index on bare.job (run_at) where state = 2;
        create unique index on bare.job (unique_key) where unique_key is not null;
        create index on bare.job (worker_id) where state = 1;
        create table bare.done (
            like bare.job, finished_at timestamptz not null default now(), outcome smallint not null, error jsonb
        ) partition by range (finished_at);
        create table bare.done_all partition of bare.done for values from ('2000-01-01') to ('2200-01-01');
        create index on bare.done (id);
        """

    static func load(_ count: Int) -> PostgresQuery {
        """
        insert into bare.job (queue_id, kind_id, args)
        select 1, 1, jsonb_build_object('n', g, 'to', 'user' || g || '@example.test', 'k', 'abcdefgh')
        from generate_series(1, \(count)) as g
        """
    }

    static func insert(_ arguments: [PostgresJSON]) -> PostgresQuery {
        "insert into bare.job (queue_id, kind_id, args) select 1, 1, a from unnest(\(arguments)) as t (a) returning id"
    }

    /// Gives id, priority, kind, attempt and arguments.
    static func claim(limit: Int, worker: Int32, after: (priority: Int16, id: Int64)) -> PostgresQuery {
        """
        update bare.job set state = 1, attempt = attempt + 1, worker_id = \(worker), started_at = now()
        where ctid = any (array (
            select ctid from bare.job
            where queue_id = 1 and state = 0 and (priority, id) > (\(after.priority), \(after.id))
            order by priority, id limit \(limit) for update skip locked))
        returning id, priority, kind_id, attempt, args
        """
    }

    static func complete(ids: [Int64], attempts: [Int16]) -> PostgresQuery {
        """
        with ended as (
            delete from bare.job using unnest(
                \(ids), \(attempts), \([Int16](repeating: 0, count: ids.count)),
                \([PostgresJSON?](repeating: nil, count: ids.count))) as t (id, attempt, outcome, error)
            where job.id = t.id and job.state + 0 = 1 and job.attempt = t.attempt
            returning job.*, t.outcome, t.error
        )
        insert into bare.done (
            id, queue_id, priority, state, attempt, max_attempts, kind_id, worker_id, run_at, created_at, started_at,
            unique_key, args, finished_at, outcome, error)
        select id, queue_id, priority, state, attempt, max_attempts, kind_id, worker_id, run_at, created_at, started_at,
            unique_key, args, now(), outcome, error
        from ended returning id
        """
    }

    static let settle: [PostgresQuery] = ["vacuum analyze bare.job"]
    static let checkpoint: PostgresQuery = "checkpoint"
}
