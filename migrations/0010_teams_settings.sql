-- What administrators set while the system runs, teams over REST, and users whom LiteLLM knows under another id.

-- One document for each key; what is not there has the value that the configuration or the program gives.
create table system_settings (
    key        text primary key,
    value      jsonb not null,
    updated_at timestamptz not null default now(),
    updated_by text not null
);

alter table teams
    -- LiteLLM's name of the team where it differs from ours.
    add column alias          text,
    -- Spend as LiteLLM last told it, and when.
    add column current_spend  numeric(24, 12),
    add column spend_taken_at timestamptz,
    add column deleted_at     timestamptz;
-- The name of a deleted team is free again.
create unique index teams_name on teams (lower(name)) where is_active;

-- Who left a team and may still be in LiteLLM's: a row goes once LiteLLM was read back without them.
create table team_departures (
    team_id uuid not null references teams (id) on delete cascade,
    user_id uuid not null references users (id) on delete cascade,
    left_at timestamptz not null default now(),
    primary key (team_id, user_id)
);
create index team_departures_user on team_departures (user_id);
-- Live keys of a team, and of a member in it.
create index api_keys_team on api_keys (team_id, user_id) where is_active;

alter table users
    -- LiteLLM's user of another id that holds this user's address: what was read of it, and when. Null without one.
    add column conflict       jsonb,
    -- A person has decided that LiteLLM's user of this row goes without the address, which the other one keeps.
    add column separate_email boolean not null default false;
create index users_not_synced on users (sync_status, id) where sync_status <> 'synced';
