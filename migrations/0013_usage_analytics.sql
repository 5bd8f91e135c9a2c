-- Usage as people and administrators look at it: sums that ninety days can be read from in a moment.

-- Days of one week (from Monday on), added up for each key of ours and for all foreign ones. A look at a range adds up
-- its whole weeks from here and the days at its edges from usage_daily.
create table usage_weeks (
    week              date not null check (extract(isodow from week) = 1),
    user_id           uuid,
    api_key_id        uuid,
    model_id          text not null,
    provider          text not null,
    -- Rows of usage_daily in these sums; a row without any goes.
    entries           integer not null check (entries >= 0),
    spend             numeric(24, 12) not null,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    total_tokens      bigint not null,
    requests          bigint not null,
    successful_requests bigint not null,
    failed_requests   bigint not null,
    unique nulls not distinct (week, user_id, api_key_id, model_id, provider)
);
create index usage_weeks_user on usage_weeks (user_id, week) where user_id is not null;

-- All keys added up: what a day used of a model.
create table usage_day_models (
    day               date not null,
    model_id          text not null,
    provider          text not null,
    entries           integer not null check (entries >= 0),
    spend             numeric(24, 12) not null,
    prompt_tokens     bigint not null,
    completion_tokens bigint not null,
    total_tokens      bigint not null,
    requests          bigint not null,
    successful_requests bigint not null,
    failed_requests   bigint not null,
    primary key (day, model_id, provider)
);

-- Filters name keys as LiteLLM does.
create index api_key_hashes_alias on api_key_hashes (litellm_alias);

-- The sums follow usage_daily in the transaction that changes it, whoever changes it. Sums of whole numbers and of
-- numerics are exact, so that what was added can be taken away again without a rest.
create function usage_roll_up() returns trigger language plpgsql as $$
declare
    sign integer := case when tg_argv[0] = 'add' then 1 else -1 end;
begin
    -- One writer of a week at a time: two that touch its rows in another order would wait for each other. In the order
    -- of weeks, for the same reason.
    perform pg_advisory_xact_lock(hashtext('usage_weeks'), w.week - date '2000-01-03')
    from (select distinct day - extract(isodow from day)::integer + 1 as week from changed order by week) w;

    insert into usage_weeks as w (
        week, user_id, api_key_id, model_id, provider, entries, spend, prompt_tokens, completion_tokens, total_tokens,
        requests, successful_requests, failed_requests)
    select day - extract(isodow from day)::integer + 1, user_id, api_key_id, model_id, provider, count(*), sum(spend),
        sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), sum(requests), sum(successful_requests),
        sum(failed_requests)
    from changed group by 1, 2, 3, 4, 5
    on conflict (week, user_id, api_key_id, model_id, provider) do update set
        entries = w.entries + sign * excluded.entries, spend = w.spend + sign * excluded.spend,
        prompt_tokens = w.prompt_tokens + sign * excluded.prompt_tokens,
        completion_tokens = w.completion_tokens + sign * excluded.completion_tokens,
        total_tokens = w.total_tokens + sign * excluded.total_tokens,
        requests = w.requests + sign * excluded.requests,
        successful_requests = w.successful_requests + sign * excluded.successful_requests,
        failed_requests = w.failed_requests + sign * excluded.failed_requests;

    insert into usage_day_models as m (
        day, model_id, provider, entries, spend, prompt_tokens, completion_tokens, total_tokens, requests,
        successful_requests, failed_requests)
    select day, model_id, provider, count(*), sum(spend), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens),
        sum(requests), sum(successful_requests), sum(failed_requests)
    from changed group by 1, 2, 3
    on conflict (day, model_id, provider) do update set
        entries = m.entries + sign * excluded.entries, spend = m.spend + sign * excluded.spend,
        prompt_tokens = m.prompt_tokens + sign * excluded.prompt_tokens,
        completion_tokens = m.completion_tokens + sign * excluded.completion_tokens,
        total_tokens = m.total_tokens + sign * excluded.total_tokens,
        requests = m.requests + sign * excluded.requests,
        successful_requests = m.successful_requests + sign * excluded.successful_requests,
        failed_requests = m.failed_requests + sign * excluded.failed_requests;

    if sign < 0 then
        delete from usage_weeks
        where entries = 0 and week in (select day - extract(isodow from day)::integer + 1 from changed);
        delete from usage_day_models where entries = 0 and day in (select day from changed);
    end if;
    return null;
end $$;

create trigger usage_daily_inserted after insert on usage_daily
    referencing new table as changed for each statement execute function usage_roll_up('add');
-- The names set the order: what is new is added first, so that no row falls to nothing in between.
create trigger usage_daily_updated_add after update on usage_daily
    referencing new table as changed for each statement execute function usage_roll_up('add');
create trigger usage_daily_updated_subtract after update on usage_daily
    referencing old table as changed for each statement execute function usage_roll_up('subtract');
create trigger usage_daily_deleted after delete on usage_daily
    referencing old table as changed for each statement execute function usage_roll_up('subtract');

insert into usage_weeks
select day - extract(isodow from day)::integer + 1, user_id, api_key_id, model_id, provider, count(*), sum(spend),
    sum(prompt_tokens), sum(completion_tokens), sum(total_tokens), sum(requests), sum(successful_requests),
    sum(failed_requests)
from usage_daily group by 1, 2, 3, 4, 5;
insert into usage_day_models
select day, model_id, provider, count(*), sum(spend), sum(prompt_tokens), sum(completion_tokens), sum(total_tokens),
    sum(requests), sum(successful_requests), sum(failed_requests)
from usage_daily group by 1, 2, 3;
