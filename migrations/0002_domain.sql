-- What should be true (desired state) and how far LiteLLM agrees with it. `sync_*`: pending = not there yet,
-- synced = read back and equal, failed = given up (see sync_error), drifted = LiteLLM was changed behind our back.
create domain sync_status as text check (value in ('pending', 'synced', 'failed', 'drifted'));

create table users (
    id               uuid primary key default gen_random_uuid(),
    username         text not null,
    email            text not null,
    full_name        text,
    oauth_provider   text not null,
    oauth_id         text not null,
    roles            text[] not null default '{user}',
    is_active        boolean not null default true,
    max_budget       numeric(14, 4),
    tpm_limit        bigint,
    rpm_limit        bigint,
    budget_duration  text,
    sync_status      sync_status not null default 'pending',
    version_wanted   bigint not null default 1,
    version_applied  bigint not null default 0,
    sync_error       jsonb,
    last_job_id      bigint,
    last_login_at    timestamptz,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);
create unique index users_username on users (lower(username));
create unique index users_email on users (lower(email));
create unique index users_oauth on users (oauth_provider, oauth_id);

create table teams (
    id               uuid primary key default gen_random_uuid(),
    name             text not null,
    description      text,
    max_budget       numeric(14, 4),
    budget_duration  text,
    tpm_limit        bigint,
    rpm_limit        bigint,
    -- Empty means every model, as in LiteLLM.
    allowed_models   text[] not null default '{}',
    metadata         jsonb not null default '{}',
    is_active        boolean not null default true,
    created_by       uuid references users (id),
    sync_status      sync_status not null default 'pending',
    version_wanted   bigint not null default 1,
    version_applied  bigint not null default 0,
    sync_error       jsonb,
    last_job_id      bigint,
    created_at       timestamptz not null default now(),
    updated_at       timestamptz not null default now()
);

create table team_members (
    team_id   uuid not null references teams (id) on delete cascade,
    user_id   uuid not null references users (id) on delete cascade,
    role      text not null default 'member' check (role in ('admin', 'member', 'viewer')),
    joined_at timestamptz not null default now(),
    primary key (team_id, user_id)
);
create index team_members_user on team_members (user_id);

-- The actor of what the system itself does; it can never sign in.
insert into users (id, username, email, full_name, oauth_provider, oauth_id, roles, is_active, sync_status)
values ('00000000-0000-0000-0000-000000000001', 'system', 'system@litemaas.internal', 'LiteMaaS', 'system', 'system',
        '{}', false, 'synced');
insert into teams (id, name, description, max_budget, budget_duration, tpm_limit, rpm_limit, metadata, created_by)
values ('a0000000-0000-4000-8000-000000000001', 'Default Team', 'Everybody is a member.', 10000, 'monthly', 50000, 1000,
        '{"default_team": true}', '00000000-0000-0000-0000-000000000001');

-- A model is LiteLLM's public `model_name`; several deployments may serve it.
create table models (
    id                    text primary key,
    name                  text not null,
    provider              text not null,
    description           text,
    backend_model_name    text,
    api_base              text,
    context_length        integer,
    max_tokens            integer,
    input_cost_per_token  numeric(24, 15),
    output_cost_per_token numeric(24, 15),
    tpm                   bigint,
    rpm                   bigint,
    supports_vision       boolean not null default false,
    supports_function_calling          boolean not null default false,
    supports_parallel_function_calling boolean not null default false,
    supports_tool_choice  boolean not null default false,
    supports_streaming    boolean not null default true,
    features              text[] not null default '{}',
    availability          text not null default 'available' check (availability in ('available', 'unavailable')),
    restricted_access     boolean not null default false,
    -- Complete listings in a row that did not show this model.
    absences              integer not null default 0,
    seen_at               timestamptz not null default now(),
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now()
);
create table model_deployments (
    id         text primary key,
    model_id   text not null references models (id) on delete cascade,
    provider   text not null,
    backend_model_name text,
    db_model   boolean not null default false,
    seen_at    timestamptz not null default now()
);
create index model_deployments_model on model_deployments (model_id);

create table model_syncs (
    id          bigint generated always as identity primary key,
    job_id      bigint not null,
    finished_at timestamptz not null default now(),
    success     boolean not null,
    total       integer not null,
    added       integer not null,
    updated     integer not null,
    unavailable integer not null,
    problems    jsonb not null default '[]'
);

create table api_keys (
    id                    uuid primary key default gen_random_uuid(),
    user_id               uuid not null references users (id),
    team_id               uuid references teams (id),
    name                  text,
    key_hash              text not null unique check (key_hash ~ '^[0-9a-f]{64}$'),
    key_prefix            text not null,
    litellm_alias         text not null unique,
    metadata              jsonb not null default '{}',
    tags                  text[] not null default '{}',
    permissions           jsonb not null default '{}',
    max_budget            numeric(14, 4),
    soft_budget           numeric(14, 4),
    budget_duration       text,
    tpm_limit             bigint,
    rpm_limit             bigint,
    max_parallel_requests integer,
    model_max_budget      jsonb,
    model_rpm_limit       jsonb,
    model_tpm_limit       jsonb,
    -- Spend as LiteLLM last told us, and when.
    current_spend         numeric(24, 12),
    spend_taken_at        timestamptz,
    expires_at            timestamptz,
    -- The wish: false from the moment somebody revokes or deletes it. Refused locally from then on.
    is_active             boolean not null default true,
    revoke_requested_at   timestamptz,
    revoke_reason         text,
    -- The fact: LiteLLM was read back and refuses it.
    revoked_at            timestamptz,
    deleted_at            timestamptz,
    -- No create attempt can reach LiteLLM after this; only then may the revoked key be deleted there.
    create_deadline_at    timestamptz,
    last_used_at          timestamptz,
    sync_status           sync_status not null default 'pending',
    version_wanted        bigint not null default 1,
    version_applied       bigint not null default 0,
    sync_error            jsonb,
    warnings              jsonb not null default '[]',
    last_job_id           bigint,
    created_at            timestamptz not null default now(),
    updated_at            timestamptz not null default now()
);
create index api_keys_user on api_keys (user_id, created_at desc, id);

create table api_key_models (
    api_key_id uuid not null references api_keys (id) on delete cascade,
    model_id   text not null references models (id),
    primary key (api_key_id, model_id)
);
create index api_key_models_model on api_key_models (model_id);

-- Every hash a key ever had: usage of rotated and revoked keys stays attributed.
create table api_key_hashes (
    key_hash   text primary key,
    api_key_id uuid not null references api_keys (id) on delete cascade,
    created_at timestamptz not null default now()
);
create index api_key_hashes_key on api_key_hashes (api_key_id);

-- The only place where a secret rests, and only sealed (AES-GCM). Deleted once `delete_after` has passed.
create table sealed_secrets (
    purpose      text not null,
    row_id       text not null,
    sealed       bytea not null,
    delete_after timestamptz,
    created_at   timestamptz not null default now(),
    primary key (purpose, row_id)
);
create index sealed_secrets_due on sealed_secrets (delete_after) where delete_after is not null;

create table idempotency_keys (
    caller       text not null,
    method       text not null,
    path         text not null,
    key          text not null,
    body_hash    text not null,
    status       integer,
    -- The stored answer holds no secret.
    response     jsonb,
    headers      jsonb,
    created_at   timestamptz not null default now(),
    primary key (caller, method, path, key)
);
create index idempotency_keys_age on idempotency_keys (created_at);

-- Append only: see the trigger. Partitioned by month.
create table audit_logs (
    id            bigint generated always as identity,
    created_at    timestamptz not null default now(),
    user_id       uuid,
    actor         text not null,
    action        text not null,
    resource_type text not null,
    resource_id   text,
    old_values    jsonb,
    new_values    jsonb,
    ip_address    text,
    user_agent    text,
    request_id    text,
    job_id        bigint,
    success       boolean not null default true,
    error_message text,
    metadata      jsonb not null default '{}',
    primary key (created_at, id)
) partition by range (created_at);
create index audit_logs_user on audit_logs (user_id, created_at);
create index audit_logs_resource on audit_logs (resource_type, resource_id, created_at);
create table audit_logs_default partition of audit_logs default;

create function audit_partitions_ensure(first_month date, months integer) returns integer
language plpgsql as $$
declare
    month date;
    name  text;
    made  integer := 0;
begin
    perform pg_advisory_xact_lock(hashtextextended('audit_partitions', 0));
    for month in select (date_trunc('month', first_month) + make_interval(months => n))::date
                 from generate_series(0, months - 1) as n loop
        name := 'audit_logs_' || to_char(month, 'YYYYMM');
        continue when to_regclass(quote_ident(name)) is not null;
        -- Rows that fell into the default partition stay there: the log is append only.
        if exists (select from audit_logs_default where created_at >= month::timestamp at time zone 'UTC'
                   and created_at < (month + interval '1 month') at time zone 'UTC') then
            continue;
        end if;
        execute format(
            'create table %I partition of audit_logs for values from (%L) to (%L)', name,
            month::timestamp at time zone 'UTC', (month + interval '1 month') at time zone 'UTC');
        made := made + 1;
    end loop;
    return made;
end $$;
select audit_partitions_ensure((now() at time zone 'UTC')::date, 3);

create function audit_logs_append_only() returns trigger language plpgsql as $$
begin
    raise exception 'audit_logs is append only' using errcode = '42501';
end $$;
create trigger audit_logs_append_only before update or delete on audit_logs
    for each row execute function audit_logs_append_only();

-- One row per UTC day, replaced as a whole; a day without any use has a row too.
create table usage_days (
    day           date primary key,
    fetched_at    timestamptz not null,
    -- True once the day is over and the grace for late spend has passed.
    is_complete   boolean not null,
    spend         numeric(24, 12) not null,
    prompt_tokens bigint not null,
    completion_tokens bigint not null,
    total_tokens  bigint not null,
    requests      bigint not null,
    successful_requests bigint not null,
    failed_requests bigint not null,
    job_id        bigint not null
);
create table usage_daily (
    day               date not null references usage_days (day) on delete cascade,
    key_hash          text not null,
    model_id          text not null,
    provider          text not null,
    -- Resolved when stored, from the hashes our keys ever had; null for foreign keys.
    user_id           uuid,
    api_key_id        uuid,
    key_alias         text,
    spend             numeric(24, 12) not null,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    total_tokens      bigint not null,
    requests          bigint not null,
    successful_requests bigint not null,
    failed_requests   bigint not null,
    primary key (day, key_hash, model_id, provider)
);
create index usage_daily_user on usage_daily (user_id, day) where user_id is not null;
create index usage_daily_key on usage_daily (api_key_id, day) where api_key_id is not null;
