import Logging
import Shared

/// Runs one attempt of one job and says how it came out. Knows no loop and writes nothing.
struct JobRunner: Sendable {
    let catalog: JobCatalog
    let services: JobServices
    let store: PostgresJobStore
    let breaker: BreakerService
    let adaptive: AdaptiveConcurrency
    let lease: WorkerLease
    let running: RunningJobs
    let logger: Logger
    /// 0..<1; a parameter so that tests can fix the jitter.
    let random: @Sendable () -> Double

    /// Also says whether the attempt was told to stop.
    func run(
        _ job: ClaimedJob, handler: JobHandler?, startedAt: ContinuousClock.Instant,
        probed: (@Sendable (LiteLLMError?) async -> Void)? = nil
    ) async -> (outcome: JobOutcome, wasStopped: Bool) {
        guard let handler else {
            // A newer version's kind: another worker may know it.
            let stop = running.finishing(job.attemptId, took: .now - startedAt)
            return (again(job, after: .seconds(10), charged: false, error: nil), stop != nil)
        }
        do {
            let result = try await handler.run(job.args, context(job, handler, probed))
            let stop = running.finishing(job.attemptId, took: .now - startedAt)
            return (
                .succeeded(FinishedJob(id: job.id, token: job.token, orderKey: job.orderKey, result: result)),
                stop != nil
            )
        } catch {
            let stop = running.finishing(job.attemptId, took: .now - startedAt)
            return (await outcome(of: error, job, handler, stop: stop, isProbe: probed != nil), stop != nil)
        }
    }

    /// The outcome of a job that was told to stop before it began.
    func notBegun(_ job: ClaimedJob, _ stop: StopReason) -> JobOutcome {
        switch stop {
        case .leaseLost: .lost(id: job.id, token: job.token)
        case .cancelled(let by): ended(job, .cancelled, .cancelled(by: by), by: by)
        case .deadline: ended(job, .failed, .deadlineExceeded)
        case .shutdown, .timeout: again(job, after: .zero, charged: false, error: nil)
        }
    }

    private func context(
        _ job: ClaimedJob, _ handler: JobHandler, _ probed: (@Sendable (LiteLLMError?) async -> Void)?
    ) -> JobContext {
        let gate = JobCallGate(
            jobId: job.id, isProbe: probed != nil, breaker: breaker, adaptive: adaptive, running: running,
            lease: lease, probed: probed)
        return JobContext(
            id: job.id, attempt: job.attempt, maxAttempts: job.maxAttempts, token: job.token, requester: job.requester,
            services: services, store: store, kind: handler.name, gate: gate, baseLogger: logger)
    }

    private func outcome(
        of error: any Error, _ job: ClaimedJob, _ handler: JobHandler, stop: StopReason?, isProbe: Bool
    ) async -> JobOutcome {
        switch stop {
        case .leaseLost: return .lost(id: job.id, token: job.token)
        case .cancelled(let by): return ended(job, .cancelled, .cancelled(by: by), by: by)
        case .shutdown where isInterruption(error): return again(job, after: .zero, charged: false, error: nil)
        case .timeout where isInterruption(error):
            let seconds = Int(handler.timeout.inSeconds)
            return failed(
                job, handler,
                .init(
                    errorClass: .retryable, code: "timeout", message: "The attempt took longer than \(seconds) s."))
        case .deadline where isInterruption(error): return ended(job, .failed, .deadlineExceeded)
        case .timeout, .deadline, .shutdown, nil: break
        }
        switch error {
        case is JobLeaseLost: return .lost(id: job.id, token: job.token)
        case let snooze as JobSnooze: return again(job, after: snooze.delay, charged: false, error: nil)
        case let waiting as JobWaitForChildren: return await waitsForChildren(job, handler, waiting)
        case let refused as UpstreamRefused:
            logger.debug("call refused", metadata: ["job_id": "\(job.id)", "reason": "\(refused.reason)"])
            return again(job, after: .zero, charged: false, error: nil)
        case let failure as JobFailure: return failed(job, handler, failure.info, retryAfter: failure.retryAfter)
        case let failure as LiteLLMError where isProbe && failure.speaksAgainstUpstream:
            // The attempt served the breaker, not the job.
            return again(job, after: .milliseconds(1), charged: false, error: nil)
        case let failure as LiteLLMError:
            return failed(job, handler, JobErrorInfo(failure), retryAfter: failure.retryAfter)
        case let failure as PostgresError:
            return failed(
                job, handler,
                .init(
                    errorClass: .retryable, code: "database_error",
                    message: "The database could not do it\(failure.sqlState.map { " (\($0))" } ?? "")."))
        case is CancellationError: return again(job, after: .zero, charged: false, error: nil)
        default:
            return failed(
                job, handler,
                .init(
                    errorClass: .retryable, code: "unexpected_error", message: "Unexpected \(type(of: error))."))
        }
    }

    private func waitsForChildren(
        _ job: ClaimedJob, _ handler: JobHandler, _ waiting: JobWaitForChildren
    ) async -> JobOutcome {
        do {
            try await PostgresFamilyStore().setPolicy(waiting.policy, parent: job.id, in: services.database)
        } catch {
            return failed(
                job, handler,
                .init(
                    errorClass: .retryable, code: "database_error",
                    message: "The database could not note that it waits for its children."))
        }
        return .again(
            AgainJob(
                id: job.id, token: job.token, orderKey: job.orderKey, delay: .zero, charged: false, error: nil,
                waitsForChildren: true))
    }

    private func failed(
        _ job: ClaimedJob, _ handler: JobHandler, _ error: JobErrorInfo, retryAfter: Duration? = nil
    ) -> JobOutcome {
        let neverGivesUp = handler.retry.retriesPermanentErrors
        if error.errorClass != .retryable, !neverGivesUp { return ended(job, .failed, error) }
        if job.attempt >= job.maxAttempts, job.maxAttempts < RetryPolicy.unlimitedAttempts {
            return ended(job, .failed, error)
        }
        let wait = handler.retry.backoff.delay(afterAttempt: job.attempt, random: random)
        return again(job, after: max(wait, retryAfter ?? .zero, .milliseconds(1)), charged: true, error: error)
    }

    private func again(_ job: ClaimedJob, after delay: Duration, charged: Bool, error: JobErrorInfo?) -> JobOutcome {
        .again(
            AgainJob(
                id: job.id, token: job.token, orderKey: job.orderKey, delay: delay, charged: charged, error: error))
    }

    private func ended(_ job: ClaimedJob, _ state: JobState, _ error: JobErrorInfo, by: String? = nil) -> JobOutcome {
        .ended(id: job.id, token: job.token, state: state, error: error, by: by)
    }

    /// Whether the error says only that the task was cancelled.
    private func isInterruption(_ error: any Error) -> Bool {
        switch error {
        case is CancellationError: true
        case let failure as PostgresError: failure.code == .cancelled
        case let failure as LiteLLMError: failure.code == LiteLLMError.Code.cancelled
        default: false
        }
    }
}

extension LiteLLMError {
    /// Whether it tells of trouble upstream rather than of this one request.
    var speaksAgainstUpstream: Bool { countsForBreaker || opensEveryClass }
}

extension JobErrorInfo {
    init(_ error: LiteLLMError) {
        let errorClass: JobErrorClass =
            switch error.kind {
            case .retryable: .retryable
            case .conflict: .conflict
            case .permanent: .permanent
            }
        self.init(errorClass: errorClass, code: error.code, message: error.message)
    }
}
