-- Who may use which model, and what that does to keys.

-- A person's right to one model. `status` moves only as SubscriptionStatus allows; every move has its row in the history.
create table subscriptions (
    id                uuid primary key default gen_random_uuid(),
    user_id           uuid not null references users (id),
    model_id          text not null references models (id),
    status            text not null
        check (status in ('pending', 'active', 'suspended', 'denied', 'inactive', 'expired', 'cancelled')),
    -- What brought it there: `request`, `approval`, `restriction`, `quota`, `retirement`, `expiry`, ...
    status_cause      text not null,
    status_reason     text,
    status_changed_at timestamptz not null default now(),
    status_changed_by uuid references users (id),
    quota_requests    bigint not null check (quota_requests >= 0),
    quota_tokens      bigint not null check (quota_tokens >= 0),
    used_requests     bigint not null default 0,
    used_tokens       bigint not null default 0,
    -- When the use was last counted; null before the first time.
    usage_taken_at    timestamptz,
    -- When the use starts anew: the first of a month, UTC.
    reset_at          timestamptz not null default ((date_trunc('month', now() at time zone 'UTC') + interval '1 month')
        at time zone 'UTC'),
    expires_at        timestamptz,
    metadata          jsonb not null default '{}',
    created_at        timestamptz not null default now(),
    updated_at        timestamptz not null default now(),
    unique (user_id, model_id)
);
create index subscriptions_model on subscriptions (model_id, status, id);
create index subscriptions_status on subscriptions (status, status_changed_at desc, id);
create index subscriptions_expiry on subscriptions (expires_at)
    where expires_at is not null and status in ('pending', 'active', 'suspended');

create table subscription_status_history (
    id              bigint generated always as identity primary key,
    subscription_id uuid not null references subscriptions (id) on delete cascade,
    old_status      text,
    new_status      text not null,
    cause           text not null,
    reason          text,
    -- Null for what no person did.
    changed_by      uuid references users (id),
    job_id          bigint,
    changed_at      timestamptz not null default clock_timestamp()
);
create index subscription_status_history_subscription on subscription_status_history (subscription_id, id);

-- Keys made before subscriptions existed keep their models.
insert into subscriptions (user_id, model_id, status, status_cause, quota_requests, quota_tokens)
select distinct k.user_id, m.model_id, 'active', 'backfill', 10000, 1000000
from api_keys k join api_key_models m on m.api_key_id = k.id
where k.is_active;
insert into subscription_status_history (subscription_id, new_status, cause)
select id, status, status_cause from subscriptions;

alter table api_keys
    -- Set when the key was asked for by naming one subscription, as older clients do.
    add column subscription_id uuid references subscriptions (id) on delete set null,
    add column rotated_at      timestamptz,
    add column budget_reset_at timestamptz,
    -- Until then a call that lets the key do more may still reach LiteLLM late.
    add column late_calls_until timestamptz;

-- Every secret that a key ever had. `current` is the one of api_keys.key_hash; `next` is being rotated in; `old` was
-- rotated out and is refused from `retire_at` on.
alter table api_key_hashes
    add column litellm_alias      text,
    add column key_prefix         text,
    add column role               text not null default 'current' check (role in ('current', 'next', 'old')),
    add column create_deadline_at timestamptz,
    add column retire_at          timestamptz,
    -- LiteLLM was read back and does not take it any more, for good.
    add column gone_at            timestamptz;
update api_key_hashes h set litellm_alias = k.litellm_alias, key_prefix = k.key_prefix
from api_keys k where k.id = h.api_key_id;
alter table api_key_hashes alter column litellm_alias set not null, alter column key_prefix set not null;
create unique index api_key_hashes_current on api_key_hashes (api_key_id) where role = 'current';
create unique index api_key_hashes_next on api_key_hashes (api_key_id) where role = 'next';
