-- What administrators see of people and of LiteLLM.
alter table users
    -- Spend in the present budget period as LiteLLM last told it, when that ends, and when it was told.
    add column current_spend   numeric(24, 12),
    add column budget_reset_at timestamptz,
    add column spend_taken_at  timestamptz,
    -- When somebody last wanted other limits; those that many users get at once count from when that was asked for.
    add column limits_changed_at timestamptz;

-- Revoked keys that LiteLLM has not been seen to refuse: few, and looked for every few seconds.
create index api_keys_unverified on api_keys (revoke_requested_at) where not is_active and revoked_at is null;

-- Live keys that LiteLLM did not take: few, and counted with the alerts every few seconds.
create index api_keys_not_synced on api_keys (sync_status, id) where sync_status = 'failed' and is_active;

-- How far a job is with all subscriptions: what it has moved, or forgiven.
create index subscription_status_history_job on subscription_status_history (job_id, subscription_id)
    where job_id is not null;
