import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Two engines with their own schedulers on one database, whose clock the test moves.
@Suite("Schedules while the clock moves", .needsDatabase, .hangGuard)
struct ScheduleClockTests {
    /// In the future, so that nothing of it is due on the real clock.
    private struct Change: Sendable, CustomTestStringConvertible {
        var testDescription: String
        var start: String
        var hours: Int
        /// When `30 2 * * *` runs in Berlin.
        var nightly: [String]
    }

    private static let changes = [
        // 02:00 to 03:00 on 2027-03-28 does not exist: once, right after the gap.
        Change(
            testDescription: "spring forward", start: "2027-03-27T20:50:00Z", hours: 30,
            nightly: ["2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"]),
        // 02:00 to 03:00 on 2027-10-31 comes twice: once, the first time.
        Change(
            testDescription: "fall back", start: "2027-10-30T20:50:00Z", hours: 30,
            nightly: ["2027-10-31T00:30:00Z", "2027-11-01T01:30:00Z"]),
    ]

    private static func date(_ text: String) throws -> Date { try #require(ISO8601.date(from: text)) }

    private struct Scene: Sendable {
        let harness: EngineHarness
        let schedules: JobSchedules
        let stage: Stage

        static let clock: PostgresFragment = "(select at from test_clock)"

        init(_ database: TestDatabase, at start: Date, _ stage: Stage) async throws {
            harness = try await EngineHarness(database)
            self.stage = stage
            schedules = JobSchedules(queue: harness.queue, clock: Self.clock)
            try await database.client.query("create table test_clock (at timestamptz not null)")
            try await database.client.query("insert into test_clock values (\(start))")
        }

        func engines(_ count: Int) -> [JobEngine] {
            var settings = EngineHarness.fastSettings
            settings.scheduleClock = Self.clock
            return (0..<count).map { _ in harness.engine(settings) }
        }

        func add(_ name: String, _ cron: String, catchUp: ScheduleCatchUp = .once) async throws {
            var draft = try ScheduleDraft(
                name: name, description: "A test.", job: TestJob(stage, name), cron: cron, timeZone: "Europe/Berlin")
            draft.catchUp = catchUp
            try await schedules.create(draft, by: ScheduleTests.actor)
        }

        /// Sets the clock and has the schedulers look at it.
        func move(to time: Date) async throws {
            try await harness.client.query("update test_clock set at = \(time)")
            await harness.queue.wakeups.due()
        }

        /// Whether all that is due has run to its end.
        func isCalm() async throws -> Bool {
            try await harness.client.query(
                """
                select not exists (select from jobs) and not exists (
                    select from job_schedules where enabled and look_at <= (select at from test_clock))
                """
            ).one(Bool.self)
        }

        func runs(_ name: String) async throws -> [ScheduleTick] {
            try await schedules.ticks(name, limit: 200).reversed()
        }
    }

    @Test("across a change of Berlin's clocks every tick fires exactly once, by the rule", arguments: changes)
    private func daylightSaving(_ change: Change) async throws {
        try await withTestDatabase { database in
            let start = try Self.date(change.start)
            let scene = try await Scene(database, at: start, Stage())
            try await scene.add("nightly", "30 2 * * *")
            try await scene.add("hourly", "0 * * * *")
            try await scene.harness.running(scene.engines(2)) {
                for step in 1...(change.hours * 2) {
                    try await scene.move(to: start.addingTimeInterval(Double(step) * 1800))
                    let isCalm = try await eventually { try await scene.isCalm() }
                    try #require(isCalm, "step \(step)")
                }
            }
            let nightly = try await scene.runs("nightly")
            #expect(nightly.map(\.tick) == (try change.nightly.map(Self.date)))
            // Real time: an hour is an hour, whatever the clock on the wall shows.
            let hourly = try await scene.runs("hourly")
            let first = start.addingTimeInterval(600)
            #expect(hourly.map(\.tick) == (0..<change.hours).map { first.addingTimeInterval(Double($0) * 3600) })
            #expect((nightly + hourly).allSatisfy { $0.outcome == .run && $0.ticks == 1 })
            let started = scene.stage.events("start")
            #expect(started.count { $0 == "nightly" } == 2 && started.count { $0 == "hourly" } == change.hours)
        }
    }

    @Test("ten ticks that nobody was there for are caught up with once by the engines that come back")
    func restart() async throws {
        try await withTestDatabase { database in
            let start = try Self.date("2027-05-01T08:50:00Z")
            let scene = try await Scene(database, at: start, Stage())
            try await scene.add("hourly", "0 * * * *")
            try await scene.harness.running(scene.engines(1)) {
                try await scene.move(to: start.addingTimeInterval(600))
                #expect(try await eventually { try await scene.isCalm() && scene.stage.events("start").count == 1 })
            }
            try await scene.move(to: start.addingTimeInterval(600 + 10 * 3600 + 60))
            try await scene.harness.running(scene.engines(2)) {
                let isCaughtUp = try await eventually {
                    try await scene.isCalm() && scene.stage.events("start").count == 2
                }
                #expect(isCaughtUp)
                await scene.harness.queue.wakeups.due()
                let isCalm = try await eventually { try await scene.isCalm() }
                #expect(isCalm)
            }
            #expect(scene.stage.events("start").count == 2)
            let runs = try await scene.runs("hourly")
            #expect(runs.map(\.ticks) == [1, 10] && runs.allSatisfy { $0.outcome == .run })
            let next = try await scene.schedules.get("hourly").nextRunAt
            #expect(next == start.addingTimeInterval(600 + 11 * 3600))
        }
    }

    @Test("ticks that come while a schedule is disabled are caught up with by none")
    func enabledAgain() async throws {
        try await withTestDatabase { database in
            let start = try Self.date("2027-05-01T08:50:00Z")
            let scene = try await Scene(database, at: start, Stage())
            try await scene.add("hourly", "0 * * * *", catchUp: .all)
            try await scene.schedules.setEnabled(false, "hourly", by: ScheduleTests.actor)
            try await scene.harness.running(scene.engines(2)) {
                try await scene.move(to: start.addingTimeInterval(10 * 3600))
                try await scene.schedules.setEnabled(true, "hourly", by: ScheduleTests.actor)
                #expect(try await eventually { try await scene.isCalm() })
                #expect(scene.stage.events("start").isEmpty)
                // The first one after that runs.
                try await scene.move(to: start.addingTimeInterval(10 * 3600 + 600))
                #expect(try await eventually { try await scene.isCalm() && scene.stage.events("start").count == 1 })
            }
            #expect(try await scene.runs("hourly").map(\.ticks) == [1])
        }
    }

    @Test("ticks that come during a run wait for its end and are one run then; a run now is refused meanwhile")
    func coalesced() async throws {
        try await withTestDatabase { database in
            let gate = Gate()
            let start = try Self.date("2027-05-01T08:50:00Z")
            let scene = try await Scene(database, at: start, Stage { _, _ in try await gate.pass() })
            try await scene.add("hourly", "0 * * * *")
            try await scene.harness.running(scene.engines(2)) {
                try await scene.move(to: start.addingTimeInterval(600))
                await gate.arrival()
                for hour in 1...3 { try await scene.move(to: start.addingTimeInterval(600 + Double(hour) * 3600)) }
                _ = try await scene.schedules.runDue()
                await #expect(throws: JobScheduleError.self) {
                    try await scene.schedules.trigger("hourly", by: ScheduleTests.actor)
                }
                #expect(try await scene.harness.count("select count(*) from jobs") == 1)
                gate.open()
                // The schedule is looked at again a second of its clock later, so that the clock has to go on.
                var later = 0.0
                #expect(
                    try await eventually {
                        later += 1
                        try await scene.move(to: start.addingTimeInterval(600 + 3 * 3600 + later))
                        return try await scene.isCalm() && scene.stage.events("start").count == 2
                    })
            }
            #expect(scene.stage.mostAtOnce == 1)
            #expect(try await scene.runs("hourly").map(\.ticks) == [1, 3])
        }
    }
}
