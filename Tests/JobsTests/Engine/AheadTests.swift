import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Jobs claimed ahead of their time, and where claims begin.
@Suite("Claiming ahead", .needsDatabase)
struct AheadTests {
    private static let settings: EngineSettings = {
        var settings = EngineHarness.fastSettings
        settings.concurrency = 2
        settings.maxAheadWait = .milliseconds(50)
        return settings
    }()

    /// Forty jobs of the stage after so many short ones that they are claimed ahead.
    private static func enqueueAhead(_ stage: Stage, _ harness: EngineHarness) async throws {
        try await harness.client.withTransaction {
            _ = try await harness.queue.enqueueMany((0..<200).map { NoOpJob(number: $0) }, in: $0)
        }
        try await harness.expectDrained()
        try await harness.client.withTransaction {
            _ = try await harness.queue.enqueueMany((0..<40).map { TestJob(stage, "\($0)") }, in: $0)
        }
    }

    @Test("short jobs are claimed ahead; what finds no runner in time goes back uncharged and runs later")
    func givesBack() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            try await harness.running([harness.engine(Self.settings)]) {
                try await Self.enqueueAhead(stage, harness)
                // Two run and stand at the gate. The rest was held for a moment and is free for other workers again.
                let isBack = try await eventually {
                    try await harness.count("select count(*) from jobs where state = 1") == 2
                        && stage.events("start").count == 2
                }
                #expect(isBack)
                #expect(try await harness.count("select count(*) from jobs where state = 0 and attempt = 0") == 38)
                gate.open()
                try await harness.expectDrained()
            }
            #expect(stage.events("end").count == 40)
            #expect(try await harness.count("select count(*) from job_history where attempt <> 1") == 0)
        }
    }

    @Test("a shutdown gives back what was claimed ahead and never began")
    func shutdown() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            var settings = Self.settings
            settings.maxAheadWait = .seconds(60)
            settings.drain = .milliseconds(100)
            try await harness.running([harness.engine(settings)]) {
                try await Self.enqueueAhead(stage, harness)
                let isAhead = try await eventually {
                    try await harness.count("select count(*) from jobs where state = 1") > 2
                }
                #expect(isAhead)
            }
            #expect(try await harness.count("select count(*) from jobs where state = 0 and attempt = 0") == 40)
            gate.open()
        }
    }

    @Test("a job cancelled while it waits for a runner never begins")
    func cancelled() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            var settings = Self.settings
            settings.maxAheadWait = .seconds(60)
            try await harness.running([harness.engine(settings)]) {
                try await database.client.withTransaction {
                    _ = try await harness.queue.enqueueMany((0..<200).map { NoOpJob(number: $0) }, in: $0)
                }
                try await harness.expectDrained()
                let ids = try await database.client.withTransaction {
                    try await harness.queue.enqueueMany((0..<10).map { TestJob(stage, "\($0)") }, in: $0)
                }
                let last = try #require(ids.last)
                let isHeld = try await eventually {
                    try await harness.count("select count(*) from jobs where id = \(last) and state = 1") == 1
                }
                #expect(isHeld)
                try await harness.queue.cancel(id: last, by: "tester")
                // By then some heartbeat has read the request after it was committed.
                let isHeard = try await eventually {
                    try await harness.count(
                        """
                        select count(*) from job_workers w, jobs j
                        where j.id = \(last) and w.id = j.worker_id and w.beat_at > j.cancel_requested_at + interval '1 second'
                        """) == 1
                }
                #expect(isHeard)
                gate.open()
                try await harness.wait(for: last, .cancelled)
                try await harness.expectDrained()
            }
            #expect(!stage.events("start").contains("9"))
        }
    }

    @Test("single enqueues at the same moment all get their own id; one that cannot be stored fails alone")
    func together() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let ids = try await withThrowingTaskGroup(of: Int64?.self) { group in
                for number in 0..<200 {
                    group.addTask {
                        var options = JobOptions()
                        // Text cannot hold a NUL.
                        options.requester = JobRequester(id: number == 77 ? "\0" : "user-\(number)")
                        do {
                            return try await harness.queue.enqueue(NoOpJob(number: number), options: options).id
                        } catch let error as PostgresError where error.code == .encode && number == 77 {
                            return nil
                        }
                    }
                }
                return try await group.reduce(into: [Int64]()) { if let id = $1 { $0.append(id) } }
            }
            #expect(Set(ids).count == 199)
            let rows = try await database.client.query(
                "select id, requester_id, args from jobs where id = any (\(ids))")
            for row in rows {
                let (_, requester, args) = try row.decode(Int64.self, String.self, JSONValue.self)
                #expect(requester == "user-\(args["number"]?.intValue ?? -1)")
            }
            #expect(rows.count == 199)
        }
    }
}

@Suite("Jobs held by a worker")
struct HeldJobsTests {
    private func held(_ id: Int64, untilDeadline: Duration? = nil) -> RunningJobs.Held {
        .init(
            job: ClaimedJob(id: id, token: 1, untilDeadline: untilDeadline, args: Data("{}".utf8)),
            timeout: .seconds(60))
    }

    @Test("telling a job to stop does not stop the one that its runner has come to")
    func stopsItsOwnOnly() async throws {
        let running = RunningJobs(capacity: 1, reservedCapacity: 0, maxAhead: 10)
        let runner = try #require(running.hold([held(1), held(2)]).first)
        let task = Task { await WakeSignal().wait(atMost: .seconds(600)) }
        defer { task.cancel() }
        running.attach(task, to: runner)
        #expect(running.next(for: runner, isSpent: false)?.job.id == 1)
        #expect(running.next(for: runner, isSpent: false)?.job.id == 2)
        running.stop(AttemptId(id: 1, token: 1), reason: .timeout)
        #expect(!task.isCancelled)
        running.stop(AttemptId(id: 2, token: 1), reason: .timeout)
        #expect(task.isCancelled)
    }

    @Test("a job whose deadline passed while it waited does not begin")
    func lateWhileWaiting() throws {
        let running = RunningJobs(capacity: 1, reservedCapacity: 0, maxAhead: 10)
        let runner = try #require(running.hold([held(1, untilDeadline: .zero), held(2)]).first)
        #expect(running.next(for: runner, isSpent: false)?.stop == .deadline)
        let next = try #require(running.next(for: runner, isSpent: false))
        #expect(next.stop == nil)
    }

    @Test("jobs that wait get runners when protected jobs leave their slots")
    func slotsComeBack() throws {
        let running = RunningJobs(capacity: 1, reservedCapacity: 1, maxAhead: 10)
        let protected = [held(1), held(2)]
        for one in protected { _ = running.holdApart(one, isReserved: true) }
        #expect(running.hold([held(3)]).isEmpty)
        running.end(protected.map(\.job.attemptId))
        #expect(running.missingRunners().count == 1)
    }

    @Test("a job that goes back unbegun is held until that is written, and never told to stop")
    func unbegun() {
        let running = RunningJobs(capacity: 1, reservedCapacity: 1, maxAhead: 0)
        let job = held(1)
        running.holdEnded([job], isReserved: false)
        #expect(running.holds(job.job.attemptId) && running.free(isReserved: false) == 0)
        #expect(running.takeWaiting().isEmpty)
        running.end([job.job.attemptId])
        #expect(running.count == 0 && running.free(isReserved: false) == 1)
    }

    @Test("a worker with less room than lanes serves each of them", .needsDatabase)
    func oneSlotManyLanes() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            var settings = EngineHarness.fastSettings
            settings.concurrency = 1
            let stage = Stage()
            try await harness.running([harness.engine(settings)]) {
                let ids = [
                    try await harness.enqueue(UpstreamJob(stage: stage.name, label: "upstream")),
                    try await harness.enqueue(TestJob(stage, "plain")),
                ]
                for id in ids { try await harness.wait(for: id, .succeeded) }
            }
        }
    }
}

@Suite("Where a claim begins")
struct ClaimPositionTests {
    private typealias Cursor = PostgresJobStore.ClaimCursor
    private let zero = ContinuousClock.now

    private func claimed(
        _ position: inout ClaimPosition, from begin: Cursor, to last: Cursor?, count: Int = 100, isFull: Bool = true,
        at milliseconds: Int, took: Int = 1
    ) {
        let began = zero + .milliseconds(milliseconds)
        position.advance(
            from: begin, to: last, count: count, isFull: isFull, began: began, now: began + .milliseconds(took))
    }

    @Test("a backlog goes straight on; between its claims the start is looked at again")
    func backlog() {
        var position = ClaimPosition()
        let first = Cursor(priority: 0, id: 500)
        #expect(position.begin(at: zero) == .start)
        claimed(&position, from: .start, to: first, at: 0)
        #expect(position.begin(at: zero + .milliseconds(2)) == first)
        claimed(&position, from: first, to: first, at: 2)
        // The first look cost nothing to compare with: it counts in full.
        #expect(position.begin(at: zero + .milliseconds(10)) == first)
        #expect(position.begin(at: zero + .milliseconds(11)) == .start)
        // The next one is known to take no longer than other claims.
        claimed(&position, from: .start, to: first, at: 11)
        #expect(position.begin(at: zero + .milliseconds(16)) == first)
        #expect(position.begin(at: zero + .milliseconds(17)) == .start)
    }

    @Test("without a backlog it stays behind by what a late commit may take")
    func lag() {
        var position = ClaimPosition()
        for step in 0..<30 {
            let from = position.begin(at: zero + .milliseconds(step * 100))
            claimed(
                &position, from: from, to: Cursor(priority: 3, id: Int64(step)), count: 1, isFull: false,
                at: step * 100, took: 0)
        }
        // What was claimed by 1.9 s; more urgent work than that of then is not passed.
        #expect(position.begin(at: zero + .milliseconds(2904)) == Cursor(priority: 0, id: 19))
    }

    @Test("walking the start over what an old transaction keeps takes no more than its share of the time")
    func share() {
        var position = ClaimPosition()
        let cursor = Cursor(priority: 0, id: 9)
        claimed(&position, from: cursor, to: cursor, at: 0)
        claimed(&position, from: .start, to: cursor, at: 0, took: 301)
        position.lookBack()
        let ended = zero + .milliseconds(301)
        #expect(position.begin(at: ended + .milliseconds(2900)) == cursor)
        #expect(position.wait(at: ended + .milliseconds(2900)) == .milliseconds(100))
        #expect(position.begin(at: ended + .milliseconds(3001)) == .start)
        #expect(position.wait(at: ended + .milliseconds(3001)) == nil)
    }

    @Test("a claim that began beyond the start has that looked at, though nobody rings any more")
    func late() {
        var position = ClaimPosition()
        let cursor = Cursor(priority: 0, id: 9)
        claimed(&position, from: cursor, to: cursor, at: 0)
        claimed(&position, from: .start, to: cursor, at: 1)
        #expect(position.wait(at: zero + .milliseconds(3)) == nil)
        #expect(position.begin(at: zero + .milliseconds(3)) == cursor)
        #expect(position.wait(at: zero + .milliseconds(3)) == .milliseconds(4))
        #expect(position.begin(at: zero + .milliseconds(7)) == .start)
        #expect(position.wait(at: zero + .milliseconds(7)) == nil)
    }

    @Test("the search for the oldest is repeated at once while it finds any, rarely when slow or in vain")
    func aged() {
        var position = ClaimPosition()
        #expect(!position.isAgedDue(at: zero))
        claimed(&position, from: .start, to: Cursor(priority: 7, id: 9), at: 0)
        #expect(position.level == 7)
        #expect(position.isAgedDue(at: zero))
        position.notedAged(5, took: .milliseconds(3), now: zero)
        #expect(position.isAgedDue(at: zero))
        for (count, wait) in [(0, 1000), (5, 300)] {
            position.notedAged(count, took: .milliseconds(30), now: zero)
            #expect(!position.isAgedDue(at: zero + .milliseconds(wait - 1)))
            #expect(position.isAgedDue(at: zero + .milliseconds(wait)))
        }
    }

    @Test("news of ready queues survive the way through a payload")
    func news() {
        let news = ReadyNews(queues: [1, 3], again: [3], isDue: true)
        #expect(ReadyNews(news.payload) == news)
        // A worker of the version before reads numbers only, and must find all queues among them.
        #expect(news.payload.split(separator: ",").compactMap { Int16($0) }.sorted() == [0, 1, 3])
    }

    @Test("nothing is claimed ahead before the pace is known, nor when jobs are slow")
    func pace() {
        var pace = JobPace()
        for _ in 0..<15 { pace.note(.microseconds(50)) }
        #expect(pace.jobsWithinHorizon(slots: 64) == 0)
        pace.note(.microseconds(50))
        #expect(pace.jobsWithinHorizon(slots: 64) > 1000)
        for _ in 0..<50 { pace.note(.seconds(2)) }
        #expect(pace.jobsWithinHorizon(slots: 16) == 0)
    }
}
