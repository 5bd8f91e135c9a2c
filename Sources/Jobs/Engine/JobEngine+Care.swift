import Foundation
import Logging
import Shared
import Synchronization

/// Heartbeats, due jobs, lost workers, breakers: what keeps the queue going besides claiming and finishing.
extension JobEngine {
    func beatOnTime() async throws {
        await beatSignal.wait(atMost: settings.heartbeat)
        try await beat()
    }

    /// Extends the lease and hears of cancellations. A lost lease stops everything and starts a new incarnation.
    func beat() async throws {
        let workerId = state.withLock { $0.workerId }
        // A lease that has run out here is not extended, even if nobody has noticed: what it covered was stopped, and
        // only a row that is given up lets others take those jobs.
        guard lease.remaining > .zero else { return try await startAnew(insteadOf: workerId) }
        let sentAt = ContinuousClock.now
        let results = try await database.pipeline([
            workers.beat(workerId: workerId, lease: settings.lease, limits: adaptive.snapshot),
            store.cancelRequests(workerId: workerId), workers.countActive(),
        ])
        guard !results[0].isEmpty, lease.extend(from: sentAt, by: settings.lease) else {
            return try await startAnew(insteadOf: workerId)
        }
        if let row = results[0].first { try await obey(isToRest: try row.decode(Bool.self), workerId: workerId) }
        adaptive.share(workers: Int(try results[2].first?.decode(Int64.self) ?? 1))
        metrics.upstreamLimits(adaptive.snapshot)
        for row in results[1] {
            let (id, token, by) = try row.decode(Int64.self, Int64.self, String?.self)
            running.stop(AttemptId(id: id, token: token), reason: .cancelled(by: by))
        }
    }

    /// Claims no more while an operator wants it so, and shows that it does as it was told.
    private func obey(isToRest: Bool, workerId: Int32) async throws {
        let isNew = state.withLock { state in
            defer { state.isResting = isToRest }
            return state.isResting != isToRest && !state.isDraining
        }
        guard isNew else { return }
        logger.notice("told by an operator", metadata: ["claims": "\(!isToRest)", "worker_id": "\(workerId)"])
        try await workers.setState(isToRest ? .draining : .active, workerId: workerId, in: database)
        claimSignal.ring()
    }

    /// Stops everything, gives the row up and takes another one.
    private func startAnew(insteadOf workerId: Int32) async throws {
        logger.error("the lease was lost; starting anew", metadata: ["worker_id": "\(workerId)"])
        lease.lose()
        running.stopAll(reason: .leaseLost)
        try await workers.setState(.lost, workerId: workerId, in: database)
        try await register()
        let newId = state.withLock { $0.workerId }
        try await workers.keepDrain(from: workerId, to: newId, in: database)
    }

    func promoteOnTime() async throws {
        let wait = state.withLock { $0.nextDue } ?? settings.poll
        await dueSignal.wait(atMost: min(max(wait, .milliseconds(1)), settings.poll))
        var promotion = PostgresJobStore.Promotion()
        repeat {
            promotion = try await store.promoteDue(limit: 1000, in: database)
            wake(promotion.wake)
        } while promotion.count == 1000 && !Task.isCancelled
        let nextDue = promotion.nextDue
        state.withLock { $0.nextDue = nextDue }
    }

    func enforceDeadlines() async throws {
        await WakeSignal().wait(atMost: .milliseconds(200))
        // However long a heartbeat hangs, nothing goes on here that the database may give to somebody else.
        if lease.remaining <= .zero { running.stopAll(reason: .leaseLost) }
        giveBackWaiting(ifStuckFor: settings.maxAheadWait)
        for id in running.enforceDeadlines(grace: .seconds(30)) {
            logger.error("a job ignores being stopped; its slot stays taken", metadata: ["job_id": "\(id)"])
        }
        metrics.running(running.count)
    }

    func sweepOnTime() async throws {
        // The first one at once: workers that are killed and started again all the time would never come to it.
        let isFirst = state.withLock { state in
            defer { state.hasSwept = true }
            return !state.hasSwept
        }
        if !isFirst { await WakeSignal().wait(atMost: settings.sweep * (0.8 + 0.4 * Double.random(in: 0..<1))) }
        try await sweep()
    }

    /// Looks for what nobody was left to care for. Safe to run anywhere, any number at once.
    func sweep() async throws {
        let lost = try await workers.markLost(in: database)
        if lost > 0 { logger.warning("workers lost their lease", metadata: ["count": "\(lost)"]) }
        try await rescue()
        let blocked = try await store.sweepBlocked(limit: 1000, in: database)
        metrics.rescued(blocked.count, .blocked)
        wake(blocked.wake)
        let dependents = try await store.sweepDependents(limit: 1000, in: database)
        metrics.rescued(dependents.count, .dependency)
        wake(dependents.wake)
        for id in dependents.failed { await queue.announce(try await queue.failDependent(jobId: id)) }
        for id in try await store.pastDeadline(limit: 1000, in: database) {
            await queue.announce(try await queue.failLate(jobId: id))
        }
        while !Task.isCancelled {
            let released = try await limits.releaseUnlimited(limit: 1000, in: database)
            wake(Set(released))
            if released.count < 1000 { break }
        }
        for id in try await store.waitingCancelRequests(limit: 1000, in: database) {
            metrics.rescued(1, .cancellation)
            await queue.announce(try await queue.cancelLate(jobId: id))
        }
        let caredAt = state.withLock { $0.lastPartitionCare }
        if caredAt.map({ .now - $0 > .seconds(3600) }) ?? true {
            try await store.ensurePartitions(in: database)
            try await workers.forgetOld(in: database)
            state.withLock { $0.lastPartitionCare = .now }
        }
    }

    /// Takes the jobs of lost workers back: another attempt while there are any left, else the dead letters.
    private func rescue() async throws {
        var after: Int64 = 0
        while true {
            let orphans = try await store.orphans(after: after, limit: 500, in: database)
            guard let last = orphans.last else { return }
            after = last.id
            let error = JobErrorInfo(
                errorClass: .lost, code: "worker_lost", message: "The worker that ran it died or lost its lease.")
            let spent = orphans.filter {
                $0.attempt >= $0.maxAttempts && $0.maxAttempts < RetryPolicy.unlimitedAttempts
            }
            let again = orphans.filter {
                $0.attempt < $0.maxAttempts || $0.maxAttempts == RetryPolicy.unlimitedAttempts
            }
            if !again.isEmpty {
                let batch = again.map {
                    AgainJob(
                        id: $0.id, token: $0.token, orderKey: $0.orderKey,
                        delay: .milliseconds(Int.random(in: 1...1000)),
                        charged: true, error: error)
                }
                let result = try await store.putBack(batch, in: database)
                for id in result.cancelRequested { await queue.announce(try await queue.cancelLate(jobId: id)) }
                wake(result.wake)
                dueSignal.ring()
            }
            for job in spent {
                await queue.announce(
                    try await queue.end(
                        jobId: job.id, token: job.token, as: .failed, error: error, by: nil, attempted: true))
            }
            logger.warning(
                "jobs of lost workers rescued", metadata: ["again": "\(again.count)", "failed": "\(spent.count)"])
            metrics.rescued(orphans.count, .workerLost)
        }
    }

    /// Cleans the live table up more often than the server would: what claims have to walk past is the jobs that left.
    func vacuumOnTime() async throws {
        let last = state.withLock { $0.vacuumTook }
        await WakeSignal().wait(
            atMost: max(settings.vacuumInterval * (0.8 + 0.4 * Double.random(in: 0..<1)), last * 10))
        let began = ContinuousClock.now
        guard try await store.deadRows(in: database) >= settings.vacuumThreshold else { return }
        try await store.vacuum(database)
        let took = .now - began
        state.withLock { $0.vacuumTook = took }
        logger.debug("vacuumed the live table", metadata: ["ms": "\(took.inMilliseconds)"])
    }

    func tickBreakers() async throws {
        await breaker.urgent.wait(atMost: .milliseconds(300))
        for upstream in try await breaker.tick() {
            Task { await probe(upstream) }
        }
    }

    /// Finds out whether an upstream answers again: with a queued job that only reads, else with a small call.
    private func probe(_ upstream: Upstream) async {
        do {
            let workerId = state.withLock { $0.workerId }
            let kinds = queue.catalog.handlers.values.filter { $0.isProbeSafe && $0.upstream == upstream }
            let limited = state.withLock { $0.limits.kinds }
            let kindIds = try kinds.map { try store.names.kindId($0.name) }.filter { !limited.contains($0) }
            let queueIds = try Set(kinds.map(\.queue)).sorted().map { try store.names.queueId($0) }
            if !kindIds.isEmpty, !isDraining, !isResting,
                try await startProbe(upstream, kindIds, queueIds, workerId)
            {
                return
            }
            var failure: LiteLLMError?
            do { try await services.litellm.probe() } catch let error as LiteLLMError { failure = error }
            await endProbe(upstream, error: failure)
        } catch {
            // The permit runs out and another worker probes.
            logger.warning("a probe could not be made", metadata: ["upstream": "\(upstream)", "error": "\(error)"])
        }
    }

    /// Starts a queued job as the probe. Returns false when there is none.
    private func startProbe(
        _ upstream: Upstream, _ kindIds: [Int16], _ queueIds: [Int16], _ workerId: Int32
    ) async throws -> Bool {
        state.withLock { state in
            state.probeClaims += 1
            state.openProbeClaims += 1
        }
        defer { state.withLock { $0.openProbeClaims -= 1 } }
        let claimed: ClaimedJob?
        do {
            claimed = try await store.claimProbe(
                queueIds: queueIds, upstream: upstream.code, kinds: kindIds, workerId: workerId, in: database)
        } catch {
            state.withLock { $0.hasUncertainClaims = true }
            throw error
        }
        guard let job = claimed else { return false }
        let once = Once()
        start(job, isReserved: false) { [self] error in
            if once.claim() { await endProbe(upstream, error: error) }
        }
        return true
    }

    private func endProbe(_ upstream: Upstream, error: LiteLLMError?) async {
        do {
            try await breaker.probeEnded(upstream, error: error)
        } catch {
            logger.warning(
                "a probe's end could not be told", metadata: ["upstream": "\(upstream)", "error": "\(error)"])
        }
    }
}
