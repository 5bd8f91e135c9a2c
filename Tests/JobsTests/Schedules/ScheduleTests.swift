import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

@Suite("Schedules", .hangGuard)
struct ScheduleTests {
    static let actor = AuditActor(userId: nil, name: "operator")

    static func draft(_ stage: Stage, cron: String = "@every 1h", catchUp: ScheduleCatchUp = .once) throws
        -> ScheduleDraft
    {
        try ScheduleDraft(
            name: "nightly", description: "A test.", job: TestJob(stage, "tick"), cron: cron, catchUp: catchUp)
    }

    /// Makes the schedule look as if nobody had been there for so long.
    static func miss(_ harness: EngineHarness, seconds: Int) async throws {
        try await harness.client.query(
            """
            update job_schedules set next_tick = now() - \(seconds) * interval '1 second',
                look_at = now() - \(seconds) * interval '1 second'
            """)
    }

    @Test("a due tick runs once, whatever number of processes look at it")
    func oneRunPerTick() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(stage), by: Self.actor)
            try await Self.miss(harness, seconds: 3 * 3600)
            try await withThrowingTaskGroup(of: Void.self) { group in
                for _ in 0..<8 { group.addTask { _ = try await schedules.runDue() } }
                try await group.waitForAll()
            }
            #expect(try await harness.count("select count(*) from jobs") == 1)
            let ticks = try await schedules.ticks("nightly")
            #expect(ticks.count == 1 && ticks[0].outcome == .run && [3, 4].contains(ticks[0].ticks))
            let schedule = try await schedules.get("nightly")
            #expect(schedule.isRunning && schedule.lastJobId == ticks[0].jobId)
            #expect(try #require(schedule.nextRunAt) > schedule.changedAt)
        }
    }

    @Test("engines run schedules; every missed tick is caught up with, one after the other, never two at once")
    func noOverlap() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(stage, catchUp: .all), by: Self.actor)
            try await Self.miss(harness, seconds: 2 * 3600 + 1800)
            try await harness.running([harness.engine(), harness.engine()]) {
                await gate.arrival()
                // The first one runs: looking again any number of times starts no second one.
                for _ in 0..<5 { _ = try await schedules.runDue() }
                #expect(try await harness.count("select count(*) from jobs") == 1)
                gate.open()
                #expect(
                    try await eventually {
                        try await harness.count("select count(*) from job_history where outcome = 10") >= 2
                    })
            }
            #expect(stage.mostAtOnce == 1)
            let runs = try await schedules.ticks("nightly").filter { $0.outcome == .run }
            #expect(runs.count >= 2 && runs.allSatisfy { $0.ticks == 1 })
            #expect(Set(runs.map(\.jobId)).count == runs.count)
        }
    }

    @Test("without catch-up a tick during a run is given up and noted")
    func stillRunning() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(Stage(), catchUp: .none), by: Self.actor)
            _ = try await schedules.trigger("nightly", by: Self.actor)
            try await Self.miss(harness, seconds: 3700)
            _ = try await schedules.runDue()
            #expect(try await harness.count("select count(*) from jobs") == 1)
            #expect(try await schedules.ticks("nightly").map(\.outcome).contains(.stillRunning))
        }
    }

    @Test("a disabled schedule does not run and catches nothing up when it is enabled again; all of it is audited")
    func disabled() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(Stage(), catchUp: .all), by: Self.actor)
            let disabled = try await schedules.setEnabled(false, "nightly", reason: "maintenance", by: Self.actor)
            #expect(!disabled.enabled && disabled.nextRunAt == nil)
            #expect(disabled.disabledBy == "operator" && disabled.disableReason == "maintenance")
            try await Self.miss(harness, seconds: 7200)
            _ = try await schedules.runDue()
            #expect(try await harness.count("select count(*) from jobs") == 0)
            let enabled = try await schedules.setEnabled(true, "nightly", by: Self.actor)
            #expect(enabled.enabled && enabled.disabledBy == nil)
            _ = try await schedules.runDue()
            #expect(try await harness.count("select count(*) from jobs") == 0)
            _ = try await schedules.trigger("nightly", by: Self.actor)
            let actions = try await PostgresAuditStore().entries(
                resourceType: "job_schedule", resourceId: "nightly", limit: 10, in: harness.client
            ).map(\.action)
            #expect(
                actions.sorted() == [
                    "JOB_SCHEDULE_CREATE", "JOB_SCHEDULE_DISABLE", "JOB_SCHEDULE_ENABLE", "JOB_SCHEDULE_TRIGGER",
                ])
        }
    }

    @Test("trigger runs at once, and refuses while the last run has not ended")
    func trigger() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let stage = Stage()
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(stage), by: Self.actor)
            let job = try await schedules.trigger("nightly", by: Self.actor)
            await #expect(throws: JobScheduleError.stillRunning("nightly", jobId: job.id)) {
                try await schedules.trigger("nightly", by: Self.actor)
            }
            try await harness.running([harness.engine()]) { try await harness.wait(for: job.id, .succeeded) }
            #expect(try await schedules.trigger("nightly", by: Self.actor).id != job.id)
            #expect(stage.events("start") == ["tick"])
        }
    }

    @Test("a change counts from now, shows in the next runs, and errors name the field")
    func update() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let schedules = JobSchedules(queue: harness.queue)
            try await schedules.create(try Self.draft(Stage()), by: Self.actor)
            var change = ScheduleChange()
            change.cron = "30 2 * * *"
            change.timeZone = "Europe/Prague"
            let changed = try await schedules.update("nightly", change, by: Self.actor)
            #expect(changed.cron == "30 2 * * *" && changed.changedBy == "operator")
            let runs = try await schedules.nextRuns("nightly", count: 3)
            #expect(runs.count == 3 && runs[0].runAt == changed.nextRunAt)
            var broken = ScheduleChange()
            broken.args = ["label": 5]
            do {
                try await schedules.update("nightly", broken, by: Self.actor)
                Issue.record("parameters of the wrong type were taken")
            } catch JobScheduleError.invalid(let field, _, _) {
                #expect(field == "args")
            }
            await #expect(throws: JobScheduleError.notFound("other")) { try await schedules.get("other") }
            await #expect(throws: JobScheduleError.exists("nightly")) {
                try await schedules.create(try Self.draft(Stage()), by: Self.actor)
            }
        }
    }

    @Test("a tick that is due stays due when something else changes")
    func keepsDueTick() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let schedules = JobSchedules(queue: harness.queue)
            var draft = try Self.draft(Stage())
            try await schedules.seed([draft])
            try await Self.miss(harness, seconds: 60)
            draft.description = "Another text."
            try await schedules.seed([draft])
            #expect(try await harness.count("select count(*) from job_schedules where next_tick < now()") == 1)
            var change = ScheduleChange()
            change.description = "A third one."
            try await schedules.update("nightly", change, by: Self.actor)
            let due: PostgresQuery = "select count(*) from job_schedules where next_tick < now() and look_at < now()"
            #expect(try await harness.count(due) == 1)
            change.cron = "@weekly"
            try await schedules.update("nightly", change, by: Self.actor)
            #expect(try await harness.count(due) == 0)
        }
    }

    @Test("seeds are made once, follow the settings until somebody changes them, and then stay")
    func seeds() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let schedules = JobSchedules(queue: harness.queue)
            var draft = try Self.draft(Stage())
            try await schedules.seed([draft], atOnce: ["nightly"])
            try await schedules.seed([draft], atOnce: ["nightly"])
            #expect(try await harness.count("select count(*) from jobs") == 1)
            draft.cron = "@daily"
            try await schedules.seed([draft])
            #expect(try await schedules.get("nightly").cron == "@daily")
            var change = ScheduleChange()
            change.cron = "@weekly"
            try await schedules.update("nightly", change, by: Self.actor)
            try await schedules.seed([draft])
            #expect(try await schedules.get("nightly").cron == "@weekly")
        }
    }

    @Test("the product's own schedules fit their kinds")
    func standing() async throws {
        try await withTestDatabase { database in
            let queue = JobQueue(database: database.client, catalog: .standard, logger: EngineHarness.logger)
            try await queue.prepare()
            let drafts = try StandingSchedules().drafts()
            try await JobSchedules(queue: queue).seed(drafts, atOnce: StandingSchedules.atOnce)
            #expect(try await JobSchedules(queue: queue).list().map(\.name) == drafts.map(\.name).sorted())
        }
    }
}
