import Logging
import Shared
import Synchronization

extension JobEngine {
    /// One turn of the finish loop.
    func flushOnRing() async throws {
        if finished.isEmpty { await finished.signal.wait() }
        try await flush()
    }

    /// Writes down everything that waits. What cannot be written stays in the buffer, and its slots stay taken; rows
    /// that somebody holds locked for a moment are tried again a little later, without holding up the others.
    func flush() async throws {
        let outcomes = finished.take(settings.maxFlush)
        guard !outcomes.isEmpty else { return }
        let parts = parts(of: outcomes)
        var written = 0
        let startedAt = ContinuousClock.now
        do {
            var locked: [JobOutcome] = []
            for part in parts {
                locked += try await writeEach(part)
                written += 1
            }
            metrics.flushed(outcomes.count, in: .now - startedAt)
            if !locked.isEmpty { retryLater(locked) }
        } catch {
            finished.putBack(parts[written...].flatMap { $0 })
            throw error
        }
    }

    /// Plain successes, ordered successes, put-backs; endings one by one, each a transaction with its object.
    private func parts(of outcomes: [JobOutcome]) -> [[JobOutcome]] {
        var plain: [JobOutcome] = []
        var ordered: [JobOutcome] = []
        var again: [JobOutcome] = []
        var rest: [[JobOutcome]] = []
        for outcome in outcomes {
            switch outcome {
            case .succeeded(let job) where job.orderKey == nil: plain.append(outcome)
            case .succeeded: ordered.append(outcome)
            case .again: again.append(outcome)
            case .ended, .lost: rest.append([outcome])
            }
        }
        return ([plain, ordered, again] + rest).filter { !$0.isEmpty }
    }

    /// Writes outcomes of one sort. One with a text that the database cannot store, such as a NUL character, is found
    /// by halving and written without it: it must not keep the others from being written.
    private func writeEach(_ outcomes: [JobOutcome]) async throws -> [JobOutcome] {
        do {
            return try await write(outcomes)
        } catch let error as PostgresError where error.refusesValue {
            guard outcomes.count > 1 else {
                logger.error(
                    "an outcome could not be stored with its texts",
                    metadata: ["job_id": "\(outcomes[0].jobId)", "error": "\(error)"])
                return try await write(outcomes.map(\.withoutTexts))
            }
            let half = outcomes.count / 2
            let locked = try await writeEach(Array(outcomes[..<half]))
            return locked + (try await writeEach(Array(outcomes[half...])))
        }
    }

    /// Writes outcomes of one sort. Returns those whose rows were locked by somebody.
    private func write(_ outcomes: [JobOutcome]) async throws -> [JobOutcome] {
        var successes: [FinishedJob] = []
        var again: [AgainJob] = []
        for outcome in outcomes {
            switch outcome {
            case .succeeded(let job): successes.append(job)
            case .again(let job): again.append(job)
            case .lost: release([outcome])
            case .ended(let id, let token, let state, let error, let by):
                let result = try await queue.end(
                    jobId: id, token: token, as: state, error: error, by: by,
                    attempted: state == .failed)
                release([outcome])
                await queue.announce(result)
            }
        }
        if !successes.isEmpty {
            let isOrdered = successes.contains { $0.orderKey != nil }
            let result =
                isOrdered
                ? try await store.finishOrdered(successes, in: database)
                : try await store.finishPlain(successes, in: database)
            return try await settle(outcomes, result)
        }
        if !again.isEmpty {
            let result = try await store.putBack(again, in: database)
            for id in result.cancelRequested { await queue.announce(try await queue.cancelLate(jobId: id)) }
            return try await settle(outcomes, result)
        }
        return []
    }

    /// Frees the slots of what was written; sorts the rest into locked (try again) and no longer ours (drop).
    private func settle(_ outcomes: [JobOutcome], _ result: FinishResult) async throws -> [JobOutcome] {
        release(result.isComplete ? outcomes : outcomes.filter { result.done.contains($0.jobId) })
        if !result.watched.isEmpty { await queue.wakeups.finished(result.watched) }
        wake(result.wake)
        guard !result.isComplete else { return [] }
        let missing = outcomes.filter { !result.done.contains($0.jobId) }
        guard !missing.isEmpty else { return [] }
        let owned = try await store.stillOwned(missing.map(\.attemptId), in: database)
        let stale = missing.filter { !owned.contains($0.attemptId) }
        if !stale.isEmpty {
            metrics.refused(stale.count)
            logger.warning(
                "outcomes came too late: the jobs are somebody else's", metadata: ["count": "\(stale.count)"])
            release(stale)
        }
        return missing.filter { owned.contains($0.attemptId) }
    }

    private func retryLater(_ outcomes: [JobOutcome]) {
        Task {
            await WakeSignal().wait(atMost: .milliseconds(10))
            for outcome in outcomes { finished.add(outcome) }
        }
    }

    private func release(_ outcomes: [JobOutcome]) {
        running.end(outcomes.map(\.attemptId))
        // Protected jobs may have had the slots that others wait for.
        startRunners(running.missingRunners())
        claimSignal.ring()
        state.withLock { $0.idleSignal }.ring()
    }

    /// Wakes this worker's claimers, and other workers for queues that this one does not serve.
    func wake(_ queues: Set<Int16>) {
        guard !queues.isEmpty else { return }
        // What became ready here was enqueued long ago.
        state.withLock { $0.lookBack { queues.contains($0) } }
        claimSignal.ring()
        let foreign = state.withLock { state in queues.filter { !state.serves($0) } }
        guard !foreign.isEmpty else { return }
        Task { for queueId in foreign { await queue.wakeups.ready(queueId) } }
    }
}

extension PostgresError {
    /// Whether the values are what the statement failed on, so that it fails again with them.
    var refusesValue: Bool {
        code == .encode || sqlState?.hasPrefix("22") == true || sqlState?.hasPrefix("54") == true
    }
}
