import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

extension ModelRun {
    // MARK: People

    func enqueue() async throws {
        let order = random.chance(60) ? "order-\(Int.random(in: 0..<4, using: &random))" : nil
        let supersedes = order != nil && random.chance(8)
        let unique = !supersedes && random.chance(30) ? "unique-\(Int.random(in: 0..<4, using: &random))" : nil
        try await enqueue(order: order, unique: unique, supersedes: supersedes, isFuture: random.chance(15))
    }

    func enqueue(order: String?, unique: String?, supersedes: Bool, isFuture: Bool) async throws {
        var options = JobOptions()
        options.requester = JobRequester(id: "model")
        options.maxAttempts = Int.random(in: 1...3, using: &random)
        options.supersedes = supersedes
        if isFuture { options.delay = .seconds(3600) }
        let isUsage = random.chance(25)
        let queued =
            isUsage
            ? try await harness.queue.enqueue(
                ModelUsageJob(script: script.name, order: order, unique: unique), options: options)
            : try await harness.queue.enqueue(
                ModelJob(script: script.name, order: order, unique: unique), options: options)
        note("enqueue \(queued.id) order \(order ?? "-") unique \(unique ?? "-") supersedes \(supersedes) \(isFuture)")
        if supersedes, let order { model.supersede(order) }
        let expected = model.expectation(order: order, unique: unique, isFuture: isFuture)
        switch expected {
        case .coalesced(let id):
            try expect(queued.coalesced && queued.id == id, "\(queued) instead of \(expected)")
            model.coalesce(into: id, isFuture: isFuture)
        case .new(let state):
            try expect(!queued.coalesced && model.jobs[queued.id] == nil, "\(queued) instead of \(expected)")
            model.jobs[queued.id] = .init(
                state: state, maxAttempts: options.maxAttempts ?? 0, order: order, unique: unique,
                queue: isUsage ? ModelUsageJob.queue : ModelJob.queue)
        }
    }

    func cancel() async throws {
        guard let id = model.ids(ReferenceModel.live).randomElement(using: &random) else { return }
        note("cancel \(id)")
        try await harness.queue.cancel(id: id, by: "ann")
        model.cancel(id)
    }

    func retry() async throws {
        guard let id = model.ids([.failed, .waitingAgain, .scheduled]).randomElement(using: &random) else { return }
        note("retry \(id)")
        let isTaken: Bool
        do {
            try await harness.queue.retry(id: id)
            isTaken = false
        } catch JobQueueError.keyTaken {
            isTaken = true
        }
        try expect(model.retry(id) == !isTaken, "a retry of job \(id) was \(isTaken ? "refused" : "accepted")")
    }

    func pause() async throws {
        let name = random.chance(70) ? ModelJob.queue : ModelUsageJob.queue
        let isPaused = model.pausedQueues.contains(name)
        note(isPaused ? "resume \(name)" : "pause \(name)")
        try await harness.client.query(
            "update job_queues set paused_at = case when \(isPaused) then null else now() end where name = \(name)")
        if isPaused { model.pausedQueues.remove(name) } else { model.pausedQueues.insert(name) }
    }

    // MARK: Time and care

    /// Lets the time of some waiting jobs come, and promotes twice: a wake-up may come doubled.
    func promote() async throws {
        let due = model.ids([.scheduled, .waitingAgain]).filter { _ in random.chance(50) }
        note("due: \(due)")
        try await harness.client.query(
            "update jobs set run_at = now() - interval '1 second' where id = any (\(due))")
        for id in due { model.jobs[id]?.isDue = true }
        for client in [someWorker().client, someWorker().client] {
            try await throughLosses { _ = try await self.harness.store.promoteDue(limit: 1000, in: client) }
        }
        model.promote()
    }

    func beat(_ worker: ModelWorker) async throws {
        note("\(worker.engine.settings.name) beats")
        let old = worker.id
        try await throughLosses { try await worker.engine.beat() }
        if worker.id != old {
            try expect(!model.liveWorkers.contains(old), "worker \(old) gave up a lease that it had")
            model.liveWorkers.insert(worker.id)
            worker.stopAll(.leaseLost)
            return
        }
        try expect(model.liveWorkers.contains(old), "worker \(old) went on without a lease")
        model.expiredWorkers.remove(old)
        for (attempt, state) in worker.attempts where state.stop == nil && !state.isReleased {
            if model.owns(attempt), model.jobs[attempt.id]?.cancelRequested == true {
                worker.attempts[attempt]?.stop = .cancelled(by: nil)
            }
        }
    }

    func sweep(_ sweepers: [ModelWorker]) async throws {
        note("sweep by \(sweepers.map(\.engine.settings.name))")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for engine in sweepers.map(\.engine) {
                group.addTask {
                    for _ in 0..<10 {
                        do { return try await engine.sweep() } catch let error as PostgresError
                            where error.isConnectionLoss
                        {}
                    }
                    try await engine.sweep()
                }
            }
            try await group.waitForAll()
        }
        let orphans = model.orphans()
        let superseded = try await supersededJobs()
        for id in orphans.filter({ !superseded.contains($0) }) + orphans.filter(superseded.contains) {
            model.rescue(id)
        }
        try await freeze()
    }

    // MARK: Faults

    /// Dies without a word. What it ran goes on in nobody's name and is never written.
    func kill() async throws {
        let index = Int.random(in: 0..<workers.count, using: &random)
        let dead = workers.remove(at: index)
        note("kill \(dead.engine.settings.name)")
        for attempt in dead.attempts.filter({ !$0.value.isReleased }).keys { script.release(attempt, .succeed) }
        try await harness.client.query(
            "update job_workers set lease_until = now() - interval '1 second' where id = \(dead.id) and state in (0, 1)"
        )
        if model.liveWorkers.contains(dead.id) { model.expiredWorkers.insert(dead.id) }
        await dead.client.close()
        try await hire()
    }

    /// Its clock is behind, or it was stopped for a while: it works on, but the database does not believe it any more.
    func expireLease() async throws {
        let worker = someWorker()
        note("the lease of \(worker.engine.settings.name) is over")
        try await harness.client.query(
            "update job_workers set lease_until = now() - interval '10 minutes' where id = \(worker.id) and state in (0, 1)"
        )
        if model.liveWorkers.contains(worker.id) { model.expiredWorkers.insert(worker.id) }
    }

    /// Its clock is ahead: it gives itself up while the database still believes it.
    func loseOwnLease() async throws {
        let worker = someWorker()
        note("\(worker.engine.settings.name) gives itself up")
        worker.engine.lease.lose()
        model.liveWorkers.remove(worker.id)
        model.expiredWorkers.remove(worker.id)
        try await beat(worker)
    }

    func loseConnections() async throws {
        let worker = someWorker()
        let name = worker.engine.settings.name
        note("the connections of \(name) break")
        try await harness.client.query(
            """
            select pg_terminate_backend(pid) from pg_stat_activity
            where datname = current_database() and application_name = \(name)
            """)
        do {
            _ = try await worker.engine.claimRound()
            try await learnClaims(worker)
        } catch let error as PostgresError where error.isConnectionLoss {
            note("\(name) could not claim")
        }
        try learnAdopted(worker)
        try await flush(worker)
    }

    /// A claim that commits and whose answer never arrives.
    func loseClaim() async throws {
        let worker = someWorker()
        note("\(worker.engine.settings.name) claims without an answer")
        let lane = JobLane(queueId: try harness.store.names.queueId(ModelJob.queue), upstream: 0)
        let free = worker.engine.running.free(isReserved: false) - worker.lostClaims.count
        guard free > 0 else { return }
        try await harness.client.query(
            harness.store.claimQuery(lane: lane, limit: min(2, free), workerId: worker.id, after: .start, kinds: nil))
        worker.engine.isUncertain = true
        for attempt in try await newClaims(of: worker.id) {
            try expect(model.mayBeClaimed(attempt.id), "job \(attempt.id) was claimed, but is \(text(attempt.id))")
            model.claim(attempt.id, by: worker.id)
            worker.lostClaims.insert(attempt)
        }
    }

    /// Outcomes that are written and whose answer never arrives: they are written again.
    func loseFinish() async throws {
        let worker = someWorker()
        let outcomes = worker.outcomes
        try await flush(worker)
        note("\(worker.engine.settings.name) writes the same again")
        worker.engine.finished.putBack(outcomes)
        try await flushAll(worker, outcomes.map(\.attemptId))
        try await harness.client.query("select 1")
        try expect(try await eventually { worker.engine.finished.isEmpty }, "outcomes stay in the buffer")
    }

    /// Everybody is woken for the same jobs at once.
    func wakeAll() async throws {
        note("everybody claims at once")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for engine in workers.filter({ $0.lostClaims.isEmpty }).map(\.engine) {
                group.addTask {
                    // Whoever finds his connection broken is looked after below.
                    do { while try await engine.claimRound() {} } catch let error as PostgresError
                        where error.isConnectionLoss
                    {}
                }
            }
            try await group.waitForAll()
        }
        for worker in workers where worker.lostClaims.isEmpty { try await claim(worker) }
        try await sweep(workers)
    }

    /// Somebody queues up behind a job at the moment it ends.
    func enqueueBesideFinish() async throws {
        guard let worker = workers.first(where: { $0.outcomes.contains { order(of: $0) != nil } }),
            let order = worker.outcomes.lazy.compactMap({ self.order(of: $0) }).first
        else { return }
        note("enqueue on \(order) while \(worker.engine.settings.name) writes")
        let attempts = worker.outcomes.map(\.attemptId)
        worker.engine.finished.putBack(worker.outcomes)
        worker.outcomes = []
        let (queue, name, engine) = (harness.queue, script.name, worker.engine)
        async let queued = queue.enqueue(ModelJob(script: name, order: order))
        async let flushed: Void = engine.flush()
        let id = try await queued.id
        try await flushed
        try await flushAll(worker, attempts)
        // It came before or after the end, which gives the same: first the finish, then a place in the line.
        try await settle(worker, attempts)
        guard case .new(let state) = model.expectation(order: order, unique: nil, isFuture: false) else { return }
        model.jobs[id] = .init(
            state: state, maxAttempts: ModelJob.retry.maxAttempts, order: order, queue: ModelJob.queue)
    }

    private func order(of outcome: JobOutcome) -> String? { model.jobs[outcome.jobId]?.order }

    /// A deploy: what runs is cancelled and handed back.
    func shutDown() async throws {
        let index = Int.random(in: 0..<workers.count, using: &random)
        let worker = workers[index]
        guard worker.lostClaims.isEmpty, model.liveWorkers.contains(worker.id) else { return }
        note("shut \(worker.engine.settings.name) down")
        worker.engine.running.stopAll(reason: .shutdown)
        worker.stopAll(.shutdown)
        for attempt in worker.attempts.filter({ !$0.value.isReleased }).keys.sorted(by: { $0.id < $1.id }) {
            try await release(attempt, of: worker, .heedCancellation)
        }
        try await flush(worker)
        try await throughLosses {
            try await PostgresWorkerStore().setState(.stopped, workerId: worker.id, in: worker.client)
        }
        model.liveWorkers.remove(worker.id)
        model.expiredWorkers.remove(worker.id)
        workers.remove(at: index)
        await worker.client.close()
        try await hire()
    }

    func timeOut() async throws {
        let worker = someWorker()
        let open = worker.attempts.filter { !$0.value.isReleased && $0.value.stop == nil }.keys
        guard let attempt = open.sorted(by: { $0.id < $1.id }).randomElement(using: &random) else { return }
        note("\(attempt.id) takes too long")
        worker.engine.running.expire(attempt.id)
        _ = worker.engine.running.enforceDeadlines(grace: .seconds(60))
        worker.attempts[attempt]?.stop = .timeout
    }

    /// Tries again while the connection is broken.
    func throughLosses(_ body: () async throws -> Void) async throws {
        for _ in 0..<10 {
            do { return try await body() } catch let error as PostgresError where error.isConnectionLoss {
                note("again after a lost connection")
            }
        }
        try await body()
    }

    // MARK: The end

    /// Without further faults everything comes to an end.
    func drain() async throws {
        note("drain")
        try await harness.client.query("update job_queues set paused_at = null")
        model.pausedQueues = []
        for _ in 0..<500 {
            guard !model.ids(ReferenceModel.live).isEmpty else { return }
            for worker in workers {
                try await beat(worker)
                try await claim(worker)
                for attempt in worker.attempts.filter({ !$0.value.isReleased }).keys.sorted(by: { $0.id < $1.id }) {
                    try await release(attempt, of: worker, .succeed)
                }
                try await flush(worker)
            }
            try await sweep([workers[0]])
            let waiting = model.ids([.scheduled, .waitingAgain])
            try await harness.client.query(
                "update jobs set run_at = now() - interval '1 second' where id = any (\(waiting))")
            for id in waiting { model.jobs[id]?.isDue = true }
            _ = try await harness.store.promoteDue(limit: 1000, in: harness.client)
            model.promote()
        }
        throw Mismatch(description: "jobs never end: \(model.ids(ReferenceModel.live).map(text))")
    }
}
