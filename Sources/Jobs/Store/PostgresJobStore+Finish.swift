import Foundation
import Shared

/// A success to write down.
struct FinishedJob: Sendable {
    var id: Int64
    var token: Int64
    var orderKey: String?
    /// JSON, or nil for none.
    var result: String?
}

/// A job that is to run again.
struct AgainJob: Sendable {
    var id: Int64
    var token: Int64
    var orderKey: String?
    /// Zero puts it back among the ready ones.
    var delay: Duration
    /// Whether this attempt counts.
    var charged: Bool
    /// Kept among the job's attempts; nil for a plain give-back.
    var error: JobErrorInfo?
    /// Waits for its children. It has started, so it shares its work with no later job: it gives up its unique key.
    var waitsForChildren = false
}

/// What a finishing statement did.
struct FinishResult: Sendable {
    /// Whether it did so for all of them.
    var isComplete = false
    /// Jobs the statement ended or put back. Others are not this attempt's any more, or locked for a moment.
    var done: Set<Int64> = []
    /// Of these, the ones somebody waits for.
    var watched: [Int64] = []
    /// Of the jobs put back, those that somebody wants ended: the request came too late for their attempt.
    var cancelRequested: [Int64] = []
    /// Queues that have newly ready jobs.
    var wake: Set<Int16> = []
}

/// Statistics may be from a moment at which the table held nothing but entries of jobs that had gone: by them reading
/// all of it looks cheaper than looking up one job, and a plan made then compares all with all. So these statements
/// leave no choice: each job is looked up by its id in a subquery that `offset 0` keeps apart, `state + 0` keeps the
/// index on running jobs out of it, and what is found is ended by its address.
extension PostgresJobStore {
    /// Moves successes to the history. Jobs without an order key: nobody can wait behind them, one statement does it.
    /// Its answer is one row, since as a rule all of them are done and nobody waits for any.
    func finishPlain(_ jobs: [FinishedJob], in executor: any PostgresExecutor) async throws -> FinishResult {
        let rows = try await executor.query(
            """
            with owned as materialized (
                select j.place, t.token, t.result
                from unnest(\(jobs.map(\.id)), \(jobs.map(\.token)), \(jobs.map(\.result))::text[]) as t (id, token, result)
                cross join lateral (
                    select ctid as place from jobs
                    where id = t.id and token = t.token and state + 0 = 1 offset 0) as j
            ), ended as (
                delete from jobs using owned
                where jobs.ctid = owned.place and jobs.token = owned.token and jobs.state + 0 = 1
                returning jobs.*, owned.result
            ), kept as (\(unescaped: Self.insertSucceeded))
            select count(*), array_agg(id) filter (where watched),
                case when count(*) < \(jobs.count) then array_agg(id) end
            from ended
            """)
        let (count, watched, done) = try rows.one(Int64.self, [Int64]?.self, [Int64]?.self)
        let isComplete = count == jobs.count
        return FinishResult(
            isComplete: isComplete, done: isComplete ? Set(jobs.map(\.id)) : Set(done ?? []), watched: watched ?? [])
    }

    /// Moves successes of ordered jobs to the history and hands their objects on, in one round trip and transaction.
    /// Rows that an enqueuing transaction holds are left for the next flush, so that one never stalls the batch.
    func finishOrdered(_ jobs: [FinishedJob], in executor: any PostgresExecutor) async throws -> FinishResult {
        let results = try await executor.pipeline([
            """
            with owned as materialized (
                select j.place, t.result
                from unnest(\(jobs.map(\.id)), \(jobs.map(\.token)), \(jobs.map(\.result))::text[]) as t (id, token, result)
                cross join lateral (\(unescaped: Self.ownedPlace)) as j
            ), ended as (
                delete from jobs using owned where jobs.ctid = owned.place returning jobs.*, owned.result
            ), kept as (\(unescaped: Self.insertSucceeded))
            select id, watched from ended
            """,
            Self.resolveDependents(of: jobs.map(\.id)),
            Self.handOver(Array(Set(jobs.compactMap(\.orderKey)))),
        ])
        var result = try Self.collect(results[0])
        for rows in results.dropFirst() {
            for row in rows { result.wake.insert(try row.decode(Int16.self)) }
        }
        return result
    }

    /// Puts jobs back for a later attempt. A row whose unique key a newer job holds by now ends as superseded instead
    /// of failing its batch: the newer one does the same work, and whoever waited for the older one waits for it. One that
    /// somebody wants ended gives its key up at once: no other job's work may end with it.
    func putBack(_ jobs: [AgainJob], in executor: any PostgresExecutor) async throws -> FinishResult {
        let results = try await executor.pipeline([
            """
            with owned as materialized (
                select j.place, t.*
                from unnest(
                    \(jobs.map(\.id)), \(jobs.map(\.token)), \(jobs.map(\.delay.inSeconds)), \(jobs.map(\.charged)),
                    \(jobs.map(\.error?.errorClass.rawValue)), \(jobs.map(\.error?.code)), \(jobs.map(\.error?.message)),
                    \(jobs.map(\.waitsForChildren))
                ) as t (id, token, delay, charged, class, code, message, waits)
                cross join lateral (\(unescaped: Self.ownedPlace)) as j
            ), gone as (
                delete from jobs using owned where jobs.ctid = owned.place
                returning jobs.*, owned.delay, owned.charged, owned.class, owned.code, owned.message, owned.waits
            ), noted as (
                insert into job_attempts (job_id, attempt, ended_at, started_at, worker_id, class, code, message, charged)
                select id, attempt, now(), started_at, worker_id, class, code, message, charged
                from gone where class is not null
            ), back as (
                insert into jobs (
                    id, token, parent_id, run_at, created_at, deadline_at, queue_id, kind_id, upstream,
                    priority, state, attempt, max_attempts, errors, waits_for, has_dependents, watched, unique_key,
                    order_key, resource_type, resource_id, requester_id, request_id, cancel_requested_at,
                    cancel_requested_by, args, progress)
                select id, token, parent_id, case when delay > 0 then now() + delay * interval '1 second' else run_at end,
                    created_at, deadline_at, queue_id, kind_id, upstream, priority,
                    case when waits then 7 when delay > 0 then 3 else 0 end,
                    case when charged then attempt else attempt - 1 end, max_attempts,
                    case when charged and class is not null then least(errors, 32766) + 1 else errors end,
                    waits_for, has_dependents, watched, case when cancel_requested_at is null and not waits then unique_key end,
                    order_key, resource_type, resource_id, requester_id, request_id, cancel_requested_at,
                    cancel_requested_by, args, progress
                from gone
                on conflict do nothing
                returning id
            ), superseded as (
                insert into job_history (
                    id, finished_at, created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                    kind_id, upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key,
                    resource_type, resource_id, requester_id, request_id, error_class, error_code, error_message,
                    args, progress)
                select id, now(), created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id,
                    kind_id, upstream, priority, 12, attempt, max_attempts, errors, unique_key, order_key,
                    resource_type, resource_id, requester_id, request_id, 'cancelled', 'superseded',
                    'A newer job does this one''s work.', args, progress
                from gone where not exists (select from back where back.id = gone.id)
                returning id
            )
            select gone.id, gone.watched and exists (select from superseded s where s.id = gone.id), gone.queue_id,
                gone.delay = 0 and not gone.waits, gone.cancel_requested_at is not null and exists (select from back b where b.id = gone.id)
            from gone
            """,
            Self.inheritDependents(of: jobs.map(\.id)),
            Self.handOver(Array(Set(jobs.compactMap(\.orderKey)))),
        ])
        var result = FinishResult()
        for row in results[0] {
            let (id, watched, queueId, isReady, isCancelled) = try row.decode(
                Int64.self, Bool.self, Int16.self, Bool.self, Bool.self)
            result.done.insert(id)
            if isCancelled { result.cancelRequested.append(id) }
            if watched { result.watched.append(id) }
            if isReady { result.wake.insert(queueId) }
        }
        for row in results[2] { result.wake.insert(try row.decode(Int16.self)) }
        return result
    }

    /// Lets the dependents of jobs that were put back as superseded wait for the job that took their place. That one
    /// is blocked behind them until this transaction ends, since only ordered jobs are waited for; so it cannot be gone.
    /// The time is that of the transaction, so that one partition of the history is read.
    private static func inheritDependents(of ids: [Int64]) -> PostgresQuery {
        """
        with inherited as (
            delete from job_dependencies d using job_history h, jobs heir
            where d.depends_on = any (\(ids)) and h.id = d.depends_on and h.id = any (\(ids)) and h.finished_at = now()
              and h.error_code = 'superseded'
              and heir.unique_key = h.unique_key and heir.state <> 1
            returning heir.id, d.job_id
        )
        insert into job_dependencies (depends_on, job_id) select id, job_id from inherited
        """
    }

    /// Lets the first blocked job of each object go on, where nothing holds the object any more. Runs as a statement
    /// of its own after the one that ended the holder, so that its snapshot sees what an enqueuer has just committed.
    static func handOver(_ orderKeys: [String]) -> PostgresQuery {
        """
        update jobs set state = case when waits_for > 0 then 5 else 0 end
        where state = 4 and id in (
            select (select b.id from jobs b where b.order_key = k and b.state = 4 order by b.id limit 1)
            from unnest(\(orderKeys)::text[]) as k
            where not exists (select from jobs h where h.order_key = k and h.state in (0, 1, 3, 5, 6, 7)))
        returning queue_id
        """
    }

    /// Tells the jobs that waited for these successes; those that wait for nothing more become ready. By their ids, not
    /// by address: two jobs that one waits for may end at the same time, and the second must see what the first left.
    static func resolveDependents(of ids: [Int64]) -> PostgresQuery {
        """
        with met as (
            delete from job_dependencies d
            where d.depends_on = any (\(ids)) and (select count(*) from jobs j where j.id = d.depends_on) = 0
            returning d.job_id
        ), counted as (select job_id, count(*)::smallint as n from met group by job_id)
        update jobs set waits_for = waits_for - (select n from counted where job_id = jobs.id),
            state = case when state = 5 and waits_for <= (select n from counted where job_id = jobs.id) then 0
                else state end
        where id = any (array (select job_id from counted))
        returning jobs.queue_id
        """
    }

    /// Which of these attempts still own their jobs.
    func stillOwned(_ attempts: [AttemptId], in executor: any PostgresExecutor) async throws -> Set<AttemptId> {
        let rows = try await executor.query(
            """
            select t.id, t.token from unnest(\(attempts.map(\.id)), \(attempts.map(\.token))) as t (id, token)
            cross join lateral (
                select from jobs where id = t.id and token = t.token and state + 0 = 1 offset 0) as j
            """)
        return Set(
            try rows.map { row in
                let (id, token) = try row.decode(Int64.self, Int64.self)
                return AttemptId(id: id, token: token)
            })
    }

    /// Where the job of one attempt `t` stands, held.
    private static var ownedPlace: StaticString {
        """
        select ctid as place from jobs
        where id = t.id and token = t.token and state + 0 = 1 offset 0 for update skip locked
        """
    }

    private static var insertSucceeded: StaticString {
        """
        insert into job_history (
            id, finished_at, created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id, kind_id,
            upstream, priority, outcome, attempt, max_attempts, errors, unique_key, order_key, resource_type,
            resource_id, requester_id, request_id, args, progress, result)
        select id, now(), created_at, run_at, started_at, deadline_at, token, parent_id, worker_id, queue_id, kind_id,
            upstream, priority, 10, attempt, max_attempts, errors, unique_key, order_key, resource_type,
            resource_id, requester_id, request_id, args, progress, result::jsonb
        from ended
        """
    }

    private static func collect(_ rows: PostgresRows) throws -> FinishResult {
        var result = FinishResult()
        for row in rows {
            let (id, watched) = try row.decode(Int64.self, Bool.self)
            result.done.insert(id)
            if watched { result.watched.append(id) }
        }
        return result
    }
}
