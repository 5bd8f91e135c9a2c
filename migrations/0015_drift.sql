-- Where LiteLLM is not as it should be: what a walk through its users, teams, keys and models found.

-- One walk.
create table reconciliations (
    id          bigint generated always as identity primary key,
    job_id      bigint not null unique,
    -- Whether it only looked.
    dry_run     boolean not null,
    scope       text[] not null,
    policy      jsonb not null,
    started_at  timestamptz not null default clock_timestamp(),
    -- When everything that was found had been written down; what is to be repaired is repaired after that.
    walked_at   timestamptz,
    finished_at timestamptz,
    -- Whether every page was read and the pages fit together; otherwise nothing was done.
    is_complete boolean not null default false,
    -- Sentences about what was not believed.
    doubts      text[] not null default '{}',
    -- Objects read and findings, by type and kind.
    counts      jsonb not null default '{}'
);
create index reconciliations_started on reconciliations (started_at desc);

-- What a walk has seen in LiteLLM, until it ends. Of a key its hash.
create unlogged table reconciliation_seen (
    reconciliation_id bigint not null references reconciliations (id) on delete cascade,
    object_type       text not null,
    litellm_id        text not null,
    primary key (reconciliation_id, object_type, litellm_id)
);

-- What is different there, once for each object and field as long as it lasts.
create table drift_findings (
    id                bigint generated always as identity primary key,
    -- The last walk that found it.
    reconciliation_id bigint not null references reconciliations (id),
    object_type       text not null check (object_type in ('user', 'team', 'key', 'model')),
    -- Our id where there is a row here, otherwise LiteLLM's.
    object_id         text not null,
    -- LiteLLM's id; of a key its hash.
    litellm_id        text,
    -- For people: an alias, an address, a name.
    name              text,
    -- missing: not there. unknown: bears our mark, without a row here. foreign: does not bear our mark.
    -- differs: a field is not as wanted. alive: is to be refused here and works there.
    kind              text not null check (kind in ('missing', 'unknown', 'foreign', 'differs', 'alive')),
    field             text not null default '',
    -- Safe to show: never a secret.
    wanted            text,
    found             text,
    state             text not null default 'open'
        check (state in ('open', 'repairing', 'repaired', 'adopted', 'revoked', 'ignored', 'gone')),
    first_seen_at     timestamptz not null default clock_timestamp(),
    last_seen_at      timestamptz not null default clock_timestamp(),
    decided_at        timestamptz,
    decided_by        text,
    -- The job that sets it right.
    job_id            bigint,
    -- Since when that job is at work; it does not wait for others without end.
    settling_since    timestamptz,
    -- The job in the queue security that it waits for, and that goes on by itself.
    security_job_id   bigint
);
create unique index drift_findings_lasting on drift_findings (object_type, object_id, kind, field)
    where state in ('open', 'repairing', 'ignored');
create index drift_findings_seen on drift_findings (state, last_seen_at desc, id);
create index drift_findings_reconciliation on drift_findings (reconciliation_id);
