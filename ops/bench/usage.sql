-- Half a year of usage as a busy installation has it: 500 users with two keys each, five models, every day.
-- Into an empty database with our tables:  psql "$DATABASE_URL" -f ops/bench/usage.sql
insert into users (id, username, email, oauth_provider, oauth_id)
select md5('user' || n)::uuid, 'bench-' || n, 'bench-' || n || '@example.com', 'bench', 'bench-' || n
from generate_series(1, 500) n;
insert into models (id, name, provider)
select 'bench-' || n, 'Bench ' || n, 'provider-' || n % 2 from generate_series(1, 5) n;
insert into api_keys (id, user_id, name, key_hash, key_prefix, litellm_alias)
select md5('key' || u || '-' || k)::uuid, md5('user' || u)::uuid, 'bench', encode(sha256(('key' || u || '-' || k)::bytea), 'hex'),
    'sk-benc', 'bench_' || u || '_' || k
from generate_series(1, 500) u, generate_series(1, 2) k;
insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix)
select key_hash, id, litellm_alias, key_prefix from api_keys where name = 'bench';
insert into usage_days
select day::date, now(), true, 0, 0, 0, 0, 0, 0, 0, 1
from generate_series(current_date - 180, current_date - 1, interval '1 day') day;
insert into usage_daily
select d.day, k.key_hash, m.id, m.provider, k.user_id, k.id, k.litellm_alias, (random() * 10)::numeric(24, 12), 400, 600,
    1000, 10, 9, 1
from usage_days d, api_keys k, models m
where k.name = 'bench' and m.id like 'bench-%' order by d.day, k.key_hash, m.id;
vacuum analyze usage_daily, usage_weeks, usage_day_models, users, api_keys, models;
