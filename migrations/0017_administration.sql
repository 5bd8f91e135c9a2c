-- What administrators see of people and of LiteLLM.
alter table users
    -- Spend in the present budget period as LiteLLM last told it, when that ends, and when it was told.
    add column current_spend   numeric(24, 12),
    add column budget_reset_at timestamptz,
    add column spend_taken_at  timestamptz;
