import Foundation
import Shared

extension PostgresBreakerStore {
    private static let readyLimit = 100_000

    /// All breakers with their windows and the jobs of their classes.
    func reports(in executor: any PostgresExecutor) async throws -> [BreakerReport] {
        let statuses = try await statuses(in: executor)
        let rows = try await executor.query(
            """
            select b.name, coalesce(w.succeeded, 0)::bigint, coalesce(w.failed, 0)::bigint,
                coalesce(w.slow, 0)::bigint, coalesce(w.failed_jobs, 0)::bigint,
                (select count(*) from (
                    select 1 from job_queues q join jobs j on j.queue_id = q.id
                    where j.upstream = b.upstream and j.state = 0 limit \(Self.readyLimit)) as ready),
                (select count(*) from jobs r where r.state = 1 and r.upstream = b.upstream)
            from breakers b left join lateral (
                select sum(succeeded) as succeeded, sum(failed) as failed, sum(slow) as slow,
                    sum(failed_jobs) as failed_jobs
                from breaker_windows
                where upstream = b.upstream and bucket > now() - \(Self.windowSeconds) * interval '1 second'
            ) as w on true
            """)
        var found: [String: (window: BreakerReport.Window, ready: CountReport, running: Int)] = [:]
        for row in rows {
            let (name, succeeded, failed, slow, failedJobs, ready, running) = try row.decode(
                String.self, Int.self, Int.self, Int.self, Int.self, Int.self, Int.self)
            found[name] = (
                BreakerReport.Window(
                    seconds: Int(Self.windowSeconds), succeeded: succeeded, failed: failed, slow: slow,
                    failedJobs: failedJobs),
                CountReport(value: ready, isExact: ready < Self.readyLimit), running
            )
        }
        return statuses.compactMap { status in
            guard let (window, ready, running) = found[status.name] else { return nil }
            return BreakerReport(
                name: status.name, state: status.state, admits: status.admits,
                isForced: status.state == BreakerPolicy.State.forcedOpen.name
                    || status.state == BreakerPolicy.State.forcedClosed.name,
                reason: status.reason, changedBy: status.changedBy, changedAt: status.changedAt,
                openedAt: status.openedAt, retryAt: status.retryAt, consecutiveOpens: status.consecutiveOpens,
                concurrency: status.concurrency, window: window, ready: ready, running: running)
        }
    }
}
