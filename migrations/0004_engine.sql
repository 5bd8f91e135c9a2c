-- The engine at full strength: schedules, limits, children, deadlines, retention.
-- Two more states of a live job, both holding its object: 6 parked by a limit on its kind, 7 waiting for its children.
-- Workers of the previous version make neither and go on beside the new ones.

create unique index jobs_order_holder_next on jobs (order_key)
    where order_key is not null and state in (0, 1, 3, 5, 6, 7);
drop index jobs_order_holder;
alter index jobs_order_holder_next rename to jobs_order_holder;
-- Each holds only the few rows of its own feature; the others pay nothing for it.
create index jobs_parked on jobs (kind_id, priority, id) where state = 6;
create index jobs_parents on jobs (id) where state = 7;
create index jobs_children on jobs (parent_id, id) where parent_id is not null;
create index jobs_deadline on jobs (deadline_at) where deadline_at is not null;
create index job_history_children on job_history (parent_id, id) where parent_id is not null;
create index job_dead_letters_children on job_dead_letters (parent_id, id) where parent_id is not null;

-- One row per job that has children, as long as it lives. Counts are looked up from time to time, not kept by the
-- children: a row that every child updates would serialise them.
create table job_families (
    parent_id  bigint primary key,
    -- 0 all children must succeed, 1 some may fail
    policy     smallint not null default 0,
    -- Children put in so far. A repeated attempt goes on behind them.
    enqueued   integer not null default 0,
    created_at timestamptz not null default now(),
    -- The next look at the children.
    look_at    timestamptz not null default now(),
    succeeded  integer not null default 0,
    failed     integer not null default 0,
    cancelled  integer not null default 0
) with (fillfactor = 50);

-- Limits that hold for the whole fleet. No row: no limit, and a claim asks nothing.
create table job_limits (
    -- 0 queue, 1 kind
    scope         smallint not null check (scope in (0, 1)),
    -- job_queues.id or job_kinds.id
    target        smallint not null,
    max_running   integer check (max_running >= 0),
    rate_count    integer check (rate_count >= 0),
    rate_seconds  integer check (rate_seconds between 1 and 86400),
    -- The running period: it begins with the first start after the one before it has ended.
    period_start  timestamptz,
    period_starts integer not null default 0,
    changed_by    text not null,
    changed_at    timestamptz not null default now(),
    primary key (scope, target),
    check ((rate_count is null) = (rate_seconds is null)),
    check (max_running is not null or rate_count is not null)
) with (fillfactor = 50);

create table job_schedules (
    id             integer generated always as identity primary key,
    name           text not null unique,
    description    text not null default '',
    kind           text not null,
    args           jsonb not null,
    cron           text not null,
    time_zone      text not null,
    -- What becomes of ticks that could not start in time: 0 none of them, 1 one run for all, 2 each, up to the limit.
    catch_up       smallint not null check (catch_up in (0, 1, 2)),
    catch_up_limit integer not null check (catch_up_limit between 1 and 1000),
    jitter_seconds integer not null check (jitter_seconds between 0 and 86400),
    enabled        boolean not null default true,
    disabled_by    text,
    disable_reason text,
    -- The oldest tick that has neither run nor been given up, and when it is to be looked at.
    next_tick      timestamptz,
    look_at        timestamptz,
    last_tick      timestamptz,
    last_job_id    bigint,
    -- Null while the row is as the programs made it: they keep such rows at their settings.
    changed_by     text,
    changed_at     timestamptz not null default now(),
    created_at     timestamptz not null default now()
) with (fillfactor = 50);
create index job_schedules_look on job_schedules (look_at) where enabled;

-- One row per tick: whichever process comes first writes it together with the job, so that no leader is needed.
create table job_schedule_ticks (
    schedule_id integer not null references job_schedules (id) on delete cascade,
    tick        timestamptz not null,
    -- 0 run, 1 given up: the run before it had not ended, 2 given up: nobody was there in time, 3 run by a person
    outcome     smallint not null,
    -- Ticks that this row stands for; more than one where they were caught up with in one run or given up together.
    ticks       integer not null default 1,
    job_id      bigint,
    decided_by  text,
    decided_at  timestamptz not null default now(),
    primary key (schedule_id, tick)
);
create index job_schedule_ticks_age on job_schedule_ticks (decided_at);

-- How many jobs per upstream class this worker lets run at once, as its own measurements say; for people.
alter table job_workers add column upstream_limits jsonb;

-- Drops the daily partitions of one table that end before a day, and what of that time lies in its default partition.
-- Returns how many partitions went.
create function job_partitions_drop(p_parent text, p_before date) returns integer
language plpgsql as $$
declare
    partition_name text;
    dropped integer := 0;
begin
    if p_parent not in ('job_history', 'job_attempts') then
        raise exception 'not a partitioned table of the job engine: %', p_parent;
    end if;
    perform pg_advisory_xact_lock(hashtextextended('job_partitions', 0));
    for partition_name in
        select c.relname from pg_inherits i
        join pg_class c on c.oid = i.inhrelid join pg_class p on p.oid = i.inhparent
        where p.relname = p_parent and p.relnamespace = current_schema()::regnamespace
          and c.relname ~ '_\d{8}$' and to_date(right(c.relname, 8), 'YYYYMMDD') < p_before
    loop
        execute format('drop table %I', partition_name);
        dropped := dropped + 1;
    end loop;
    execute format(
        'delete from %I where %I < %L', p_parent || '_default',
        case p_parent when 'job_history' then 'finished_at' else 'ended_at' end,
        p_before::timestamp at time zone 'UTC');
    return dropped;
end $$;
