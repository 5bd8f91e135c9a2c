-- Keys made many at once, and the labels by which they are found again.

-- Operators' names for what a key is part of, such as a workshop.
alter table api_keys add column labels text[] not null default '{}';
create index api_keys_labels on api_keys using gin (labels) where labels <> '{}';

-- What somebody asked for: a template, and for whom.
create table key_batches (
    id             uuid primary key,
    -- The client's name for it: whoever asks for the same again gets the same batch.
    name           text not null,
    -- As jobs name whoever asked: a user's id, or `service:` and a token's.
    requester      text not null,
    requester_name text not null,
    requested_by   uuid references users (id),
    -- The person who made the program's token.
    person_behind  uuid references users (id),
    template       jsonb not null,
    -- When its keys end: a time that was asked for, or the duration counted from the request.
    expires_at     timestamptz,
    labels         text[] not null,
    -- Whether people are subscribed to the models first.
    subscribes     boolean not null,
    -- What people who are made for the batch may do and spend.
    newcomers      jsonb not null,
    -- SHA-256 of for whom the keys are.
    people_digest  text not null,
    total          integer not null,
    -- The job that makes the keys.
    job_id         bigint,
    cancelled_at   timestamptz,
    created_at     timestamptz not null default now()
);
create unique index key_batches_name on key_batches (requester, lower(name));
create index key_batches_created on key_batches (created_at desc, id);

-- One key that is to be: who it is for, and what became of it.
create table key_batch_items (
    batch_id   uuid not null references key_batches (id) on delete cascade,
    ordinal    integer not null,
    -- Null for a person who is to be made.
    user_id    uuid references users (id),
    username   text not null,
    email      text not null,
    full_name  text,
    key_name   text not null,
    api_key_id uuid references api_keys (id) on delete set null,
    -- Whether the key's job is still to be put in.
    is_due     boolean not null default true,
    -- Why it was not: code, message, and the job that gave it up where one did.
    error      jsonb,
    primary key (batch_id, ordinal)
);
create unique index key_batch_items_key on key_batch_items (api_key_id) where api_key_id is not null;
create index key_batch_items_due on key_batch_items (batch_id, ordinal) where is_due;

-- How far a job is that changes many keys: each chunk notes it with its changes.
create table key_bulk_runs (
    job_id     bigint primary key,
    state      jsonb not null,
    updated_at timestamptz not null default now()
);
