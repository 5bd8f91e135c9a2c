-- A job that puts others on its object aside (a revocation) finds future ones by an index as well; so far it read every
-- job there was.

create index jobs_order_scheduled on jobs (order_key) where order_key is not null and state = 2;

-- Also knows the states 6 and 7, which no job has before the programs of this version run.
-- Puts one job in. Serialises with the end of the job it queues behind: the holder's row is share-locked until
-- the caller commits, and a finishing worker skips locked rows, so no job stays blocked behind nothing.
create or replace function job_enqueue(
    p_queue smallint, p_kind smallint, p_upstream smallint, p_priority smallint, p_max_attempts smallint,
    p_run_at timestamptz, p_deadline_at timestamptz, p_unique_key text, p_order_key text,
    p_resource_type text, p_resource_id text, p_requester_id text, p_request_id text, p_parent_id bigint,
    p_depends_on bigint[], p_supersedes boolean, p_watched boolean, p_args jsonb,
    out job_id bigint, out coalesced boolean, out job_state smallint, out superseded bigint[]
) language plpgsql as $$
declare
    is_future boolean := p_run_at is not null and p_run_at > now();
    waits     integer := 0;
    wanted    smallint;
begin
    coalesced := false;
    if p_depends_on is not null and cardinality(p_depends_on) > 0 then
        -- Locks the jobs waited for: they cannot end before this transaction does.
        update jobs set has_dependents = true where id = any (p_depends_on) and order_key is not null;
        get diagnostics waits = row_count;
        if waits <> cardinality(p_depends_on) then
            if exists (select from jobs where id = any (p_depends_on) and order_key is null) then
                raise exception 'a job can wait only for jobs that have an order key' using errcode = 'JB002';
            end if;
            if exists (
                select from unnest(p_depends_on) as d (id)
                where not exists (select from jobs j where j.id = d.id)
                  and not exists (select from job_history h where h.id = d.id and h.outcome = 10)
            ) then
                raise exception 'a job that this one would wait for has ended without success' using errcode = 'JB001';
            end if;
        end if;
    end if;
    if p_supersedes then
        with gone as (
            -- One branch for each index: a single list of states is covered by none of them, and would read all jobs.
            delete from jobs j
            where j.order_key = p_order_key
              and (j.state in (0, 3, 5, 6, 7) or j.state = 4 or j.state = 2)
            returning j.*
        ), kept as (
            insert into job_history (
                id, finished_at, created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                resource_type, resource_id, requester_id, request_id, ended_by, error_class, error_code,
                error_message, args, progress)
            select g.id, now(), g.created_at, g.run_at, g.started_at, g.deadline_at, g.token, g.parent_id,
                g.worker_id, g.queue_id, g.kind_id, g.upstream, g.priority, 12, g.attempt, g.max_attempts, g.errors,
                g.unique_key, g.order_key, g.resource_type, g.resource_id, g.requester_id, g.request_id,
                p_requester_id, 'cancelled', 'superseded', 'A newer job on the same object took its place.',
                g.args, g.progress
            from gone g returning id
        ), forgotten as (
            delete from job_dependencies d using kept where d.job_id = kept.id
        )
        select array_agg(kept.id) into superseded from kept;
        update jobs set cancel_requested_at = coalesce(cancel_requested_at, now()), cancel_requested_by = 'superseded'
        where order_key = p_order_key and state = 1;
    end if;

    wanted := case when is_future then 2 when waits > 0 then 5 else 0 end;
    for round in 1..100 loop
        insert into jobs (
            queue_id, kind_id, upstream, priority, state, max_attempts, run_at, deadline_at, unique_key, order_key,
            resource_type, resource_id, requester_id, request_id, parent_id, waits_for, watched, args)
        values (
            p_queue, p_kind, p_upstream, p_priority, wanted, p_max_attempts, coalesce(p_run_at, now()), p_deadline_at,
            p_unique_key, p_order_key, p_resource_type, p_resource_id, p_requester_id, p_request_id, p_parent_id,
            waits, p_watched, p_args)
        on conflict do nothing
        returning id into job_id;
        exit when job_id is not null;

        if p_unique_key is not null then
            -- The one that has not started yet does this job's work too; it starts at the earlier of the two times.
            update jobs set run_at = least(run_at, coalesce(p_run_at, now())), watched = watched or p_watched
            where unique_key = p_unique_key and state <> 1
            returning id, state into job_id, job_state;
            if job_id is not null then
                coalesced := true;
                return;
            end if;
        end if;
        if p_order_key is not null and wanted <> 2 then
            perform from jobs where order_key = p_order_key and state in (0, 1, 3, 5, 6, 7) for share;
            if found then
                wanted := 4;
            elsif wanted = 4 then
                wanted := case when waits > 0 then 5 else 0 end;
            end if;
        end if;
    end loop;
    if job_id is null then
        raise exception 'the job could not be enqueued: its keys changed hands too often' using errcode = '40001';
    end if;
    if waits > 0 then
        insert into job_dependencies (job_id, depends_on)
        select job_enqueue.job_id, j.id from jobs j where j.id = any (p_depends_on);
    end if;
    job_state := wanted;
end $$;
