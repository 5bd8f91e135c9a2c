import Foundation
import Shared

/// The SQL of `job_schedules` and `job_schedule_ticks`.
struct PostgresScheduleStore: Sendable {
    /// A schedule that is to be looked at, locked.
    struct Due: Sendable {
        var id: Int32
        var schedule: JobSchedule
        var nextTick: Date
        var now: Date
    }

    /// The time on which everything here is judged: the database's, which tests move.
    var clock: PostgresFragment = "now()"

    private static var columns: PostgresFragment {
        """
        s.name, s.description, s.kind, s.args, s.cron, s.time_zone, s.catch_up, s.catch_up_limit, s.jitter_seconds,
        s.enabled, s.disabled_by, s.disable_reason, s.look_at, s.last_tick, s.last_job_id,
        exists (select from jobs j where j.id = s.last_job_id) as is_running, s.changed_by, s.changed_at
        """
    }

    private func schedule(_ row: PostgresRow) throws -> JobSchedule {
        JobSchedule(
            name: try row.get("name"), description: try row.get("description"), kind: try row.get("kind"),
            args: try row.get("args"), cron: try row.get("cron"), timeZone: try row.get("time_zone"),
            catchUp: ScheduleCatchUp(code: try row.get("catch_up")),
            catchUpLimit: Int(try row.get("catch_up_limit", as: Int32.self)),
            jitterSeconds: Int(try row.get("jitter_seconds", as: Int32.self)), enabled: try row.get("enabled"),
            disabledBy: try row.get("disabled_by"), disableReason: try row.get("disable_reason"),
            nextRunAt: try row.get("enabled", as: Bool.self) ? try row.get("look_at") : nil,
            lastTick: try row.get("last_tick"),
            lastJobId: try row.get("last_job_id", as: Int64?.self).map(JobNumber.init),
            isRunning: try row.get("is_running"), changedBy: try row.get("changed_by"),
            changedAt: try row.get("changed_at"))
    }

    func now(in executor: any PostgresExecutor) async throws -> Date {
        guard let row = try await executor.query("select \(clock)").first else { return Date() }
        return try row.decode(Date.self)
    }

    func list(in executor: any PostgresExecutor) async throws -> [JobSchedule] {
        try await executor.query("select \(Self.columns) from job_schedules s order by s.name limit 1000")
            .map(schedule)
    }

    func find(_ name: String, in executor: any PostgresExecutor) async throws -> JobSchedule? {
        try await executor.query("select \(Self.columns) from job_schedules s where s.name = \(name)").first
            .map(schedule)
    }

    /// Locks one schedule that is to be looked at and whose kind is known here; nil when there is none. What the row
    /// says of its last job is read by ``isLive(jobId:in:)``, in a snapshot that is younger than the lock.
    func lockDue(kinds: [String], in executor: any PostgresExecutor) async throws -> Due? {
        let rows = try await executor.query(
            """
            select s.id, s.next_tick, \(clock) as clock, \(Self.columns) from job_schedules s
            where s.enabled and s.look_at <= \(clock) and s.next_tick is not null and s.kind = any (\(kinds))
            order by s.look_at limit 1 for update skip locked
            """)
        return try rows.first.map(due)
    }

    /// Locks a schedule by name, due or not.
    func lock(_ name: String, in executor: any PostgresExecutor) async throws -> Due? {
        let rows = try await executor.query(
            """
            select s.id, coalesce(s.next_tick, \(clock)) as next_tick, \(clock) as clock, \(Self.columns)
            from job_schedules s where s.name = \(name) for update
            """)
        return try rows.first.map(due)
    }

    private func due(_ row: PostgresRow) throws -> Due {
        Due(
            id: try row.get("id"), schedule: try schedule(row), nextTick: try row.get("next_tick"),
            now: try row.get("clock"))
    }

    func isLive(jobId: Int64, in executor: any PostgresExecutor) async throws -> Bool {
        try await !executor.query("select 1 from jobs where id = \(jobId)").isEmpty
    }

    /// Writes a tick's row. False when somebody has decided this tick already.
    func note(
        _ tick: SchedulePlan.Decision.Tick, schedule id: Int32, by person: String?, in executor: any PostgresExecutor
    ) async throws -> Bool {
        let rows = try await executor.query(
            """
            insert into job_schedule_ticks (schedule_id, tick, outcome, ticks, decided_by)
            values (\(id), \(tick.tick), \(tick.outcome.code), \(Int32(clamping: tick.ticks)), \(person))
            on conflict do nothing returning 1
            """)
        return !rows.isEmpty
    }

    /// Notes the job that a tick led to.
    func started(jobId: Int64, tick: Date, schedule id: Int32, in executor: any PostgresExecutor) async throws {
        try await executor.pipeline([
            "update job_schedule_ticks set job_id = \(jobId) where schedule_id = \(id) and tick = \(tick)",
            "update job_schedules set last_job_id = \(jobId) where id = \(id)",
        ])
    }

    func goOn(_ decision: SchedulePlan.Decision, schedule id: Int32, in executor: any PostgresExecutor) async throws {
        let decided = ([decision.run] + decision.givenUp).compactMap { $0?.tick }.max()
        try await executor.query(
            """
            update job_schedules set next_tick = \(decision.nextTick), look_at = \(decision.lookAt),
                last_tick = greatest(last_tick, \(decided)::timestamptz)
            where id = \(id)
            """)
    }

    /// Leaves a schedule that cannot be decided alone for a while.
    func postpone(schedule id: Int32, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "update job_schedules set look_at = \(clock) + interval '1 minute' where id = \(id)")
    }

    /// How long until the next schedule is to be looked at; nil when none is.
    func untilNext(kinds: [String], in executor: any PostgresExecutor) async throws -> Duration? {
        let rows = try await executor.query(
            """
            select extract(epoch from min(look_at) - \(clock))::float8 from job_schedules
            where enabled and kind = any (\(kinds))
            """)
        return try rows.first?.decode(Double?.self).map { .seconds(max($0, 0)) }
    }

    /// Makes a schedule. False when the name is taken.
    func insert(
        _ draft: ScheduleDraft, next: SchedulePlan.Decision, by person: String?, in executor: any PostgresExecutor
    ) async throws -> Bool {
        let rows = try await executor.query(
            """
            insert into job_schedules (
                name, description, kind, args, cron, time_zone, catch_up, catch_up_limit, jitter_seconds, enabled,
                next_tick, look_at, changed_by)
            values (
                \(draft.name), \(draft.description), \(draft.kind), \(draft.args), \(draft.cron), \(draft.timeZone),
                \(draft.catchUp.code), \(Int32(draft.catchUpLimit)), \(Int32(draft.jitterSeconds)), \(draft.enabled),
                \(next.nextTick), \(next.lookAt), \(person))
            on conflict (name) do nothing returning 1
            """)
        return !rows.isEmpty
    }

    /// Writes a schedule's changed parts.
    func update(
        _ draft: ScheduleDraft, next: SchedulePlan.Decision, by person: String?, in executor: any PostgresExecutor
    ) async throws {
        try await executor.query(
            """
            update job_schedules set description = \(draft.description), kind = \(draft.kind), args = \(draft.args),
                cron = \(draft.cron), time_zone = \(draft.timeZone), catch_up = \(draft.catchUp.code),
                catch_up_limit = \(Int32(draft.catchUpLimit)), jitter_seconds = \(Int32(draft.jitterSeconds)),
                enabled = \(draft.enabled), next_tick = \(next.nextTick), look_at = \(next.lookAt),
                changed_by = \(person), changed_at = now()
            where name = \(draft.name)
            """)
    }

    func setEnabled(
        _ isEnabled: Bool, _ name: String, next: SchedulePlan.Decision, reason: String?, by person: String,
        in executor: any PostgresExecutor
    ) async throws {
        try await executor.query(
            """
            update job_schedules set enabled = \(isEnabled), next_tick = \(next.nextTick), look_at = \(next.lookAt),
                disabled_by = case when \(isEnabled) then null else \(person)::text end,
                disable_reason = case when \(isEnabled) then null else \(reason)::text end,
                changed_by = \(person), changed_at = now()
            where name = \(name)
            """)
    }

    /// The newest ticks of a schedule, newest first.
    func ticks(_ name: String, limit: Int, in executor: any PostgresExecutor) async throws -> [ScheduleTick] {
        let rows = try await executor.query(
            """
            select t.tick, t.outcome, t.ticks, t.job_id, t.decided_by, t.decided_at
            from job_schedule_ticks t join job_schedules s on s.id = t.schedule_id
            where s.name = \(name) order by t.tick desc limit \(limit)
            """)
        return try rows.map { row in
            let (tick, outcome, ticks, jobId, decidedBy, decidedAt) = try row.decode(
                Date.self, Int16.self, Int32.self, Int64?.self, String?.self, Date.self)
            return ScheduleTick(
                tick: tick, outcome: .init(code: outcome), ticks: Int(ticks), jobId: jobId.map(JobNumber.init),
                decidedBy: decidedBy,
                decidedAt: decidedAt)
        }
    }

    /// Forgets ticks decided before so many days; at most `limit`. Returns how many.
    func forgetTicks(days: Int, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            delete from job_schedule_ticks where ctid = any (array (
                select ctid from job_schedule_ticks where decided_at < now() - \(days) * interval '1 day'
                order by decided_at limit \(limit)))
            """
        ).affectedRows
    }
}
