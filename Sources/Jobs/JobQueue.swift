import Foundation
package import Logging
package import Shared

/// What API and handlers use: put jobs in, look at them, end them, bring them back.
package struct JobQueue: Sendable {
    package let database: PostgresClient
    let catalog: JobCatalog
    let store: PostgresJobStore
    let wakeups: JobWakeups
    let ending: JobEnding
    let enqueuer: JobEnqueuer
    private let inserts: JobInserts
    private let reader: BatchLoader<Int64, JobSnapshot>
    /// An ending locks the job and then its object, the API the object and then its jobs: one of two that meet is
    /// rolled back by the server and tried again.
    static let retries = 3
    let logger: Logger

    package init(database: PostgresClient, catalog: JobCatalog, logger: Logger) {
        self.database = database
        self.catalog = catalog
        self.store = PostgresJobStore()
        self.wakeups = JobWakeups(database: database, store: store, logger: logger)
        self.inserts = JobInserts(database: database, store: store, wakeups: wakeups)
        self.reader = BatchLoader { [store] in try await store.snapshots(jobIds: $0, in: database) }
        self.enqueuer = JobEnqueuer(store: store, catalog: catalog, wakeups: wakeups)
        self.ending = JobEnding(store: store, enqueuer: enqueuer, logger: logger)
        self.logger = logger
    }

    /// Reads the numbers of queues and kinds. Call once before anything else.
    package func prepare() async throws {
        try await store.loadNames(catalog: catalog, in: database)
    }

    /// Puts a job in, in the caller's transaction; claimers are woken once that has committed.
    ///
    /// - Throws: ``JobQueueError`` when a job it depends on has failed; `PostgresError`.
    package func enqueue<Kind: JobKind>(
        _ job: Kind, options: JobOptions = JobOptions(), in transaction: PostgresTransaction
    ) async throws -> EnqueuedJob {
        try await enqueuer.enqueue(job, options: options, in: transaction)
    }

    /// Puts a job in, in a transaction of its own. Plain jobs of callers at the same moment share one.
    package func enqueue<Kind: JobKind>(_ job: Kind, options: JobOptions = JobOptions()) async throws -> EnqueuedJob {
        if let plain = try plain(job, options) { return try await inserts.enqueue(plain) }
        return try await database.withTransaction { try await enqueue(job, options: options, in: $0) }
    }

    /// The job as one that needs no care beyond being put in; nil for any other.
    private func plain<Kind: JobKind>(_ job: Kind, _ options: JobOptions) throws -> PostgresJobStore.PlainJob? {
        guard options.isPlain, job.orderKey == nil, job.uniqueKey == nil else { return nil }
        let handler = try enqueuer.handler(Kind.name)
        return PostgresJobStore.PlainJob(
            queueId: try store.names.queueId(handler.queue), kindId: try store.names.kindId(handler.name),
            upstream: handler.upstream?.code ?? 0, priority: Int16(clamping: options.priority ?? Kind.priority),
            maxAttempts: Int16(clamping: options.maxAttempts ?? handler.retry.maxAttempts),
            requester: options.requester, args: try enqueuer.encode(job))
    }

    /// Puts in many jobs of one kind without keys, in one statement.
    ///
    /// - Precondition: the jobs have neither order keys nor unique keys.
    package func enqueueMany<Kind: JobKind>(
        _ jobs: [Kind], requester: JobRequester = JobRequester(id: nil), in transaction: PostgresTransaction
    ) async throws -> [Int64] {
        let handler = try enqueuer.handler(Kind.name)
        let args = try jobs.map { job in
            precondition(job.orderKey == nil && job.uniqueKey == nil, "jobs with keys are enqueued one by one")
            return try enqueuer.encode(job)
        }
        let ids = try await store.enqueueMany(args, of: handler, requester: requester, in: transaction)
        let queueId = try store.names.queueId(Kind.queue)
        transaction.afterCommit { [wakeups] in await wakeups.ready(queueId, isNew: true) }
        return ids
    }

    /// The job with its failed attempts and, when it waits, the reason; nil when there is none. Callers at the same
    /// moment share a query; each sees what was committed before it asked.
    package func job(id: Int64) async throws -> JobSnapshot? {
        do {
            return try await explained(try await reader.value(for: id), in: database)
        } catch let error as PostgresError where error.code == .decode {
            // One that cannot be read must not hide the others of its batch.
            return try await job(id: id, in: database)
        }
    }

    /// The same, as the caller's transaction sees it.
    package func job(id: Int64, in executor: any PostgresExecutor) async throws -> JobSnapshot? {
        try await explained(try await store.snapshot(jobId: id, in: executor), in: executor)
    }

    private func explained(_ snapshot: JobSnapshot?, in executor: any PostgresExecutor) async throws -> JobSnapshot? {
        guard var snapshot else { return nil }
        snapshot.waiting = try await store.waitReasons(of: snapshot, in: executor).first
        return snapshot
    }

    /// Jobs, newest first; without attempts and reasons.
    package func list(_ filter: JobFilter) async throws -> [JobSnapshot] {
        try await store.list(filter, in: database)
    }

    /// The jobs with this order key that have not ended, oldest first.
    package func unfinished(orderKey: String?, in executor: any PostgresExecutor) async throws -> [Int64] {
        guard let orderKey else { return [] }
        return try await store.unfinished(orderKey: orderKey, in: executor)
    }

    /// Ends a job that has not ended: at once when it waits, else as soon as its worker hears of it.
    ///
    /// - Parameter force: also ends work that protects others, such as a revocation.
    /// - Throws: ``JobQueueError``.
    package func cancel(id: Int64, by person: String, force: Bool = false) async throws {
        try await database.withTransaction(retries: Self.retries) {
            try await cancel(id: id, by: person, force: force, in: $0)
        }
    }

    /// The same in the caller's transaction; workers and waiters hear of it once that has committed.
    package func cancel(
        id: Int64, by person: String, force: Bool = false, in transaction: PostgresTransaction
    ) async throws {
        let result = try await end(id: id, by: person, force: force, in: transaction)
        transaction.afterCommit {
            await announce(result.ended)
            if let worker = result.worker { await wakeups.cancelled(worker) }
        }
    }

    private func end(
        id: Int64, by person: String, force: Bool, in transaction: PostgresTransaction
    ) async throws -> (ended: JobEnding.Result, worker: Int32?) {
        guard let job = try await store.lock(jobId: id, in: transaction) else {
            guard let ended = try await store.snapshot(jobId: id, in: transaction) else {
                throw JobQueueError.notFound(id)
            }
            throw JobQueueError.wrongState(id, ended.state, allowed: "unfinished")
        }
        if !force, try await store.isProtected(queueId: job.queueId, in: transaction) {
            throw JobQueueError.protected(id)
        }
        if job.state == .running {
            return (JobEnding.Result(), try await store.requestCancel(jobId: id, by: person, in: transaction))
        }
        let error = JobErrorInfo(errorClass: .cancelled, code: "cancelled", message: "Cancelled by \(person).")
        let ended = try await ending.end(
            job, as: .cancelled, error: error, by: person, attempted: false, in: transaction)
        return (ended, nil)
    }

    /// Brings a failed job back with a fresh set of attempts, or makes a waiting one due now.
    ///
    /// - Throws: ``JobQueueError``.
    package func retry(id: Int64) async throws {
        try await database.withTransaction(retries: Self.retries) { try await retry(id: id, in: $0) }
    }

    /// The same in the caller's transaction; claimers hear of it once that has committed.
    package func retry(id: Int64, in transaction: PostgresTransaction) async throws {
        if let letter = try await store.lockDeadLetter(jobId: id, in: transaction) {
            guard let queueId = try await store.revive(jobId: id, in: transaction) else {
                throw JobQueueError.keyTaken(id)
            }
            let kind = store.names.kindName(letter.kindId)
            try await catalog.handlers[kind]?.retried(letter.args, id, transaction)
            transaction.afterCommit { await wakeups.ready(queueId) }
            return
        }
        guard let snapshot = try await store.snapshot(jobId: id, in: transaction) else {
            throw JobQueueError.notFound(id)
        }
        guard [.retrying, .scheduled].contains(snapshot.state), try await store.makeDue(jobId: id, in: transaction)
        else { throw JobQueueError.wrongState(id, snapshot.state, allowed: "failed, retrying or scheduled") }
        transaction.afterCommit { await wakeups.due() }
    }

    /// Ends a job on behalf of the worker that ran it, or of one that rescued it; nothing when the attempt does not own
    /// the job any more.
    func end(
        jobId: Int64, token: Int64, as state: JobState, error: JobErrorInfo, by person: String?, attempted: Bool
    ) async throws -> JobEnding.Result {
        try await endSurely(jobId) { job, _ in
            // Put back or brought back by a person, it has the same token until the next claim.
            guard job.token == token, job.state == .running else { return nil }
            return Verdict(state: state, error: error, person: person, attempted: attempted)
        }
    }

    /// Ends a job whose dependency has ended without success.
    func failDependent(jobId: Int64) async throws -> JobEnding.Result {
        try await endSurely(jobId) { job, _ in
            guard job.state != .running else { return nil }
            let error = JobErrorInfo(
                errorClass: .permanent, code: "dependency_failed",
                message: "A job that this one needs has ended without success.")
            return Verdict(state: .failed, error: error)
        }
    }

    /// Ends a waiting job whose deadline has passed.
    func failLate(jobId: Int64) async throws -> JobEnding.Result {
        try await endSurely(jobId) { job, _ in
            guard job.state != .running else { return nil }
            return Verdict(state: .failed, error: .deadlineExceeded)
        }
    }

    /// Ends a parent that waits for children which had to succeed and did not.
    func failParent(jobId: Int64, counts: ChildCounts) async throws -> JobEnding.Result {
        try await endSurely(jobId) { job, _ in
            guard job.state == .waitingForChildren else { return nil }
            return Verdict(state: .failed, error: .childrenFailed(counts))
        }
    }

    /// Ends a waiting job for which a request to cancel came while it ran.
    func cancelLate(jobId: Int64) async throws -> JobEnding.Result {
        try await endSurely(jobId) { [store] job, transaction in
            guard job.state != .running else { return nil }
            let requestedBy = try await store.cancelRequestedBy(jobId: jobId, in: transaction)
            return Verdict(
                state: .cancelled, error: .cancelled(by: requestedBy), person: requestedBy,
                marksObject: requestedBy != JobErrorInfo.superseded)
        }
    }

    /// How a job is to end.
    private struct Verdict: Sendable {
        var state: JobState
        var error: JobErrorInfo
        var person: String?
        var attempted = false
        var marksObject = true
    }

    /// Ends a job. When its kind cannot mark the object the job ends all the same: it would be tried for ever, and keep
    /// whoever ends jobs from all the others.
    private func endSurely(
        _ jobId: Int64, _ verdict: @Sendable (EndingJob, PostgresTransaction) async throws -> Verdict?
    ) async throws -> JobEnding.Result {
        do {
            return try await endOnce(jobId, verdict)
        } catch let failure as PostgresError where failure.isPassing {
            throw failure
        } catch let failure as CancellationError {
            throw failure
        } catch {
            logger.critical(
                "a job ended without marking its object",
                metadata: ["job_id": "\(jobId)", "error": "\(failureText(error))"])
            return try await endOnce(jobId) { job, transaction in
                guard var verdict = try await verdict(job, transaction) else { return nil }
                verdict.error = JobErrorInfo(
                    errorClass: .permanent, code: "end_not_marked",
                    message: "The job ended as \(verdict.state.rawValue), but its object could not be marked.")
                verdict.marksObject = false
                return verdict
            }
        }
    }

    private func endOnce(
        _ jobId: Int64, _ verdict: @Sendable (EndingJob, PostgresTransaction) async throws -> Verdict?
    ) async throws -> JobEnding.Result {
        try await database.withTransaction(retries: Self.retries) { transaction in
            guard let job = try await store.lock(jobId: jobId, in: transaction),
                let verdict = try await verdict(job, transaction)
            else { return JobEnding.Result() }
            return try await ending.end(
                job, as: verdict.state, error: verdict.error, by: verdict.person, attempted: verdict.attempted,
                marksObject: verdict.marksObject, in: transaction)
        }
    }

    private func failureText(_ error: any Error) -> String {
        (error as? PostgresError).map(\.description) ?? String(describing: type(of: error))
    }

    /// Tells claimers and waiters what an ending changed.
    func announce(_ result: JobEnding.Result) async {
        for queueId in result.wake { await wakeups.ready(queueId) }
        if !result.watched.isEmpty { await wakeups.finished(result.watched) }
    }
}

extension PostgresError {
    /// Whether it says something about the moment rather than about the statement: trying again later can help.
    fileprivate var isPassing: Bool {
        switch code {
        case .connection, .timeout, .cancelled, .poolExhausted, .closed: true
        case .server:
            isConnectionLoss || sqlState.map { ["40", "53", "55", "57", "25"].contains(String($0.prefix(2))) } ?? false
        case .decode, .encode, .transactionAborted, .misuse: false
        }
    }
}
