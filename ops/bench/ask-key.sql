-- For pgbench: what POST /api/v1/api-keys asks of the server, with nothing around it. It changes only with that.
\set n random(1, :users)
select id as uid, gen_random_uuid() as kid from bench_users where n = :n \gset
select id, username, email, full_name, oauth_provider, oauth_id, roles, is_active, max_budget, budget_duration,
    tpm_limit, rpm_limit, sync_status, version_wanted, version_applied, sync_error, last_job_id, created_at, updated_at
from users where id = any (array[:uid::uuid]);
begin isolation level read committed;
select id, username, email, full_name, oauth_provider, oauth_id, roles, is_active, max_budget, budget_duration,
    tpm_limit, rpm_limit, sync_status, version_wanted, version_applied, sync_error, last_job_id, created_at, updated_at
from users where id = :uid::uuid for update;
select count(*) as n from api_keys k
where k.user_id = :uid::uuid and k.is_active and not (k.sync_status = 'failed' and k.version_applied = 0)
    and (k.expires_at is null or k.expires_at > now());
select id, provider, description, backend_model_name, api_base, context_length, max_tokens, input_cost_per_token,
    output_cost_per_token, tpm, rpm, supports_vision, supports_function_calling, supports_parallel_function_calling,
    supports_tool_choice, supports_streaming, features, availability, restricted_access, absences, created_at, updated_at
from models where id = any (array[:model]) order by id;
select id, name, description, max_budget, budget_duration, tpm_limit, rpm_limit, allowed_models, metadata, is_active,
    created_by, sync_status, version_wanted, version_applied, sync_error, last_job_id, created_at, updated_at
from teams t
where id = 'a0000000-0000-4000-8000-000000000001' and (id = 'a0000000-0000-4000-8000-000000000001'
    or exists (select from team_members m where m.team_id = t.id and m.user_id = :uid::uuid));
select model_id from subscriptions
where user_id = :uid::uuid and model_id = any (array[:model]) and status = 'active' order by model_id;
select value::text as value from system_settings where key = 'api_key_defaults';
select job_id as jid, coalesced as co, job_state as js from job_enqueue(
    :queue, :kind, 1::smallint, 0::smallint, 25::smallint, now(), null, 'key.create:' || :kid, 'key:' || :kid, 'api_key',
    :kid, :uid, gen_random_uuid()::text, null, '{}', false, false, jsonb_build_object('keyId', :kid::text)) \gset
with k as (
    insert into api_keys (
        id, user_id, team_id, name, key_hash, key_prefix, litellm_alias, metadata, tags, permissions, last_job_id)
    values (
        :kid::uuid, :uid::uuid, 'a0000000-0000-4000-8000-000000000001', 'bench', md5(:kid) || md5('x' || :kid),
        'sk-bench', 'bench_' || :kid, '{}', '{}', '{}', :jid)
    returning *
), models as (
    insert into api_key_models (api_key_id, model_id) select k.id, m.id from k, unnest(array[:model]) as m (id)
), hashes as (
    insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix)
    select k.key_hash, k.id, k.litellm_alias, k.key_prefix from k
)
select k.*, array[:model] as model_ids from k;
insert into sealed_secrets (purpose, row_id, sealed)
values ('api_key.create', :kid::uuid, decode(repeat('5f', 80), 'hex'))
on conflict (purpose, row_id) do update
set sealed = excluded.sealed, delete_after = null, created_at = now();
insert into audit_logs (
    user_id, actor, action, resource_type, resource_id, new_values, ip_address, user_agent, request_id, job_id, success,
    metadata)
values (
    :uid::uuid, 'bench', 'API_KEY_CREATE', 'api_key', :kid,
    jsonb_build_object('name', 'bench', 'alias', 'bench_' || :kid, 'models', array[:model], 'userId', :uid::text), '127.0.0.1',
    'pgbench', gen_random_uuid()::text, :jid, true, '{}');
commit;
