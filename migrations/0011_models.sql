-- Models that administrators keep here, how models go, and which of their deployments are gone for good.

-- What LiteLLM should have of a model. Models without a row are LiteLLM's own and only listed here; what is only ours of
-- any model (description, restriction) is in `models`.
create table model_specs (
    model_id        text primary key references models (id),
    -- LiteLLM's `model_info.id`: chosen by us, or that of a deployment made in LiteLLM that an administrator adopted.
    deployment_id   text not null unique,
    is_adopted      boolean not null default false,
    -- Other deployments of the name, made in LiteLLM, that are to go with it.
    further_ids     text[] not null default '{}',
    wanted          text not null default 'present' check (wanted in ('present', 'absent')),
    -- The parameters; null for a model that was never kept here and is only to be deleted.
    spec            jsonb check (jsonb_typeof(spec) = 'object'),
    -- The version that brought the provider's key; 0 when we have none. LiteLLM never shows it, so only these tell
    -- whether it was sent.
    key_version     bigint not null default 0,
    key_applied     bigint not null default 0,
    sync_status     sync_status not null default 'pending',
    version_wanted  bigint not null default 1,
    version_applied bigint not null default 0,
    sync_error      jsonb,
    last_job_id     bigint,
    created_at      timestamptz not null default now(),
    updated_at      timestamptz not null default now(),
    check (spec is not null or wanted = 'absent')
);

-- Deployments that were deleted here. A replica of LiteLLM that still lists one, or a create that arrives late, does not
-- bring its model back.
create table deleted_deployments (
    id         text primary key,
    model_id   text not null,
    deleted_at timestamptz not null default now()
);
create index deleted_deployments_model on deleted_deployments (model_id);

-- Set while a model is gone because somebody deleted it here.
alter table models add column deleted_at timestamptz;

-- The job that takes an unavailable model out of subscriptions and keys. The row stays until the model is back.
create table model_retirements (
    model_id   text primary key references models (id),
    job_id     bigint not null,
    due_at     timestamptz not null,
    created_at timestamptz not null default now()
);
