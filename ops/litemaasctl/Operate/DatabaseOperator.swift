import Foundation
import Jobs
import Shared

/// Acts in the database, as the account that runs the program.
struct DatabaseOperator: Operator {
    let administration: JobAdministration
    private let queueAdministration: QueueAdministration
    private let breakerAdministration: BreakerAdministration
    private let workerAdministration: WorkerAdministration
    private let jobSchedules: JobSchedules
    private let jobLimits: JobLimits
    private let userAdministration: UserAdministration
    let requests: ReconciliationRequests
    let actor = AuditActor(
        userId: nil, name: "litemaasctl:\(ProcessInfo.processInfo.userName)",
        userAgent: "litemaasctl/\(BuildInfo.version)")

    /// - Parameter queue: prepared.
    init(queue: JobQueue) {
        administration = JobAdministration(queue: queue)
        queueAdministration = QueueAdministration(queue: queue)
        breakerAdministration = BreakerAdministration(queue: queue)
        workerAdministration = WorkerAdministration(queue: queue)
        jobSchedules = JobSchedules(queue: queue)
        jobLimits = JobLimits(queue: queue)
        userAdministration = UserAdministration(queue: queue)
        requests = ReconciliationRequests(queue: queue)
    }

    // MARK: Jobs

    func jobs(_ query: JobQuery, cursor: String?, limit: Int) async throws -> JobPage {
        try await administration.jobs(query, cursor: cursor, limit: limit)
    }

    func job(_ id: Int64) async throws -> JobReport {
        guard let job = try await administration.job(id: id) else {
            throw CommandRefusal(status: .notFound, "There is no job \(id).")
        }
        return job
    }

    func explain(_ id: Int64) async throws -> JobExplanation {
        try await administration.queue.explain(id: id)
    }

    func statistics() async throws -> JobStatistics { try await administration.statistics() }

    func retry(_ id: Int64) async throws {
        try await administration.perform { try await administration.retry(id: id, by: actor, in: $0) }
    }

    func cancel(_ id: Int64, force: Bool, reason: String?) async throws {
        try await administration.perform {
            try await administration.cancel(id: id, force: force, reason: reason, by: actor, in: $0)
        }
    }

    func discard(_ id: Int64, force: Bool, reason: String?) async throws {
        try await administration.perform {
            try await administration.discard(id: id, force: force, reason: reason, by: actor, in: $0)
        }
    }

    func reschedule(_ id: Int64, at time: Date, force: Bool, reason: String?) async throws {
        try await administration.perform {
            try await administration.reschedule(id: id, at: time, force: force, reason: reason, by: actor, in: $0)
        }
    }

    func preview(_ request: BulkRequest) async throws -> BulkPreview { try await administration.preview(request) }

    func bulk(_ request: BulkRequest) async throws -> JobNumber {
        JobNumber(
            try await administration.perform {
                try await administration.startBulk(request, by: actor, in: $0)
            }.id)
    }

    // MARK: Schedules and limits

    func schedules() async throws -> [JobSchedule] { try await jobSchedules.list() }

    func schedule(_ name: String, runs: Int) async throws -> ScheduleDetails {
        ScheduleDetails(
            schedule: try await jobSchedules.get(name), nextRuns: try await jobSchedules.nextRuns(name, count: runs),
            ticks: try await jobSchedules.ticks(name))
    }

    func update(schedule: String, _ change: ScheduleChange) async throws -> JobSchedule {
        try await jobSchedules.update(schedule, change, by: actor)
    }

    func setEnabled(_ isEnabled: Bool, schedule: String, reason: String?) async throws -> JobSchedule {
        try await jobSchedules.setEnabled(isEnabled, schedule, reason: reason, by: actor)
    }

    func trigger(schedule: String) async throws -> JobNumber {
        JobNumber(try await jobSchedules.trigger(schedule, by: actor).id)
    }

    func limits() async throws -> [JobLimit] { try await jobLimits.list() }

    func limit(
        _ scope: JobLimitScope, _ name: String, maxRunning: Int?, rate: JobRate?, force: Bool
    ) async throws {
        try await jobLimits.set(scope, name, maxRunning: maxRunning, rate: rate, by: actor, force: force)
    }

    // MARK: Queues, breakers, workers

    func queues() async throws -> [QueueReport] { try await queueAdministration.queues() }

    func pause(_ queue: String, reason: String?, force: Bool) async throws -> QueueReport {
        try await administration.perform {
            try await queueAdministration.pause(queue, reason: reason, force: force, by: actor, in: $0)
        }
    }

    func resume(_ queue: String) async throws -> QueueReport {
        try await administration.perform { try await queueAdministration.resume(queue, by: actor, in: $0) }
    }

    func breakers() async throws -> [BreakerReport] { try await breakerAdministration.breakers() }

    func force(
        _ breaker: String, _ state: BreakerAdministration.Force, reason: String
    ) async throws -> BreakerReport {
        try await administration.perform {
            try await breakerAdministration.force(breaker, state, reason: reason, by: actor, in: $0)
        }
    }

    func reset(_ breaker: String) async throws -> BreakerReport {
        try await administration.perform { try await breakerAdministration.reset(breaker, by: actor, in: $0) }
    }

    func workers(ended: Bool) async throws -> [WorkerReport] { try await workerAdministration.workers(ended: ended) }

    func drain(_ worker: Int32, reason: String?) async throws -> WorkerReport {
        try await administration.perform {
            try await workerAdministration.drain(worker, reason: reason, by: actor, in: $0)
        }
    }

    func resume(worker: Int32) async throws -> WorkerReport {
        try await administration.perform { try await workerAdministration.resume(worker, by: actor, in: $0) }
    }

    // MARK: Alerts and users

    func alerts() async throws -> AlertList { try await Alerts().list(in: administration.queue.database) }

    func countUsers(for change: UserLimitsOrder) async throws -> Int {
        try await userAdministration.countForLimits(
            change.limits, of: change.filter, in: administration.queue.database)
    }

    func setLimits(_ change: UserLimitsOrder) async throws -> JobNumber? {
        try await administration.perform { transaction in
            try await userAdministration.setLimits(change.limits, of: change.filter, by: actor, in: transaction).job
        }.map { JobNumber($0.id) }
    }

    // MARK: Usage

    func rebuildUsage(from: UTCDay, to: UTCDay, force: Bool) async throws -> JobNumber {
        let usage = UsageCollection(queue: administration.queue)
        return JobNumber(
            try await administration.perform {
                try await usage.rebuild(from: from, to: to, force: force, by: actor, in: $0)
            }.id)
    }
}
