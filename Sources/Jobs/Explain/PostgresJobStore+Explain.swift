import Foundation
import Shared

extension PostgresJobStore {
    /// Why a job that has not ended is not running now, the most telling reason first; empty when it runs or has ended.
    func waitReasons(of snapshot: JobSnapshot, in executor: any PostgresExecutor) async throws -> [JobWaitReason] {
        guard !snapshot.state.isFinal, snapshot.state != .running else { return [] }
        let results = try await executor.pipeline([factsQuery(snapshot.id), limitsQuery(snapshot.id)])
        guard let row = results[0].first else { return [] }
        var facts = try facts(of: snapshot, row)
        for row in results[1] {
            let (scope, maxRunning, running, count, seconds, starts, endsAt, by) = try row.decode(
                Int16.self, Int32?.self, Int64.self, Int32?.self, Int32?.self, Int32.self, Date?.self, String.self)
            let limit = WaitFacts.Limit(
                maxRunning: maxRunning.map { Int($0) }, running: Int(running),
                rate: count.flatMap { count in seconds.map { JobRate(count: Int(count), per: Int($0)) } },
                starts: Int(starts), endsAt: endsAt, by: by)
            if scope == JobLimitScope.queue.code { facts.queueLimit = limit } else { facts.kindLimit = limit }
        }
        return facts.reasons
    }

    private func factsQuery(_ id: Int64) -> PostgresQuery {
        """
        select j.state, j.run_at, q.paused_at is not null as paused, q.paused_by, q.pause_reason,
            b.state as breaker, b.retry_at, b.reason, b.changed_by,
            (select array_agg(h.id) from (
                select id from jobs o where o.order_key = j.order_key and o.id <> j.id
                  and (o.state in (0, 1, 3, 5, 6, 7) or (o.state = 4 and o.id < j.id)) limit 100) as h) as behind,
            (select array_agg(d.depends_on) from job_dependencies d where d.job_id = j.id) as waits_for,
            case when j.state = 7 then (select array_agg(c.id) from (
                select id from jobs k where k.parent_id = j.id order by id limit 100) as c) end as children,
            exists (select from job_workers w where w.state = 0 and w.lease_until > now() and q.name = any (w.queues))
                as has_worker,
            exists (select from job_workers w where w.state = 0 and w.lease_until > now()
                and (select k.name from job_kinds k where k.id = j.kind_id) = any (w.kinds)) as knows_kind,
            case when j.upstream <> 0 then (
                select sum((w.upstream_limits ->> b.name)::integer) from job_workers w
                where w.state = 0 and w.lease_until > now() and q.name = any (w.queues)) end as allowed,
            case when j.upstream = 0 then 0 else (
                select count(*) from jobs r where r.state = 1 and r.upstream = j.upstream) end as using
        from jobs j join job_queues q on q.id = j.queue_id left join breakers b on b.upstream = j.upstream
        where j.id = \(id)
        """
    }

    private func facts(of snapshot: JobSnapshot, _ row: PostgresRow) throws -> WaitFacts {
        WaitFacts(
            kind: snapshot.kind, queue: snapshot.queue, upstream: snapshot.upstream?.rawValue,
            state: StoredState(rawValue: try row.get("state")) ?? .ready, runAt: try row.get("run_at"),
            pausedBy: try row.get("paused_by"), isPaused: try row.get("paused"),
            pauseReason: try row.get("pause_reason"),
            breaker: try row.get("breaker", as: Int16?.self).flatMap(BreakerPolicy.State.init(rawValue:)),
            retryAt: try row.get("retry_at"), breakerReason: try row.get("reason"),
            breakerBy: try row.get("changed_by"),
            behind: try row.get("behind", as: [Int64]?.self) ?? [],
            waitsFor: try row.get("waits_for", as: [Int64]?.self) ?? [],
            children: try row.get("children", as: [Int64]?.self) ?? [], hasWorker: try row.get("has_worker"),
            knowsKind: try row.get("knows_kind"),
            upstreamRunning: Int(try row.get("using", as: Int64.self)),
            upstreamAllowed: try row.get("allowed", as: Int64?.self).map { Int($0) })
    }

    /// The limits on a job's queue and kind, with what is used of them.
    private func limitsQuery(_ id: Int64) -> PostgresQuery {
        """
        select l.scope, l.max_running, case when l.max_running is null then 0 else \(PostgresLimitStore.running) end,
            l.rate_count, l.rate_seconds,
            case when \(PostgresLimitStore.hasEnded) then 0 else l.period_starts end,
            l.period_start + l.rate_seconds * interval '1 second', l.changed_by
        from jobs j join job_limits l
          on (l.scope = 0 and l.target = j.queue_id) or (l.scope = 1 and l.target = j.kind_id)
        where j.id = \(id)
        """
    }

    /// How many ready jobs are claimed before this one in its lane, counted up to `limit`.
    func countAhead(of id: Int64, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        let rows = try await executor.query(
            """
            select count(*) from jobs j cross join lateral (
                select from jobs a
                where a.queue_id = j.queue_id and a.upstream = j.upstream and a.state = 0
                  and (a.priority, a.id) < (j.priority, j.id)
                limit \(limit)) as ahead
            where j.id = \(id)
            """)
        return Int(try rows.first?.decode(Int64.self) ?? 0)
    }
}
