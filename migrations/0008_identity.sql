-- Who may come in: sessions that can be ended, refresh tokens, service tokens, roles by their source, request limits.

-- What the callback of an OpenID Connect sign-in has to prove; as short-lived as the row.
alter table oauth_states
    add column pkce_verifier text,
    add column nonce         text,
    -- Whether the client asked for a refresh token.
    add column wants_refresh boolean not null default false;

-- `roles` stays what counts: those that the identity provider gives, replaced at each sign-in, and those that an
-- administrator gave by hand.
alter table users
    add column provider_roles text[] not null default '{}',
    add column granted_roles  text[] not null default '{}',
    add column deactivated_at timestamptz;
update users set granted_roles = roles where oauth_provider = 'ahead';
update users set provider_roles = roles where oauth_provider not in ('ahead', 'system');

-- One sign-in. A session token names its row, which is read with every request: a row that is revoked or gone ends it.
create table auth_sessions (
    id            uuid primary key,
    user_id       uuid not null references users (id) on delete cascade,
    provider      text not null,
    ip_address    text,
    user_agent    text,
    created_at    timestamptz not null default now(),
    last_seen_at  timestamptz not null default now(),
    expires_at    timestamptz not null,
    revoked_at    timestamptz,
    revoke_reason text
);
create index auth_sessions_user on auth_sessions (user_id, created_at desc);
create index auth_sessions_expiry on auth_sessions (expires_at);

-- A refresh token works once. Used ones stay as long as their session, so that a second use shows that it was stolen.
create table refresh_tokens (
    token_hash text primary key check (token_hash ~ '^[0-9a-f]{64}$'),
    session_id uuid not null references auth_sessions (id) on delete cascade,
    created_at timestamptz not null default now(),
    used_at    timestamptz
);
create index refresh_tokens_session on refresh_tokens (session_id);

-- Tokens of programs. Scopes are permissions.
create table service_tokens (
    id           uuid primary key default gen_random_uuid(),
    name         text not null,
    token_hash   text not null unique check (token_hash ~ '^[0-9a-f]{64}$'),
    token_prefix text not null,
    scopes       text[] not null check (cardinality(scopes) > 0),
    created_by   text not null,
    created_at   timestamptz not null default now(),
    expires_at   timestamptz,
    last_used_at timestamptz,
    revoked_at   timestamptz,
    revoked_by   text
);

-- Requests taken out of a limit, by the whole fleet: a process takes a few at once and counts them down by itself.
-- Losing the table in a crash costs at most one window.
create unlogged table rate_limits (
    key          text primary key,
    window_start bigint not null,
    taken        integer not null,
    -- What the last statement got.
    granted      integer not null
) with (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);

-- Since then LiteLLM refuses the key because its owner is deactivated; null once it takes it again.
alter table api_keys add column blocked_at timestamptz;

-- The audit log by what was done, and all that one request has led to.
create index audit_logs_action on audit_logs (action, created_at);
create index audit_logs_request on audit_logs (request_id, created_at) where request_id is not null;
