import Foundation
import Logging
import Shared
import Synchronization

extension JobEngine {
    /// One turn of the claim loop: waits for a ring or the poll, then claims as long as there is work and room.
    func claimOnRing() async throws {
        let jitter = 0.9 + 0.2 * Double.random(in: 0..<1)
        await claimSignal.wait(atMost: settings.poll * jitter)
        state.withLock { $0.lastTurn = .now }
        try await refreshLimits()
        while !Task.isCancelled, try await claimRound() {}
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
        var room = running.free(isReserved: false)
        var wanted: [(index: Int, limit: Int)] = []
        for (index, lane) in lanes.enumerated() {
            let rest = max(1, lanes.count - index)
            var limit =
                lane.isReserved ? running.free(isReserved: true) : min(room, max(1, (room + rest - 1) / rest))
            // Revocations do not wait for the upstream to grow faster.
            if !lane.isReserved,
                let calls = adaptive.room(lane.lane.upstream, running: running.count(upstream: lane.lane.upstream))
            {
                limit = min(limit, calls)
            }
            guard limit > 0 else { continue }
            if !lane.isReserved { room -= limit }
            wanted.append((index, min(limit, settings.maxClaim)))
        }
        var isMore = false
        for (index, limit) in wanted where isLimited(lanes[index]) {
            if try await claimLimited(lanes[index], limit: limit, workerId: workerId) { isMore = true }
        }
        wanted.removeAll { isLimited(lanes[$0.index]) }
        guard !wanted.isEmpty else { return isMore }

        let parts = wanted.flatMap { split(lanes[$0.index], index: $0.index, limit: $0.limit, workerId: workerId) }
        let sentAt = ContinuousClock.now
        let results: [PostgresRows]
        do {
            results = try await database.pipeline(parts.map(\.query))
        } catch {
            state.withLock { $0.hasUncertainClaims = true }
            throw error
        }
        metrics.claimed(results.map(\.count), in: .now - sentAt)
        var claimed: [ClaimedJob] = []
        for (part, rows) in zip(parts, results) {
            let jobs = try rows.map(store.claimed).sorted { ($0.priority, $0.id) < ($1.priority, $1.id) }
            if !part.isForAged {
                advance(part.index, last: jobs.last, isFull: jobs.count == part.limit)
                if jobs.count == part.limit { isMore = true }
            }
            for job in jobs { start(job, isReserved: lanes[part.index].isReserved) }
            claimed += jobs
        }
        // The lease was lost while the claim was under way: they are the row's that was given up.
        if state.withLock({ $0.workerId }) != workerId {
            for job in claimed { running.stop(job.attemptId, reason: .leaseLost) }
        }
        return isMore
    }

    private struct ClaimPart {
        let index: Int
        let limit: Int
        var isForAged = false
        let query: PostgresQuery
    }

    /// One claim, or two while more waits in a lane than fits: then an eighth is for the oldest.
    private func split(_ lane: EngineState.Lane, index: Int, limit: Int, workerId: Int32) -> [ClaimPart] {
        let count = state.withLock { state in
            state.claims &+= 1
            return state.claims
        }
        let isBehind = !lane.isReserved && lane.cursor != .start
        let share = !isBehind ? 0 : limit >= 8 ? limit / 8 : count.isMultiple(of: 8) ? 1 : 0
        var parts: [ClaimPart] = []
        if share > 0 {
            parts.append(
                ClaimPart(
                    index: index, limit: share, isForAged: true,
                    query: store.claimAgedQuery(
                        lane: lane.lane, limit: share, age: settings.agedAfter, workerId: workerId)))
        }
        if limit > share {
            parts.append(
                ClaimPart(
                    index: index, limit: limit - share,
                    query: store.claimQuery(
                        lane: lane.lane, limit: limit - share, workerId: workerId, after: cursor(lane), kinds: nil)))
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
            start(job, isReserved: isReserved)
        }
    }

    /// The start of the index once a second: higher priorities and late commits come before the cursor.
    private func cursor(_ lane: EngineState.Lane) -> PostgresJobStore.ClaimCursor {
        lane.isReserved || .now - lane.cursorSince > .seconds(1) ? .start : lane.cursor
    }

    private func advance(_ index: Int, last: ClaimedJob?, isFull: Bool) {
        state.withLock { state in
            if .now - state.lanes[index].cursorSince > .seconds(1) { state.lanes[index].cursorSince = .now }
            if isFull, let last {
                state.lanes[index].cursor = .init(priority: last.priority, id: last.id)
            } else {
                state.lanes[index].cursor = .start
            }
        }
    }

    /// Runs a claimed job as a task of its own; its outcome goes to the finish buffer.
    func start(_ job: ClaimedJob, isReserved: Bool, probed: (@Sendable (LiteLLMError?) async -> Void)? = nil) {
        if probed == nil, isDraining {
            // Claimed while the drain began.
            finished.add(
                .again(
                    AgainJob(
                        id: job.id, token: job.token, orderKey: job.orderKey, delay: .zero, charged: false, error: nil))
            )
            return
        }
        let handler = queue.catalog.handlers[store.names.kindName(job.kindId)]
        metrics.started(
            dueAt: max(job.runAt, job.createdAt), queueId: job.queueId, queue: store.names.queueName(job.queueId))
        running.begin(job, isReserved: isReserved, timeout: handler?.timeout ?? .seconds(60))
        let task = Task {
            let startedAt = ContinuousClock.now
            let outcome = await runner.run(job, handler: handler, probed: probed)
            report(outcome, job, handler: handler, took: .now - startedAt)
            finished.add(outcome)
        }
        running.attach(task, to: job.attemptId)
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
