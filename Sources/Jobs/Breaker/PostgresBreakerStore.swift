package import Foundation
package import Shared

/// A breaker as operators see it.
package struct BreakerStatus: Sendable {
    package var name: String
    /// closed, open, half_open, ramping, forced_open, forced_closed.
    package var state: String
    /// Whether jobs of its class may start.
    package var admits: Bool
    package var consecutiveOpens: Int
    package var concurrency: Int?
    package var openedAt: Date?
    package var retryAt: Date?
    package var reason: String?
    package var changedBy: String?
    package var changedAt: Date
}

/// The SQL of `breakers` and their windows. Changes of state are compare-and-set on the epoch: the loser reads again.
package struct PostgresBreakerStore: Sendable {
    /// How far back the window reaches.
    static let windowSeconds = 30.0

    package init() {}

    struct Delta: Sendable {
        var upstream: Int16
        var succeeded: Int32 = 0
        var failed: Int32 = 0
        var slow: Int32 = 0
        var failedJobs: Int32 = 0
    }

    struct Reading: Sendable {
        var upstream: Int16
        var breaker: BreakerPolicy.Snapshot
        var window: BreakerPolicy.Window
        var reason: String?
    }

    /// Adds this process's counts and reads all breakers with their windows, in one round trip.
    func flush(_ deltas: [Delta], in executor: any PostgresExecutor) async throws -> [Reading] {
        var statements: [PostgresQuery] = []
        if !deltas.isEmpty {
            statements.append(
                """
                insert into breaker_windows (upstream, bucket, succeeded, failed, slow, failed_jobs)
                select u, date_bin('5 seconds', now(), 'epoch'), s, f, w, j
                from unnest(\(deltas.map(\.upstream)), \(deltas.map(\.succeeded)), \(deltas.map(\.failed)),
                    \(deltas.map(\.slow)), \(deltas.map(\.failedJobs))) as t (u, s, f, w, j) order by u
                on conflict (upstream, bucket) do update set succeeded = breaker_windows.succeeded + excluded.succeeded,
                    failed = breaker_windows.failed + excluded.failed, slow = breaker_windows.slow + excluded.slow,
                    failed_jobs = breaker_windows.failed_jobs + excluded.failed_jobs
                """)
            statements.append(
                "delete from breaker_windows where bucket < now() - interval '10 minutes'")
        }
        statements.append(
            """
            select b.upstream, b.state, b.epoch, b.consecutive_opens, b.concurrency,
                extract(epoch from b.retry_at - now())::float8, extract(epoch from b.probe_until - now())::float8,
                extract(epoch from now() - b.changed_at)::float8, b.reason,
                coalesce(sum(w.succeeded), 0)::int4, coalesce(sum(w.failed), 0)::int4,
                coalesce(sum(w.failed_jobs), 0)::int4
            from breakers b left join breaker_windows w on w.upstream = b.upstream
                and w.bucket > now() - \(Self.windowSeconds) * interval '1 second' and w.bucket >= b.changed_at - interval '5 seconds'
            group by b.upstream
            """)
        guard let rows = try await executor.pipeline(statements).last else { return [] }
        return try rows.map(Self.reading)
    }

    private static func reading(_ row: PostgresRow) throws -> Reading {
        let (
            upstream, state, epoch, opens, concurrency, untilRetry, untilProbe, sinceChange, reason, succeeded, failed,
            failedJobs
        ) = try row.decode(
            Int16.self, Int16.self, Int64.self, Int32.self, Int32?.self, Double?.self, Double?.self, Double.self,
            String?.self, Int32.self, Int32.self, Int32.self)
        return Reading(
            upstream: upstream,
            breaker: BreakerPolicy.Snapshot(
                state: BreakerPolicy.State(rawValue: state) ?? .closed, epoch: epoch, consecutiveOpens: Int(opens),
                concurrency: concurrency.map(Int.init), untilRetry: untilRetry.map { .seconds($0) },
                untilProbeExpires: untilProbe.map { .seconds($0) }, sinceChange: .seconds(sinceChange)),
            window: BreakerPolicy.Window(
                succeeded: Int(succeeded), failed: Int(failed), failedJobs: Int(failedJobs)),
            reason: reason)
    }

    /// Applies a transition if the breaker is still at `epoch`. Returns whether this process won.
    func apply(
        _ transition: BreakerPolicy.Transition, upstream: Int16, epoch: Int64, worker: UUID, probeLimit: Duration,
        in executor: any PostgresExecutor
    ) async throws -> Bool {
        let rows: PostgresRows
        switch transition {
        case .open(let wait, let reason):
            rows = try await executor.query(
                """
                update breakers set state = 1, epoch = epoch + 1, consecutive_opens = consecutive_opens + 1,
                    concurrency = null, opened_at = case when state in (1, 2) then opened_at else now() end,
                    retry_at = now() + \(wait.inSeconds) * interval '1 second', probe_worker = null, probe_until = null,
                    reason = \(reason), changed_by = \(worker.uuidString), changed_at = now()
                where upstream = \(upstream) and epoch = \(epoch) returning upstream
                """)
        case .probe:
            rows = try await executor.query(
                """
                update breakers set state = 2, epoch = epoch + 1, probe_worker = \(worker),
                    probe_until = now() + \(probeLimit.inSeconds) * interval '1 second',
                    changed_by = \(worker.uuidString), changed_at = now()
                where upstream = \(upstream) and epoch = \(epoch) returning upstream
                """)
        case .ramp(let concurrency):
            rows = try await executor.query(
                """
                update breakers set state = 3, epoch = epoch + 1, concurrency = \(Int32(concurrency)), retry_at = null,
                    probe_worker = null, probe_until = null, changed_by = \(worker.uuidString), changed_at = now()
                where upstream = \(upstream) and epoch = \(epoch) returning upstream
                """)
        case .close:
            rows = try await executor.query(
                """
                update breakers set state = 0, epoch = epoch + 1, consecutive_opens = 0, concurrency = null,
                    opened_at = null, retry_at = null, probe_worker = null, probe_until = null, reason = null,
                    changed_by = \(worker.uuidString), changed_at = now()
                where upstream = \(upstream) and epoch = \(epoch) returning upstream
                """)
        }
        guard !rows.isEmpty else { return false }
        try await executor.query("select pg_notify(\(JobChannel.breakers)::text, '')")
        return true
    }

    /// Lets a person hold a breaker open or closed, or hand it back to itself.
    ///
    /// - Parameter open: true to force it open, false to force it closed, nil to reset it to closed.
    /// - Returns: false when there is no such breaker.
    package func force(
        _ upstream: Upstream, open: Bool?, reason: String?, by person: String, in executor: any PostgresExecutor
    ) async throws -> Bool {
        let state: Int16 =
            switch open {
            case .some(true): BreakerPolicy.State.forcedOpen.rawValue
            case .some(false): BreakerPolicy.State.forcedClosed.rawValue
            case .none: BreakerPolicy.State.closed.rawValue
            }
        let rows = try await executor.query(
            """
            update breakers set state = \(state), epoch = epoch + 1, consecutive_opens = 0, concurrency = null,
                opened_at = case when \(state) = 8::smallint then now() end, retry_at = null, probe_worker = null,
                probe_until = null, reason = \(reason), changed_by = \(person), changed_at = now()
            where upstream = \(upstream.code) returning upstream
            """)
        try await executor.query("select pg_notify(\(JobChannel.breakers)::text, '')")
        return !rows.isEmpty
    }

    /// All breakers, for health and operators.
    package func statuses(in executor: any PostgresExecutor) async throws -> [BreakerStatus] {
        let rows = try await executor.query(
            """
            select name, state, consecutive_opens, concurrency, opened_at, retry_at, reason, changed_by, changed_at
            from breakers order by upstream
            """)
        return try rows.map { row in
            let (name, code, opens, concurrency, openedAt, retryAt, reason, changedBy, changedAt) = try row.decode(
                String.self, Int16.self, Int32.self, Int32?.self, Date?.self, Date?.self, String?.self, String?.self,
                Date.self)
            let state = BreakerPolicy.State(rawValue: code) ?? .closed
            return BreakerStatus(
                name: name, state: state.name, admits: state.admits, consecutiveOpens: Int(opens),
                concurrency: concurrency.map(Int.init), openedAt: openedAt, retryAt: retryAt, reason: reason,
                changedBy: changedBy, changedAt: changedAt)
        }
    }
}

extension BreakerPolicy.State {
    var name: String {
        switch self {
        case .closed: "closed"
        case .open: "open"
        case .halfOpen: "half_open"
        case .ramping: "ramping"
        case .forcedOpen: "forced_open"
        case .forcedClosed: "forced_closed"
        }
    }
}
