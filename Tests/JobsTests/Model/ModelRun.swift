import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// One seed: steps chosen at random, taken on real engines and in the reference model, and compared after each.
final class ModelRun {
    struct Mismatch: Error, CustomStringConvertible { let description: String }

    let harness: EngineHarness
    let script: ModelScript
    var random: ModelRandom
    var model = ReferenceModel()
    var workers: [ModelWorker] = []
    /// The last steps, for the report of a mismatch.
    private(set) var trace: [String] = []
    private var workerNumber = 0

    init(_ harness: EngineHarness, seed: UInt64) {
        self.harness = harness
        random = ModelRandom(seed: seed)
        script = ModelScript("model-\(harness.database.name)")
    }

    func run(steps: Int) async throws {
        for _ in 0..<3 { try await hire() }
        for step in 0..<steps {
            try await self.step()
            try await compare("step \(step)")
        }
        try await drain()
        try await compareNotes()
        for worker in workers { await worker.client.close() }
    }

    func note(_ what: String) {
        trace.append(what)
        if trace.count > 60 { trace.removeFirst() }
    }

    func expect(_ holds: Bool, _ what: @autoclosure () -> String) throws {
        if !holds { throw Mismatch(description: what()) }
    }

    // MARK: Steps

    private func step() async throws {
        let choices: [(weight: Int, item: () async throws -> Void)] = [
            (30, enqueue), (24, { try await self.claim(self.someWorker()) }), (34, release),
            (22, { try await self.flush(self.someWorker()) }), (8, { try await self.beat(self.someWorker()) }),
            (6, { try await self.sweep([self.someWorker()]) }), (10, promote), (6, cancel), (8, retry), (4, pause),
            (3, kill), (3, expireLease), (4, loseConnections), (3, loseClaim), (5, loseFinish), (3, wakeAll),
            (4, enqueueBesideFinish), (2, shutDown), (3, timeOut), (2, loseOwnLease),
        ]
        try await random.pick(choices)()
    }

    func someWorker() -> ModelWorker { workers[Int.random(in: 0..<workers.count, using: &random)] }

    func hire() async throws {
        workerNumber += 1
        let worker = ModelWorker(harness, name: "model-\(workerNumber)")
        try await worker.engine.register()
        model.liveWorkers.insert(worker.id)
        workers.append(worker)
    }

    func claim(_ worker: ModelWorker) async throws {
        note("\(worker.engine.settings.name) claims")
        try await throughLosses { while try await worker.engine.claimRound() {} }
        try learnAdopted(worker)
        try await learnClaims(worker)
        let expected = Set(worker.attempts.filter { !$0.value.isReleased }.keys)
        try expect(
            try await eventually { expected.isSubset(of: self.script.arrived) },
            "claimed jobs did not start: \(expected.subtracting(script.arrived))")
    }

    /// Claims whose answers were lost are taken up once the engine has looked for them.
    func learnAdopted(_ worker: ModelWorker) throws {
        for attempt in worker.lostClaims {
            if worker.engine.running.holds(attempt) {
                worker.attempts[attempt] = .init()
            } else if worker.engine.isUncertain {
                continue
            } else {
                let isForgotten = model.owns(attempt) && model.jobs[attempt.id]?.worker == worker.id
                try expect(!isForgotten, "a claim of job \(attempt.id) was forgotten")
            }
            worker.lostClaims.remove(attempt)
        }
    }

    /// What the database has given to this worker since the last look has to be what might be given.
    func learnClaims(_ worker: ModelWorker) async throws {
        for attempt in try await newClaims(of: worker.id) {
            try expect(model.mayBeClaimed(attempt.id), "job \(attempt.id) was claimed, but is \(text(attempt.id))")
            model.claim(attempt.id, by: worker.id)
            try expect(model.owns(attempt), "job \(attempt.id) was claimed with the token \(attempt.token)")
            worker.attempts[attempt] = .init()
        }
        let running = worker.attempts.filter { !$0.value.isReleased }.count
        try expect(running <= worker.engine.settings.concurrency, "\(running) jobs run at once")
    }

    func newClaims(of worker: Int32) async throws -> [AttemptId] {
        let rows = try await harness.client.query(
            "select id, token from jobs where state = 1 and worker_id = \(worker) order by id")
        return try rows.map { row in
            let (id, token) = try row.decode(Int64.self, Int64.self)
            return AttemptId(id: id, token: token)
        }.filter { !model.owns($0) }
    }

    private func release() async throws {
        let worker = someWorker()
        let open = worker.attempts.filter { !$0.value.isReleased }.keys.sorted { ($0.id, $0.token) < ($1.id, $1.token) }
        guard let attempt = open.randomElement(using: &random) else { return }
        let acts: [(weight: Int, item: ModelAct)] = [
            (50, .succeed), (20, .fail), (6, .failForGood), (8, .snooze), (16, .heedCancellation),
        ]
        try await release(attempt, of: worker, random.pick(acts))
    }

    func release(_ attempt: AttemptId, of worker: ModelWorker, _ act: ModelAct) async throws {
        note("\(worker.engine.settings.name) lets \(attempt.id)/\(attempt.token) \(act)")
        worker.verdicts[attempt] = worker.verdict(act, on: attempt, model.jobs[attempt.id])
        worker.attempts[attempt]?.isReleased = true
        script.release(attempt, act)
        try expect(
            try await worker.collect(worker.outcomes.count + 1), "the attempt \(attempt) reported no outcome")
    }

    func flush(_ worker: ModelWorker) async throws {
        note("\(worker.engine.settings.name) writes \(worker.outcomes.map(\.jobId))")
        let attempts = worker.outcomes.map(\.attemptId)
        worker.engine.finished.putBack(worker.outcomes)
        worker.outcomes = []
        try await flushAll(worker, attempts)
        try await settle(worker, attempts)
    }

    /// Writes until everything is booked out, however often the connection breaks or rows are locked.
    func flushAll(_ worker: ModelWorker, _ attempts: [AttemptId]) async throws {
        let isWritten = try await eventually {
            do { try await worker.engine.flush() } catch let error as PostgresError where error.isConnectionLoss {
                note("\(worker.engine.settings.name) could not write")
            }
            return attempts.allSatisfy { !worker.engine.running.holds($0) }
        }
        try expect(isWritten, "outcomes stay unwritten: \(attempts)")
    }

    /// Writes the outcomes in the model as well.
    func settle(_ worker: ModelWorker, _ attempts: [AttemptId]) async throws {
        let superseded = try await supersededJobs()
        let later = attempts.filter { superseded.contains($0.id) }
        for attempt in attempts.filter({ !superseded.contains($0.id) }) + later {
            guard let verdict = worker.verdicts.removeValue(forKey: attempt) else { continue }
            model.finish(attempt, verdict)
            worker.attempts[attempt] = nil
        }
        try await freeze()
    }

    /// Jobs that were put back while another one held their unique key.
    func supersededJobs() async throws -> Set<Int64> {
        let rows = try await harness.client.query(
            "select id from job_history where error_code = 'superseded' and ended_by is null")
        return Set(try rows.map { try $0.decode(Int64.self) })
    }

    /// Time passes only when the scheduler says so.
    func freeze() async throws {
        let due = model.jobs.filter { $0.value.isDue }.keys.sorted()
        try await harness.client.query(
            """
            update jobs set run_at = now() + interval '1 hour'
            where state in (2, 3) and run_at < now() + interval '30 minutes' and not id = any (\(due))
            """)
    }

    // MARK: Comparison

    func text(_ id: Int64) -> String { model.jobs[id].map { "\($0)" } ?? "unknown" }

    private func compare(_ when: String) async throws {
        let rows = try await harness.client.query(
            """
            select id, state, token, attempt, errors, false from jobs
            union all select id, outcome, token, attempt, errors, true from job_history
            union all select id, outcome, token, attempt, errors, true from job_dead_letters
            """)
        var seen: Set<Int64> = []
        for row in rows {
            let (id, state, token, attempt, errors, _) = try row.decode(
                Int64.self, Int16.self, Int64.self, Int16.self, Int16.self, Bool.self)
            try expect(seen.insert(id).inserted, "\(when): job \(id) is there twice")
            guard let job = model.jobs[id] else { throw Mismatch(description: "\(when): job \(id) came from nowhere") }
            let isAsExpected =
                job.state.rawValue == state && job.token == token && job.attempt == Int(attempt)
                && job.errors == Int(errors)
            try expect(
                isAsExpected,
                "\(when): job \(id) has state \(state) token \(token) attempt \(attempt) errors \(errors), not \(job)")
        }
        let lost = Set(model.jobs.keys).subtracting(seen)
        try expect(lost.isEmpty, "\(when): jobs \(lost.sorted()) are gone")
    }

    private func compareNotes() async throws {
        let rows = try await harness.client.query("select job_id, count(*) from job_attempts group by 1")
        var notes: [Int64: Int] = [:]
        for row in rows {
            let (id, count) = try row.decode(Int64.self, Int64.self)
            notes[id] = Int(count)
        }
        for (id, job) in model.jobs {
            try expect(
                notes[id, default: 0] == job.notes, "job \(id): \(notes[id, default: 0]) attempts noted, not \(job)")
        }
    }
}
