-- Sign-ins under way: any replica can serve the callback of a sign-in that another one started. A row is taken out
-- by the callback that uses it, so a state works once; only its hash is kept.
create table oauth_states (
    state_hash text primary key check (state_hash ~ '^[0-9a-f]{64}$'),
    provider   text not null,
    -- Where the browser goes with its session.
    origin     text not null,
    created_at timestamptz not null default now(),
    expires_at timestamptz not null
);
create index oauth_states_expiry on oauth_states (expires_at);
