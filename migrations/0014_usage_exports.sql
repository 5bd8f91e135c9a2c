-- Files of usage, and single requests where the operator keeps them.

-- A file that a job writes, as it is too large for one answer. Deleted with its chunks once `expires_at` has passed.
create table usage_exports (
    id           uuid primary key default gen_random_uuid(),
    -- Who asked for it; null for a program.
    owner_id     uuid references users (id),
    -- What is added up, for whom and in which form; see `UsageExportRequest`.
    request      jsonb not null,
    status       text not null default 'pending' check (status in ('pending', 'ready', 'failed')),
    row_count    bigint,
    byte_count   bigint,
    -- `{code, message}` of the job that gave it up.
    error        jsonb,
    job_id       bigint,
    created_at   timestamptz not null default now(),
    finished_at  timestamptz,
    expires_at   timestamptz not null
);
create index usage_exports_expiry on usage_exports (expires_at);

-- The file in parts, so that neither writing nor sending it holds more than one of them.
create table usage_export_chunks (
    export_id uuid not null references usage_exports (id) on delete cascade,
    number    integer not null,
    bytes     bytea not null check (octet_length(bytes) <= 1048576),
    primary key (export_id, number)
);

-- Single calls to models, taken over from LiteLLM's spend log only where USAGE_REQUEST_LOG is on. No prompts, no answers.
create table usage_logs (
    request_id        text primary key,
    started_at        timestamptz not null,
    key_hash          text not null,
    -- Resolved when stored, as in usage_daily.
    user_id           uuid,
    api_key_id        uuid,
    model_id          text not null,
    spend             numeric(24, 12) not null,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    total_tokens      bigint not null,
    status            text not null check (status in ('success', 'failure')),
    duration_ms       bigint
);
create index usage_logs_time on usage_logs (started_at, request_id);
create index usage_logs_user on usage_logs (user_id, started_at, request_id) where user_id is not null;
create index usage_logs_key on usage_logs (api_key_id, started_at, request_id) where api_key_id is not null;

-- One row: until when the spend log was taken over.
create table usage_log_state (
    is_only     boolean primary key default true check (is_only),
    taken_until timestamptz not null,
    updated_at  timestamptz not null default now()
);
