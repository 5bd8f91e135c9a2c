-- The person who made a token: what nobody may decide for themselves, nobody decides by way of a token of theirs.
alter table service_tokens add column created_by_id uuid references users (id);
