-- What operators ask of the engine: draining one worker, bulk actions.

-- Workers of the previous version do not look at it and go on.
alter table job_workers
    add column drain_requested_at timestamptz,
    add column drain_requested_by text;

-- How far a bulk action is: written in the transaction of each chunk, so that a repeated attempt goes on behind the
-- last job that was dealt with.
create table job_bulk_runs (
    job_id       bigint primary key,
    after_id     bigint not null default 0,
    -- Null until counted.
    total        bigint,
    changed      bigint not null default 0,
    wrong_state  bigint not null default 0,
    protected    bigint not null default 0,
    key_taken    bigint not null default 0,
    gone         bigint not null default 0,
    failed       bigint not null default 0,
    -- The first thousand that were refused.
    refused_ids  bigint[] not null default '{}',
    is_done      boolean not null default false,
    updated_at   timestamptz not null default now()
) with (fillfactor = 50);
create index job_bulk_runs_age on job_bulk_runs (updated_at);
