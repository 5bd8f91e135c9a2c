import Foundation
import Jobs
import Shared
import Synchronization

/// The measurements; commands give them their sizes, `compare` takes them in turn.
struct BenchRuns: Sendable {
    let database: BenchDatabase
    let limit: Duration

    private var tally: BenchTally { .shared }

    /// Settings of bare connections: the same planner as the engine's.
    private var bare: PostgresSettings {
        var settings = database.settings
        settings.sessionSettings = JobEngine.plannerSettings
        return settings
    }

    // MARK: Draining

    /// A backlog of no-op jobs worked off by one engine, history kept.
    func drain(jobs: Int, workers: Int) async throws -> BenchResult {
        // Makes the kinds known.
        _ = try await BenchEngine.foreignQueue(database.client, database.logger)
        try await database.store.clear(in: database.client)
        try await database.store.load(jobs, kind: BenchJob.name, in: database.client)
        try await database.store.settle(in: database.client)
        return try await drainLoaded("drain", jobs: jobs, workers: workers)
    }

    /// Works off what is there.
    func drainLoaded(_ name: String, jobs: Int, workers: Int) async throws -> BenchResult {
        tally.reset()
        let meter = try await BenchMeter(database)
        return try await BenchProgress.during(name, of: jobs, count: { BenchTally.shared.ranCount }) {
            let (seconds, cost) = try await BenchEngine.running(database, workers: workers) { engine in
                try await engine.finish(jobs, within: limit)
                let ended = ContinuousClock.now
                let cost = try await meter.stop()
                return ((ended - (BenchTally.shared.firstRanAt ?? ended)).inSeconds, cost)
            }
            return BenchResult(name, jobs: jobs, seconds: seconds, cost: cost)
        }
    }

    /// The same on bare libpq.
    func bareDrain(jobs: Int, connections: Int, batch: Int) async throws -> BenchResult {
        try await BareLoop.prepare(bare, jobs: jobs)
        let meter = try await BenchMeter(database)
        let done = SharedCount()
        let settings = bare
        return try await BenchProgress.during("raw drain", of: jobs, count: { done.now }) {
            let times = try await BareLoop.onThreads(connections) { number in
                let connection = try PostgresBareConnection(settings)
                let started = ContinuousClock.now
                _ = try BareLoop.work(connection, worker: Int32(number + 1), batch: batch, done: done.value) { true }
                return (started, ContinuousClock.now)
            }
            let cost = try await meter.stop()
            let started = times.map(\.0).min() ?? .now
            let ended = times.map(\.1).max() ?? .now
            return BenchResult("raw drain", jobs: done.now, seconds: (ended - started).inSeconds, cost: cost)
        }
    }

    // MARK: Inserting and working at once

    /// One inserter of batches, one engine, until all that was inserted is worked.
    func steady(jobs: Int, workers: Int, batch: Int) async throws -> BenchResult {
        try await database.store.clear(in: database.client)
        try await database.store.settle(in: database.client)
        tally.reset()
        let queue = try await BenchEngine.foreignQueue(database.client, database.logger)
        return try await BenchProgress.during("steady", of: jobs, count: { BenchTally.shared.ranCount }) {
            try await BenchEngine.running(database, workers: workers) { engine in
                let meter = try await BenchMeter(database)
                let started = ContinuousClock.now
                for first in stride(from: 0, to: jobs, by: batch) {
                    let part = (first..<min(first + batch, jobs)).map { BenchJob($0) }
                    _ = try await database.client.withTransaction { try await queue.enqueueMany(part, in: $0) }
                }
                try await engine.finish(jobs, within: limit)
                let ended = ContinuousClock.now
                return BenchResult(
                    "steady", jobs: jobs, seconds: (ended - started).inSeconds, cost: try await meter.stop())
            }
        }
    }

    /// The same on bare libpq: one connection inserts, one works.
    func bareSteady(jobs: Int, batch: Int, claim: Int) async throws -> BenchResult {
        try await BareLoop.prepare(bare, jobs: 0)
        let meter = try await BenchMeter(database)
        let (inserted, done) = (SharedCount(), SharedCount())
        let settings = bare
        return try await BenchProgress.during("raw steady", of: jobs, count: { done.now }) {
            let times = try await BareLoop.onThreads(2) { number in
                let connection = try PostgresBareConnection(settings)
                let started = ContinuousClock.now
                if number == 0 {
                    for first in stride(from: 0, to: jobs, by: batch) {
                        let part = first..<min(first + batch, jobs)
                        try connection.run("insert", PostgresRawQueueStore.insert(BareLoop.arguments(part)))
                        inserted.value.add(part.count, ordering: .relaxed)
                    }
                } else {
                    _ = try BareLoop.work(connection, worker: 1, batch: claim, done: done.value) {
                        done.now >= jobs
                    }
                }
                return (started, ContinuousClock.now)
            }
            let cost = try await meter.stop()
            let started = times.map(\.0).min() ?? .now
            let ended = times.map(\.1).max() ?? .now
            return BenchResult("raw steady", jobs: done.now, seconds: (ended - started).inSeconds, cost: cost)
        }
    }

    // MARK: Enqueueing

    enum EnqueueMethod: String, CaseIterable, Sendable {
        case single, many, copy
    }

    /// Enqueues through the product's own calls, by so many callers at once.
    func enqueue(_ method: EnqueueMethod, jobs: Int, callers: Int, batch: Int) async throws -> BenchResult {
        try await database.store.clear(in: database.client)
        try await database.store.settle(in: database.client)
        let client = PostgresClient(settings: database.settings, logger: database.logger)
        let queue = try await BenchEngine.foreignQueue(client, database.logger)
        let (next, done) = (SharedCount(), SharedCount())
        let step = method == .single ? 1 : batch
        let meter = try await BenchMeter(database)
        let started = ContinuousClock.now
        let name = "enqueue \(method.rawValue)"
        let waits = try await BenchProgress.during(name, of: jobs, count: { done.now }) {
            try await withThrowingTaskGroup(of: [Double].self) { group in
                for _ in 0..<callers {
                    group.addTask {
                        var waits: [Double] = []
                        while true {
                            let first = next.value.add(step, ordering: .relaxed).oldValue
                            guard first < jobs else { return waits }
                            let part = first..<min(first + step, jobs)
                            let asked = ContinuousClock.now
                            switch method {
                            case .single: _ = try await queue.enqueue(BenchJob(first))
                            case .many:
                                let some = part.map { BenchJob($0) }
                                _ = try await client.withTransaction { try await queue.enqueueMany(some, in: $0) }
                            case .copy:
                                let rows = BareLoop.arguments(part).map {
                                    PostgresCopyText.row(["1", "1", "25", $0.text])
                                }
                                try await client.copyIn(PostgresBenchStore.copyJobs, rows: rows)
                            }
                            waits.append((.now - asked).inSeconds * 1000)
                            done.value.add(part.count, ordering: .relaxed)
                        }
                    }
                }
                return try await group.reduce(into: [Double]()) { $0 += $1 }
            }
        }
        let seconds = (.now - started).inSeconds
        let cost = try await meter.stop()
        await client.close()
        return BenchResult(name, jobs: jobs, seconds: seconds, cost: cost, latency: waits)
    }

    /// The same rows into the same table on bare libpq; a batch of 1 is one commit for each job.
    func bareEnqueue(jobs: Int, connections: Int, batch: Int) async throws -> BenchResult {
        try await database.store.clear(in: database.client)
        try await database.store.settle(in: database.client)
        let meter = try await BenchMeter(database)
        let (next, done) = (SharedCount(), SharedCount())
        let settings = bare
        let name = batch == 1 ? "raw enqueue single" : "raw enqueue many"
        return try await BenchProgress.during(name, of: jobs, count: { done.now }) {
            let times = try await BareLoop.onThreads(connections) { _ in
                let connection = try PostgresBareConnection(settings)
                let started = ContinuousClock.now
                while true {
                    let first = next.value.add(batch, ordering: .relaxed).oldValue
                    guard first < jobs else { return (started, ContinuousClock.now) }
                    let part = first..<min(first + batch, jobs)
                    if batch == 1 {
                        try connection.run("one", PostgresBenchStore.insertOne(number: Int64(first)))
                    } else {
                        try connection.run("many", PostgresBenchStore.insertMany(BareLoop.arguments(part)))
                    }
                    done.value.add(part.count, ordering: .relaxed)
                }
            }
            let cost = try await meter.stop()
            let started = times.map(\.0).min() ?? .now
            let ended = times.map(\.1).max() ?? .now
            return BenchResult(name, jobs: jobs, seconds: (ended - started).inSeconds, cost: cost)
        }
    }

    // MARK: Latency

    /// From asking for a job to its beginning, while no-op jobs come at a rate. The asker is another pool, as the API
    /// is another process: the engine hears of it by NOTIFY.
    func latency(count: Int, load: Int, workers: Int) async throws -> BenchResult {
        try await database.store.clear(in: database.client)
        try await database.store.settle(in: database.client)
        tally.reset()
        let client = PostgresClient(settings: database.settings, logger: database.logger)
        let queue = try await BenchEngine.foreignQueue(client, database.logger)
        let name = load == 0 ? "latency idle" : "latency at \(load) jobs/s"
        let result = try await BenchProgress.during(name, of: count, count: { BenchTally.shared.startCount }) {
            try await BenchEngine.running(database, workers: workers) { engine in
                let meter = try await BenchMeter(database)
                let started = ContinuousClock.now
                let generator = Task { try await generate(load, on: queue, client) }
                // The first few warm the connections up on both sides.
                let warmUp = 10
                for number in 0..<(count + warmUp) {
                    _ = try await queue.enqueue(BenchPing())
                    try await Task.sleep(for: .milliseconds(Int.random(in: 20...70)))
                    if number + 1 == warmUp { try await began(warmUp) }
                }
                generator.cancel()
                let loaded = try await generator.value
                try await began(count + warmUp)
                try await engine.finish(loaded, within: limit)
                let waits = Array(BenchTally.shared.startWaits.dropFirst(warmUp))
                return BenchResult(
                    name, jobs: count + warmUp + loaded, seconds: (.now - started).inSeconds,
                    cost: try await meter.stop(), latency: waits)
            }
        }
        await client.close()
        return result
    }

    private func began(_ count: Int) async throws {
        let deadline = ContinuousClock.now + limit
        while tally.startCount < count {
            guard deadline > .now else { throw CommandFailure(description: "A job did not start within the limit.") }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    /// Enqueues at a rate until cancelled; gives the number.
    private func generate(_ perSecond: Int, on queue: JobQueue, _ client: PostgresClient) async throws -> Int {
        guard perSecond > 0 else { return 0 }
        let started = ContinuousClock.now
        var sent = 0
        while !Task.isCancelled {
            let due = Int((.now - started).inSeconds * Double(perSecond))
            if due > sent {
                let part = (sent..<min(due, sent + 1000)).map { BenchJob($0) }
                // In a task of its own: being told to stop must not break what is under way.
                _ = try await Task {
                    try await client.withTransaction { try await queue.enqueueMany(part, in: $0) }
                }.value
                sent += part.count
            }
            // Cancellation ends the wait and then the loop.
            do { try await Task.sleep(for: .milliseconds(5)) } catch {}
        }
        return sent
    }
}
