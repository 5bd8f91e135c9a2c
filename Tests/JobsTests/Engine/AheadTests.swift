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

    @Test("short jobs are claimed ahead; what finds no runner in time goes back uncharged and runs later")
    func givesBack() async throws {
        try await withTestDatabase { database in
            let harness = try await EngineHarness(database)
            let gate = Gate()
            let stage = Stage { _, _ in try await gate.pass() }
            try await harness.running([harness.engine(Self.settings)]) {
                // A pace of many short ones.
                try await database.client.withTransaction {
                    _ = try await harness.queue.enqueueMany((0..<200).map { NoOpJob(number: $0) }, in: $0)
                }
                try await harness.expectDrained()
                try await database.client.withTransaction {
                    _ = try await harness.queue.enqueueMany((0..<40).map { TestJob(stage, "\($0)") }, in: $0)
                }
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
                try await database.client.withTransaction {
                    _ = try await harness.queue.enqueueMany((0..<200).map { NoOpJob(number: $0) }, in: $0)
                }
                try await harness.expectDrained()
                try await database.client.withTransaction {
                    _ = try await harness.queue.enqueueMany((0..<40).map { TestJob(stage, "\($0)") }, in: $0)
                }
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

@Suite("Where a claim begins")
struct ClaimPositionTests {
    private typealias Cursor = PostgresJobStore.ClaimCursor
    private let zero = ContinuousClock.now

    @Test("a backlog goes straight on; after a second the start is looked at again")
    func backlog() {
        var position = ClaimPosition()
        #expect(position.begin(at: zero) == .start)
        position.advance(
            from: .start, to: Cursor(priority: 0, id: 500), isFull: true, began: zero, now: zero + .milliseconds(3))
        #expect(position.begin(at: zero + .milliseconds(4)) == Cursor(priority: 0, id: 500))
        #expect(position.begin(at: zero + .milliseconds(1004)) == .start)
    }

    @Test("without a backlog it stays behind by what a late commit may take")
    func lag() {
        var position = ClaimPosition()
        for step in 0..<30 {
            let now = zero + .milliseconds(step * 100)
            let from = position.begin(at: now)
            position.advance(
                from: from, to: Cursor(priority: 3, id: Int64(step)), isFull: false, began: now, now: now)
        }
        let cursor = position.begin(at: zero + .milliseconds(2950))
        // What was claimed by 1.9 s; more urgent work than that of then is not passed.
        #expect(cursor == Cursor(priority: 0, id: 19))
    }

    @Test("what came back is looked for at once, but walking the start takes no more than its share of the time")
    func share() {
        var position = ClaimPosition()
        // A walk over what an old transaction keeps takes 300 ms.
        position.advance(
            from: .start, to: Cursor(priority: 0, id: 9), isFull: true, began: zero, now: zero + .milliseconds(300))
        position.lookBack()
        #expect(position.begin(at: zero + .milliseconds(2000)) == Cursor(priority: 0, id: 9))
        #expect(position.wait(at: zero + .milliseconds(2000)) == .milliseconds(1300))
        #expect(position.begin(at: zero + .milliseconds(3300)) == .start)
        #expect(position.wait(at: zero + .milliseconds(3300)) == nil)
    }

    @Test("what commits late is found: a claim that finds nothing where it began, or began late, has the start looked at")
    func late() {
        var position = ClaimPosition()
        position.advance(from: .start, to: Cursor(priority: 0, id: 9), isFull: true, began: zero, now: zero)
        let next = zero + .milliseconds(1)
        #expect(position.wait(at: next) == nil)
        let cursor = position.begin(at: next)
        #expect(cursor == Cursor(priority: 0, id: 9))
        #expect(position.wait(at: next) == .milliseconds(999))
        position.advance(from: cursor, to: nil, isFull: false, began: next, now: next)
        #expect(position.wait(at: next) == .milliseconds(4))
        #expect(position.begin(at: zero + .milliseconds(5)) == .start)
        #expect(position.wait(at: zero + .milliseconds(5)) == nil)
    }

    @Test("new jobs may be more urgent than a backlog of low priority: the start is looked at for them")
    func urgentBesideBacklog() {
        for (priority, wait) in [(Int16(0), nil as Duration?), (5, .milliseconds(5))] {
            var position = ClaimPosition()
            position.advance(
                from: .start, to: Cursor(priority: priority, id: 9), isFull: true, began: zero, now: zero)
            position.newJobs()
            #expect(position.wait(at: zero) == wait)
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
