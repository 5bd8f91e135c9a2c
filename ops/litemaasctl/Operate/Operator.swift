import Foundation
import Jobs
import Shared

/// What an operator can look at and do, wherever it is done: over the REST API, or in the database.
protocol Operator: Sendable {
    func jobs(_ query: JobQuery, cursor: String?, limit: Int) async throws -> JobPage
    func job(_ id: Int64) async throws -> JobReport
    func explain(_ id: Int64) async throws -> JobExplanation
    func statistics() async throws -> JobStatistics
    func retry(_ id: Int64) async throws
    func cancel(_ id: Int64, force: Bool, reason: String?) async throws
    func discard(_ id: Int64, force: Bool, reason: String?) async throws
    func reschedule(_ id: Int64, at time: Date, force: Bool, reason: String?) async throws

    func preview(_ request: BulkRequest) async throws -> BulkPreview
    /// Starts a bulk action as a job.
    func bulk(_ request: BulkRequest) async throws -> JobNumber

    func queues() async throws -> [QueueReport]
    func pause(_ queue: String, reason: String?, force: Bool) async throws -> QueueReport
    func resume(_ queue: String) async throws -> QueueReport

    func schedules() async throws -> [JobSchedule]
    func schedule(_ name: String, runs: Int) async throws -> ScheduleDetails
    func update(schedule: String, _ change: ScheduleChange) async throws -> JobSchedule
    func setEnabled(_ isEnabled: Bool, schedule: String, reason: String?) async throws -> JobSchedule
    /// Puts the schedule's job in now.
    func trigger(schedule: String) async throws -> JobNumber

    func limits() async throws -> [JobLimit]
    /// None of both lifts the limit.
    func limit(_ scope: JobLimitScope, _ name: String, maxRunning: Int?, rate: JobRate?, force: Bool) async throws

    func breakers() async throws -> [BreakerReport]
    func force(_ breaker: String, _ state: BreakerAdministration.Force, reason: String) async throws -> BreakerReport
    func reset(_ breaker: String) async throws -> BreakerReport

    func workers(ended: Bool) async throws -> [WorkerReport]
    func drain(_ worker: Int32, reason: String?) async throws -> WorkerReport
    func resume(worker: Int32) async throws -> WorkerReport

    func alerts() async throws -> AlertList
    /// How many active users a change of limits would reach.
    func countUsers(for change: UserLimitsOrder) async throws -> Int
    /// Changes limits of many active users; no job where there are none.
    func setLimits(_ change: UserLimitsOrder) async throws -> JobNumber?
    /// Starts taking days of usage over anew as a job.
    func rebuildUsage(from: UTCDay, to: UTCDay, force: Bool) async throws -> JobNumber
    /// Starts a comparison with LiteLLM as a job.
    func reconcile(scope: [ReconcileScope]?, dryRun: Bool, policy: ReconcilePolicy) async throws -> JobNumber
    func findings(_ filter: DriftFilter) async throws -> DriftPage
    func decide(_ id: Int64, _ decision: DriftDecision) async throws -> DriftReport
}

/// A schedule with the runs to come and what came of its newest ticks.
struct ScheduleDetails: Codable, Sendable {
    var schedule: JobSchedule
    var nextRuns: [ScheduleRun]
    var ticks: [ScheduleTick]
}
