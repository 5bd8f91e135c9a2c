import Foundation
import Logging
import Shared
import Synchronization

extension JobEngine {
    /// One turn of the claim loop: waits for a ring or the poll, then claims as long as there is work and room.
    func claimOnRing() async throws {
        let jitter = 0.9 + 0.2 * Double.random(in: 0..<1)
        let look = nextLook(at: .now) ?? settings.poll
        await claimSignal.wait(atMost: min(settings.poll * jitter, max(look, .milliseconds(1))))
        state.withLock { $0.lastTurn = .now }
        try await refreshLimits(isBeforeClaim: true)
        while !Task.isCancelled, try await claimRound() {
            // A backlog may keep it here for hours.
            try await refreshLimits(isBeforeClaim: false)
        }
        try await refreshLimits(isBeforeClaim: false)
    }

    /// How long until the start of some lane has to be looked at; nil when there is no need, or nothing can be claimed
    /// there now: then the next end rings.
    private func nextLook(at now: ContinuousClock.Instant) -> Duration? {
        let (lanes, mayClaim) = state.withLock { ($0.lanes, !$0.isDraining && !$0.isResting) }
        guard mayClaim, lease.remaining > .zero else { return nil }
        return wantedClaims(lanes).wanted.filter { !isLimited(lanes[$0.index]) }
            .compactMap { lanes[$0.index].position.wait(at: now) }.min()
    }

    /// How long ago the claim loop last turned; for liveness.
    package var sinceLastTurn: Duration { .now - state.withLock { $0.lastTurn } }

    /// Whether it has been asked to stop.
    package var isDraining: Bool { state.withLock { $0.isDraining } }

    /// Whether an operator has told it to claim no more.
    package var isResting: Bool { state.withLock { $0.isResting } }

    /// The row of this incarnation among the workers; 0 before it is registered.
    package var workerId: Int32 { state.withLock { $0.workerId } }

    /// Whether notifications are known to arrive.
    package var hearsNotifications: Bool { listener.isProven }

    /// Jobs it may run at once, those of protected queues not counted.
    package var capacity: Int { settings.concurrency }

    /// Lets it measure on the database's clock, which is so many seconds ahead of this machine's.
    package func learn(clockOffset seconds: Double) { metrics.clock(offset: seconds) }

    /// Jobs that run here now.
    package var runningCount: Int { running.count }

    /// Claims from every lane in one round trip. Returns whether there may be more to claim at once.
    func claimRound() async throws -> Bool {
        let (workerId, lanes, isDraining, isResting) = state.withLock {
            ($0.workerId, $0.lanes, $0.isDraining, $0.isResting)
        }
        guard !isDraining, lease.remaining > .zero else { return false }
        try await adoptUncertain()
        guard !isResting else { return false }
        let (wanted, isShort) = wantedClaims(lanes)
        var isMore = false
        for (index, limit) in wanted where isLimited(lanes[index]) {
            if try await claimLimited(lanes[index], limit: limit, workerId: workerId) { isMore = true }
        }
        let began = ContinuousClock.now
        let parts = wanted.filter { !isLimited(lanes[$0.index]) }
            .flatMap { split(lanes[$0.index], index: $0.index, limit: $0.limit, workerId: workerId, at: began) }
        guard !parts.isEmpty else { return passesOn(isShort: isShort, found: 0) || isMore }

        let results: [PostgresRows]
        do {
            results = try await database.pipeline(parts.map(\.query))
        } catch {
            state.withLock { $0.hasUncertainClaims = true }
            throw error
        }
        let now = ContinuousClock.now
        metrics.claimed(results.map(\.count), in: now - began)
        var claimed: [ClaimedJob] = []
        for (part, rows) in zip(parts, results) {
            var jobs = try store.claimed(rows)
            jobs.sort { ($0.priority, $0.id) < ($1.priority, $1.id) }
            if let cursor = part.cursor {
                let isFull = jobs.count == part.limit
                let last = jobs.last.map { PostgresJobStore.ClaimCursor(priority: $0.priority, id: $0.id) }
                state.withLock {
                    $0.lanes[part.index].position.advance(
                        from: cursor, to: last, count: jobs.count, isFull: isFull, began: began, now: now)
                }
                if isFull { isMore = true }
            } else {
                state.withLock { $0.lanes[part.index].position.notedAged(jobs.count, took: now - began, now: now) }
            }
            start(jobs, isReserved: lanes[part.index].isReserved)
            claimed += jobs
        }
        // The lease was lost while the claim was under way: they are the row's that was given up.
        if state.withLock({ $0.workerId }) != workerId {
            for job in claimed { running.stop(job.attemptId, reason: .leaseLost) }
        }
        return passesOn(isShort: isShort, found: claimed.count) || isMore
    }

    /// Lets another lane come first in the next round. Returns whether that is to follow at once: this one found nothing,
    /// and there was not room for every lane.
    private func passesOn(isShort: Bool, found: Int) -> Bool {
        state.withLock { state in
            state.firstLane &+= 1
            state.vainRounds = isShort && found == 0 ? state.vainRounds + 1 : 0
            guard state.vainRounds > 0, state.vainRounds < state.lanes.count else {
                state.vainRounds = 0
                return false
            }
            return true
        }
    }

    private struct ClaimPart {
        let index: Int
        let limit: Int
        /// Where it begins; nil for the share of the oldest.
        let cursor: PostgresJobStore.ClaimCursor?
        let query: PostgresQuery
    }

    /// One claim, or two while more waits in a lane than fits: then an eighth is for the oldest.
    private func split(
        _ lane: EngineState.Lane, index: Int, limit: Int, workerId: Int32, at began: ContinuousClock.Instant
    ) -> [ClaimPart] {
        let (count, cursor) = state.withLock { state in
            state.claims &+= 1
            let start = PostgresJobStore.ClaimCursor.start
            return (state.claims, lane.beginsAtStart ? start : state.lanes[index].position.begin(at: began))
        }
        let isAgedDue = !lane.isReserved && lane.position.isAgedDue(at: began)
        let share = !isAgedDue ? 0 : limit >= 8 ? limit / 8 : count.isMultiple(of: 8) ? 1 : 0
        var parts: [ClaimPart] = []
        if share > 0 {
            parts.append(
                ClaimPart(
                    index: index, limit: share, cursor: nil,
                    query: store.claimAgedQuery(
                        lane: lane.lane, beyond: lane.position.level, limit: share, age: settings.agedAfter,
                        workerId: workerId)))
        }
        if limit > share {
            parts.append(
                ClaimPart(
                    index: index, limit: limit - share, cursor: cursor,
                    query: store.claimQuery(
                        lane: lane.lane, limit: limit - share, workerId: workerId, after: cursor, kinds: nil)))
        }
        return parts
    }

    /// Starts what a claim took whose answer was lost on the way: the database believes that this worker runs it, so
    /// nobody else ever would.
    func adoptUncertain() async throws {
        let before = state.withLock { state -> Int? in
            state.hasUncertainClaims && state.openProbeClaims == 0 ? state.probeClaims : nil
        }
        guard let before else { return }
        let started = running.held
        let workerId = state.withLock { $0.workerId }
        let held = try await store.heldJobs(workerId: workerId, in: database)
        // A probe's claim that came between is in its own hands.
        let isCertain = state.withLock { state in
            guard state.probeClaims == before, state.workerId == workerId else { return false }
            state.hasUncertainClaims = false
            return true
        }
        guard isCertain else { return }
        for job in held where !started.contains(job.attemptId) && !running.holds(job.attemptId) {
            logger.notice("a claim whose answer was lost is taken up", metadata: ["job_id": "\(job.id)"])
            let isReserved = state.withLock { state in
                state.lanes.contains { $0.lane.queueId == job.queueId && $0.isReserved }
            }
            start([job], isReserved: isReserved)
        }
    }

    /// How many jobs to claim from which lane: each an equal part of the room there is. Only jobs that call no upstream
    /// are also claimed ahead of their time: the others' breakers may open any moment.
    ///
    /// Also says whether there is room, but not for each lane.
    private func wantedClaims(
        _ lanes: [EngineState.Lane]
    ) -> (wanted: [(index: Int, limit: Int)], isShort: Bool) {
        var room = running.free(isReserved: false)
        var ahead = max(0, running.freeAhead() - room)
        let mayBeAhead = lanes.map { !$0.isReserved && $0.lane.upstream == 0 && !isLimited($0) }
        let lanesOrdinary = lanes.count { !$0.isReserved }
        var lanesLeft = lanesOrdinary
        var aheadLeft = mayBeAhead.count { $0 }
        let isShort = room > 0 && room < lanesLeft
        var wanted: [(index: Int, limit: Int)] = []
        let firstOrdinary = lanes.count - lanesLeft
        let firstLane = state.withLock { $0.firstLane }
        for position in lanes.indices {
            // Protected lanes come first; the others take turns.
            let index =
                position < firstOrdinary
                ? position : firstOrdinary + (position - firstOrdinary + firstLane) % lanesOrdinary
            let lane = lanes[index]
            var limit = 0
            if lane.isReserved {
                limit = running.free(isReserved: true)
            } else {
                limit = (room + lanesLeft - 1) / lanesLeft
                // Revocations do not wait for the upstream to grow faster.
                let upstream = lane.lane.upstream
                if let calls = adaptive.room(upstream, running: running.count(upstream: upstream)) {
                    limit = min(limit, max(0, calls))
                }
                room -= limit
                lanesLeft -= 1
                if mayBeAhead[index] {
                    let part = (ahead + aheadLeft - 1) / aheadLeft
                    ahead -= part
                    aheadLeft -= 1
                    limit += part
                }
            }
            if limit > 0 { wanted.append((index, min(limit, settings.maxClaim))) }
        }
        return (wanted, isShort)
    }

    /// Lets claimed jobs run: ordinary ones by the runners, protected ones each by a task of its own.
    func start(_ jobs: [ClaimedJob], isReserved: Bool) {
        guard !jobs.isEmpty else { return }
        if isResting || isReserved && isDraining {
            // Claimed while that began.
            running.holdEnded(
                jobs.map { RunningJobs.Held(job: $0, timeout: limit(of: $0)) }, isReserved: isReserved)
            for job in jobs { finished.add(runner.notBegun(job, .shutdown)) }
            return
        }
        if isReserved {
            for job in jobs { start(job, isReserved: true) }
            return
        }
        startRunners(running.hold(jobs.map { RunningJobs.Held(job: $0, timeout: limit(of: $0)) }))
        // The same; none of them has begun.
        if isDraining { giveBackWaiting() }
    }

    /// Runs one job as a task of its own; its outcome goes to the finish buffer.
    func start(_ job: ClaimedJob, isReserved: Bool, probed: (@Sendable (LiteLLMError?) async -> Void)? = nil) {
        let number = running.holdApart(.init(job: job, timeout: limit(of: job)), isReserved: isReserved)
        let task = Task {
            _ = await carryOut(job, stop: nil, probed: probed)
            running.retire(number)
        }
        running.attach(task, to: number)
    }

    func startRunners(_ numbers: [Int]) {
        for number in numbers {
            let task = Task { await run(number) }
            running.attach(task, to: number)
        }
    }

    /// One runner: job after job until none waits. One whose job was told to stop makes room for a fresh one.
    private func run(_ number: Int) async {
        var isSpent = false
        while let turn = running.next(for: number, isSpent: isSpent) {
            isSpent = await carryOut(turn.job, stop: turn.stop, probed: nil) || Task.isCancelled
        }
        if isSpent { startRunners(running.missingRunners()) }
    }

    /// Runs one attempt and hands its outcome on. Returns whether it was told to stop.
    private func carryOut(
        _ job: ClaimedJob, stop: StopReason?, probed: (@Sendable (LiteLLMError?) async -> Void)?
    ) async -> Bool {
        let handler = handler(of: job)
        let startedAt = ContinuousClock.now
        let isLate = job.untilDeadline.map { $0 <= .zero } ?? false
        let (outcome, wasStopped) =
            if let stop = stop ?? (isLate ? .deadline : nil) {
                (runner.notBegun(job, stop), true)
            } else {
                await begin(job, handler, at: startedAt, probed: probed)
            }
        report(outcome, job, handler: handler, took: .now - startedAt)
        finished.add(outcome)
        return wasStopped
    }

    private func begin(
        _ job: ClaimedJob, _ handler: JobHandler?, at startedAt: ContinuousClock.Instant,
        probed: (@Sendable (LiteLLMError?) async -> Void)?
    ) async -> (JobOutcome, Bool) {
        metrics.started(dueAt: job.dueAt, queueId: job.queueId, queue: store.names.queueName(job.queueId))
        return await runner.run(job, handler: handler, startedAt: startedAt, probed: probed)
    }

    /// Nil for a kind that this version does not know.
    private func handler(of job: ClaimedJob) -> JobHandler? {
        queue.catalog.handlers[store.names.kindName(job.kindId)]
    }

    private func limit(of job: ClaimedJob) -> Duration { handler(of: job)?.timeout ?? .seconds(60) }

    /// Gives back, uncharged, what was claimed ahead and has not begun.
    func giveBackWaiting(ifStuckFor limit: Duration? = nil) {
        for job in running.takeWaiting(ifStuckFor: limit) { finished.add(runner.notBegun(job, .shutdown)) }
    }

    private func report(_ outcome: JobOutcome, _ job: ClaimedJob, handler: JobHandler?, took: Duration) {
        let kind = handler?.name ?? "unknown"
        let (name, level, error): (String, Logger.Level, JobErrorInfo?) =
            switch outcome {
            case .succeeded: ("succeeded", .info, nil)
            case .again(let again):
                (again.charged ? "retrying" : "put_back", again.charged ? .warning : .debug, again.error)
            case .ended(_, _, let state, let error, _): (state.rawValue, .error, error)
            case .lost: ("lost", .warning, nil)
            }
        metrics.ended(kind: kind, outcome: name, took: took)
        if case .again(let again) = outcome, again.charged, let upstream = handler?.upstream,
            breaker.refusal(upstream, isProbe: false) != nil
        {
            metrics.burned(upstream)
        }
        guard logger.logLevel <= level else { return }
        var metadata: Logger.Metadata = [
            "job_id": "\(job.id)", "kind": "\(kind)", "attempt": "\(job.attempt)", "outcome": "\(name)",
            "duration_ms": "\(took.inMilliseconds)",
        ]
        if let requestId = job.requester.requestId { metadata["request_id"] = "\(requestId)" }
        if let error {
            metadata["error_code"] = "\(error.code)"
            metadata["error"] = "\(error.message)"
        }
        logger.log(level: level, "job attempt ended", metadata: metadata)
    }
}
