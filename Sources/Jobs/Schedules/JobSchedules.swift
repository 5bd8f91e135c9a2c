import Foundation
import Logging
package import Shared

/// The schedules: look at them, make and change them, trigger one, see what comes. Every change is audited in its
/// own transaction.
package struct JobSchedules: Sendable {
    private let queue: JobQueue
    private let store: PostgresScheduleStore
    private let audit = PostgresAuditStore()

    /// - Parameter queue: prepared.
    package init(queue: JobQueue) {
        self.init(queue: queue, clock: "now()")
    }

    init(queue: JobQueue, clock: PostgresFragment) {
        self.queue = queue
        store = PostgresScheduleStore(clock: clock)
    }

    /// All schedules, by name.
    package func list() async throws -> [JobSchedule] { try await store.list(in: queue.database) }

    /// - Throws: ``JobScheduleError/notFound(_:)``.
    package func get(_ name: String) async throws -> JobSchedule {
        guard let schedule = try await store.find(name, in: queue.database) else {
            throw JobScheduleError.notFound(name)
        }
        return schedule
    }

    /// What came of the newest ticks, newest first.
    package func ticks(_ name: String, limit: Int = 20) async throws -> [ScheduleTick] {
        _ = try await get(name)
        return try await store.ticks(name, limit: min(max(limit, 1), 200), in: queue.database)
    }

    /// The runs to come, also of a disabled schedule, as if it were enabled.
    package func nextRuns(_ name: String, count: Int = 5) async throws -> [ScheduleRun] {
        let plan = try await get(name).plan()
        let now = try await store.now(in: queue.database)
        return plan.cron.next(min(max(count, 1), 100), after: now, in: plan.zone)
            .map { ScheduleRun(tick: $0, runAt: plan.start(of: $0)) }
    }

    /// Makes a schedule.
    ///
    /// - Throws: ``JobScheduleError``.
    @discardableResult
    package func create(_ draft: ScheduleDraft, by actor: AuditActor) async throws -> JobSchedule {
        let plan = try check(draft)
        try await queue.database.withTransaction { transaction in
            let next = try await upcoming(plan, in: transaction)
            guard try await store.insert(draft, next: next, by: actor.name, in: transaction) else {
                throw JobScheduleError.exists(draft.name)
            }
            try await note("JOB_SCHEDULE_CREATE", draft.name, actor, new: try Self.json(draft), in: transaction)
            transaction.afterCommit { await queue.wakeups.due() }
        }
        return try await get(draft.name)
    }

    /// Changes a schedule. A new expression or time zone counts from now; any other change leaves what is due.
    ///
    /// - Throws: ``JobScheduleError``.
    @discardableResult
    package func update(
        _ name: String, _ change: ScheduleChange, by actor: AuditActor
    ) async throws -> JobSchedule {
        try await queue.database.withTransaction { try await update(name, change, by: actor, in: $0) }
    }

    /// The same in the caller's transaction.
    package func update(
        _ name: String, _ change: ScheduleChange, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> JobSchedule {
        let due = try await lock(name, in: transaction)
        var draft = due.schedule.draft
        let old = draft
        draft.description = change.description ?? draft.description
        draft.args = change.args ?? draft.args
        draft.cron = change.cron ?? draft.cron
        draft.timeZone = change.timeZone ?? draft.timeZone
        draft.catchUp = change.catchUp ?? draft.catchUp
        draft.catchUpLimit = change.catchUpLimit ?? draft.catchUpLimit
        draft.jitterSeconds = change.jitterSeconds ?? draft.jitterSeconds
        let next = try await self.next(draft, try check(draft), due, in: transaction)
        try await store.update(draft, next: next, by: actor.name, in: transaction)
        try await note(
            "JOB_SCHEDULE_UPDATE", name, actor, old: try Self.json(old), new: try Self.json(draft), in: transaction)
        transaction.afterCommit { await queue.wakeups.due() }
        return try await stored(name, in: transaction)
    }

    private func stored(_ name: String, in executor: any PostgresExecutor) async throws -> JobSchedule {
        guard let schedule = try await store.find(name, in: executor) else { throw JobScheduleError.notFound(name) }
        return schedule
    }

    /// Lets a schedule run again, from now on, or stops it; a running job goes on.
    ///
    /// - Throws: ``JobScheduleError/notFound(_:)``.
    @discardableResult
    package func setEnabled(
        _ isEnabled: Bool, _ name: String, reason: String? = nil, by actor: AuditActor
    ) async throws -> JobSchedule {
        try await queue.database.withTransaction {
            try await setEnabled(isEnabled, name, reason: reason, by: actor, in: $0)
        }
    }

    /// The same in the caller's transaction.
    package func setEnabled(
        _ isEnabled: Bool, _ name: String, reason: String? = nil, by actor: AuditActor,
        in transaction: PostgresTransaction
    ) async throws -> JobSchedule {
        let due = try await lock(name, in: transaction)
        guard due.schedule.enabled != isEnabled else { return due.schedule }
        let next = try await upcoming(try due.schedule.plan(), in: transaction)
        try await store.setEnabled(isEnabled, name, next: next, reason: reason, by: actor.name, in: transaction)
        try await note(
            isEnabled ? "JOB_SCHEDULE_ENABLE" : "JOB_SCHEDULE_DISABLE", name, actor,
            new: ["reason": reason.map { .string($0) } ?? .null], in: transaction)
        transaction.afterCommit { await queue.wakeups.due() }
        return try await stored(name, in: transaction)
    }

    /// Puts the schedule's job in now, also when it is disabled; its ticks stay as they are.
    ///
    /// - Throws: ``JobScheduleError/stillRunning(_:jobId:)`` while the last run has not ended.
    package func trigger(_ name: String, by actor: AuditActor) async throws -> EnqueuedJob {
        try await queue.database.withTransaction { try await trigger(name, by: actor, in: $0) }
    }

    /// The same in the caller's transaction.
    package func trigger(
        _ name: String, by actor: AuditActor, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        let due = try await lock(name, in: transaction)
        if let jobId = due.schedule.lastJobId?.value, try await store.isLive(jobId: jobId, in: transaction) {
            throw JobScheduleError.stillRunning(name, jobId: jobId)
        }
        let tick = SchedulePlan.Decision.Tick(tick: due.now, outcome: .triggered, ticks: 1)
        let job = try await start(tick, due, requester: actor.requester, by: actor.name, in: transaction)
        try await note("JOB_SCHEDULE_TRIGGER", name, actor, jobId: job?.id, in: transaction)
        guard let job else { throw JobScheduleError.notFound(name) }
        return job
    }

    /// Makes the schedules that the programs bring along, and keeps those that nobody has changed at the programs'
    /// settings.
    ///
    /// - Parameter atOnce: names of schedules whose first job is put in when they are made.
    package func seed(_ drafts: [ScheduleDraft], atOnce: Set<String> = []) async throws {
        for draft in drafts {
            let plan = try check(draft)
            try await queue.database.withTransaction { transaction in
                let next = try await upcoming(plan, in: transaction)
                let isNew = try await store.insert(draft, next: next, by: nil, in: transaction)
                let due = try await lock(draft.name, in: transaction)
                if !isNew, due.schedule.changedBy == nil, due.schedule.draft != draft {
                    let next = try await self.next(draft, plan, due, in: transaction)
                    try await store.update(draft, next: next, by: nil, in: transaction)
                } else if isNew, draft.enabled, atOnce.contains(draft.name) {
                    let tick = SchedulePlan.Decision.Tick(tick: due.now, outcome: .triggered, ticks: 1)
                    _ = try await start(
                        tick, due, requester: AuditActor.system.requester, by: AuditActor.system.name,
                        in: transaction)
                }
            }
        }
    }

    // MARK: Running

    /// Runs what is due: each schedule in a transaction of its own, in whichever process comes first.
    ///
    /// - Returns: how long until the next one is to be looked at.
    func runDue() async throws -> Duration? {
        let kinds = queue.catalog.names
        while !Task.isCancelled {
            let isMore = try await queue.database.withTransaction { transaction in
                guard let due = try await store.lockDue(kinds: kinds, in: transaction) else { return false }
                try await run(due, in: transaction)
                return true
            }
            if !isMore { break }
        }
        return try await store.untilNext(kinds: kinds, in: queue.database)
    }

    private func run(_ due: PostgresScheduleStore.Due, in transaction: PostgresTransaction) async throws {
        let plan: SchedulePlan
        do throws(JobScheduleError) {
            plan = try due.schedule.plan()
        } catch {
            queue.logger.error(
                "a schedule cannot be read", metadata: ["schedule": "\(due.schedule.name)", "error": "\(error)"])
            return try await store.postpone(schedule: due.id, in: transaction)
        }
        var isRunning = false
        if let jobId = due.schedule.lastJobId?.value {
            isRunning = try await store.isLive(jobId: jobId, in: transaction)
        }
        let decision = plan.decide(nextTick: due.nextTick, now: due.now, isRunning: isRunning)
        for tick in decision.givenUp { _ = try await store.note(tick, schedule: due.id, by: nil, in: transaction) }
        if let tick = decision.run {
            let requester = JobRequester(id: AuditActor.system.name, requestId: "schedule:\(due.schedule.name)")
            _ = try await start(tick, due, requester: requester, by: nil, in: transaction)
        }
        try await store.goOn(decision, schedule: due.id, in: transaction)
    }

    /// Writes the tick and its job; nil when the tick has been decided before.
    private func start(
        _ tick: SchedulePlan.Decision.Tick, _ due: PostgresScheduleStore.Due, requester: JobRequester,
        by person: String?, in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob? {
        guard try await store.note(tick, schedule: due.id, by: person, in: transaction) else { return nil }
        var options = JobOptions()
        options.requester = requester
        options.resource = JobResource(type: "schedule", id: due.schedule.name)
        let job = try await queue.enqueue(
            kind: due.schedule.kind, args: due.schedule.args.encodedString(), options: options,
            // A run that was brought back from the dead letters must not overlap with a later one either.
            orderKey: "schedule:\(due.schedule.name)", in: transaction)
        try await store.started(jobId: job.id, tick: tick.tick, schedule: due.id, in: transaction)
        return job
    }

    // MARK: Checks

    private func check(_ draft: ScheduleDraft) throws(JobScheduleError) -> SchedulePlan {
        guard draft.name.wholeMatch(of: /[a-z0-9][a-z0-9._-]{0,62}/) != nil else {
            throw .invalid(
                field: "name", problem: "'\(draft.name)' is not a name",
                fix: "use lower-case letters, digits, '-', '_' and '.', at most 63")
        }
        guard let handler = queue.catalog.handlers[draft.kind] else {
            throw .invalid(
                field: "kind", problem: "'\(draft.kind)' is not known",
                fix: "use one of \(queue.catalog.names.joined(separator: ", "))")
        }
        do {
            _ = try handler.keys(draft.args.encodedString())
        } catch {
            let reason = (error as? JobFailure)?.info.message ?? "\(error)"
            throw .invalid(
                field: "args", problem: "they do not fit the kind \(draft.kind)",
                fix: "give every parameter of the kind, in its type (\(reason))")
        }
        return try SchedulePlan(draft)
    }

    private func upcoming(
        _ plan: SchedulePlan, in executor: any PostgresExecutor
    ) async throws -> SchedulePlan.Decision {
        let next = plan.next(after: try await store.now(in: executor))
        return SchedulePlan.Decision(nextTick: next, lookAt: next.map(plan.start))
    }

    /// What comes next after a change: ticks that are due and not decided stay, unless they are others now.
    private func next(
        _ draft: ScheduleDraft, _ plan: SchedulePlan, _ due: PostgresScheduleStore.Due,
        in executor: any PostgresExecutor
    ) async throws -> SchedulePlan.Decision {
        let old = due.schedule
        guard old.nextRunAt != nil, old.cron == draft.cron, old.timeZone == draft.timeZone, old.enabled == draft.enabled
        else { return try await upcoming(plan, in: executor) }
        return SchedulePlan.Decision(nextTick: due.nextTick, lookAt: plan.start(of: due.nextTick))
    }

    private func lock(
        _ name: String, in executor: any PostgresExecutor
    ) async throws -> PostgresScheduleStore.Due {
        guard let due = try await store.lock(name, in: executor) else { throw JobScheduleError.notFound(name) }
        return due
    }

    private func note(
        _ action: String, _ name: String, _ actor: AuditActor, old: JSONValue? = nil, new: JSONValue? = nil,
        jobId: Int64? = nil, in executor: any PostgresExecutor
    ) async throws {
        try await audit.append(
            AuditEntry(
                actor: actor, action: action, resourceType: "job_schedule", resourceId: name, oldValues: old,
                newValues: new, jobId: jobId),
            in: executor)
    }

    private static func json(_ draft: ScheduleDraft) throws -> JSONValue {
        try JSON.decoder.decode(JSONValue.self, from: JSON.encoder.encode(draft))
    }
}

extension SchedulePlan {
    init(_ draft: ScheduleDraft) throws(JobScheduleError) {
        try self.init(
            name: draft.name, cron: draft.cron, timeZone: draft.timeZone, catchUp: draft.catchUp,
            catchUpLimit: draft.catchUpLimit, jitterSeconds: draft.jitterSeconds)
    }
}

extension JobSchedule {
    func plan() throws(JobScheduleError) -> SchedulePlan { try SchedulePlan(draft) }

    /// The parts that are somebody's choice.
    package var draft: ScheduleDraft {
        ScheduleDraft(
            name: name, description: description, kind: kind, args: args, cron: cron, timeZone: timeZone,
            catchUp: catchUp, catchUpLimit: catchUpLimit, jitterSeconds: jitterSeconds, enabled: enabled)
    }
}
