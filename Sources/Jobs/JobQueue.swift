import Foundation
package import Logging
package import Shared

/// What API and handlers use: put jobs in, look at them, end them, bring them back.
package struct JobQueue: Sendable {
    let database: PostgresClient
    let catalog: JobCatalog
    let store: PostgresJobStore
    let wakeups: JobWakeups
    private let inserts: JobInserts
    private let ending: JobEnding
    /// An ending locks the job and then its object, the API the object and then its jobs: one of two that meet is
    /// rolled back by the server and tried again.
    private static let retries = 3
    private let logger: Logger

    package init(database: PostgresClient, catalog: JobCatalog, logger: Logger) {
        self.database = database
        self.catalog = catalog
        self.store = PostgresJobStore()
        self.wakeups = JobWakeups(database: database, store: store, logger: logger)
        self.inserts = JobInserts(database: database, store: store, wakeups: wakeups)
        self.ending = JobEnding(store: store, catalog: catalog, logger: logger)
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
        let enqueued = try await store.enqueue(try row(job, options), in: transaction)
        let queueId = try store.names.queueId(Kind.queue)
        let isRunnable = options.runAt == nil && options.delay == nil
        let isOrdinary = (options.priority ?? Kind.priority) >= 0
        let watchers = enqueued.superseded
        transaction.afterCommit { [wakeups] in
            if isRunnable { await wakeups.ready(queueId, isNew: isOrdinary) }
            if !watchers.isEmpty { await wakeups.finished(watchers) }
        }
        return enqueued
    }

    /// Puts a job in, in a transaction of its own. Plain jobs of callers at the same moment share one.
    package func enqueue<Kind: JobKind>(_ job: Kind, options: JobOptions = JobOptions()) async throws -> EnqueuedJob {
        if let plain = try plain(job, options) { return try await inserts.enqueue(plain) }
        return try await database.withTransaction { try await enqueue(job, options: options, in: $0) }
    }

    /// The job as one that needs no care beyond being put in; nil for any other.
    private func plain<Kind: JobKind>(_ job: Kind, _ options: JobOptions) throws -> PostgresJobStore.PlainJob? {
        guard options.isPlain, job.orderKey == nil, job.uniqueKey == nil else { return nil }
        let handler = try handler(Kind.name)
        return PostgresJobStore.PlainJob(
            queueId: try store.names.queueId(handler.queue), kindId: try store.names.kindId(handler.name),
            upstream: handler.upstream?.code ?? 0, priority: Int16(clamping: options.priority ?? Kind.priority),
            maxAttempts: Int16(clamping: options.maxAttempts ?? handler.retry.maxAttempts),
            requester: options.requester, args: try encode(job))
    }

    /// Puts in many jobs of one kind without keys, in one statement.
    ///
    /// - Precondition: the jobs have neither order keys nor unique keys.
    package func enqueueMany<Kind: JobKind>(
        _ jobs: [Kind], requester: JobRequester = JobRequester(id: nil), in transaction: PostgresTransaction
    ) async throws -> [Int64] {
        let handler = try handler(Kind.name)
        let rows = try jobs.map { job in
            precondition(job.orderKey == nil && job.uniqueKey == nil, "jobs with keys are enqueued one by one")
            return PostgresJobStore.BulkRow(handler: handler, args: try encode(job))
        }
        let ids = try await store.enqueueMany(rows, requester: requester, in: transaction)
        let queueId = try store.names.queueId(Kind.queue)
        transaction.afterCommit { [wakeups] in await wakeups.ready(queueId, isNew: true) }
        return ids
    }

    /// The job with its failed attempts and, when it waits, the reason; nil when there is none.
    package func job(id: Int64) async throws -> JobSnapshot? {
        try await job(id: id, in: database)
    }

    /// The same, as the caller's transaction sees it.
    package func job(id: Int64, in executor: any PostgresExecutor) async throws -> JobSnapshot? {
        guard var snapshot = try await store.snapshot(jobId: id, in: executor) else { return nil }
        snapshot.waiting = try await store.waitReason(of: snapshot, in: executor)
        return snapshot
    }

    /// Jobs, newest first; without attempts and reasons.
    package func list(_ filter: JobFilter) async throws -> [JobSnapshot] {
        try await store.list(filter, in: database)
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

    /// Ends a job on behalf of the worker that ran it, or of one that rescued it.
    func end(
        jobId: Int64, token: Int64, as state: JobState, error: JobErrorInfo, by person: String?, attempted: Bool
    ) async throws -> JobEnding.Result {
        do {
            return try await database.withTransaction(retries: Self.retries) { transaction in
                guard let job = try await store.lock(jobId: jobId, in: transaction), job.token == token else {
                    return JobEnding.Result()
                }
                return try await ending.end(
                    job, as: state, error: error, by: person, attempted: attempted, in: transaction)
            }
        } catch let failure as PostgresError where failure.isConnectionLoss {
            throw failure
        } catch {
            // The kind's own marking failed: the job must still end, or it would be tried for ever.
            logger.critical(
                "a job ended without marking its object",
                metadata: ["job_id": "\(jobId)", "error": "\(failureText(error))"])
            return try await database.withTransaction(retries: Self.retries) { transaction in
                guard let job = try await store.lock(jobId: jobId, in: transaction), job.token == token else {
                    return JobEnding.Result()
                }
                return try await ending.end(
                    job, as: state, error: self.info(of: error, instead: state), by: person, attempted: attempted,
                    marksObject: false, in: transaction)
            }
        }
    }

    private func info(of error: any Error, instead state: JobState) -> JobErrorInfo {
        JobErrorInfo(
            errorClass: .permanent, code: "end_not_marked",
            message: "The job ended as \(state.rawValue), but its object could not be marked.")
    }

    private func failureText(_ error: any Error) -> String {
        (error as? PostgresError).map(\.description) ?? String(describing: type(of: error))
    }

    /// Ends a job whose dependency has ended without success.
    func failDependent(jobId: Int64) async throws -> JobEnding.Result {
        try await database.withTransaction(retries: Self.retries) { transaction in
            guard let job = try await store.lock(jobId: jobId, in: transaction), job.state != .running else {
                return JobEnding.Result()
            }
            let error = JobErrorInfo(
                errorClass: .permanent, code: "dependency_failed",
                message: "A job that this one needs has ended without success.")
            return try await ending.end(job, as: .failed, error: error, by: nil, attempted: false, in: transaction)
        }
    }

    /// Ends a waiting job for which a request to cancel came while it ran.
    func cancelLate(jobId: Int64) async throws -> JobEnding.Result {
        try await database.withTransaction(retries: Self.retries) { transaction in
            guard let job = try await store.lock(jobId: jobId, in: transaction), job.state != .running else {
                return JobEnding.Result()
            }
            let requestedBy = try await store.cancelRequestedBy(jobId: jobId, in: transaction)
            return try await ending.end(
                job, as: .cancelled, error: .cancelled(by: requestedBy), by: requestedBy, attempted: false,
                marksObject: requestedBy != JobErrorInfo.superseded, in: transaction)
        }
    }

    /// Tells claimers and waiters what an ending changed.
    func announce(_ result: JobEnding.Result) async {
        for queueId in result.wake { await wakeups.ready(queueId) }
        if !result.watched.isEmpty { await wakeups.finished(result.watched) }
    }

    private func row<Kind: JobKind>(_ job: Kind, _ options: JobOptions) throws -> PostgresJobStore.NewJob {
        PostgresJobStore.NewJob(
            handler: try handler(Kind.name), args: try encode(job), uniqueKey: job.uniqueKey, orderKey: job.orderKey,
            priority: options.priority ?? Kind.priority, options: options)
    }

    private func handler(_ name: String) throws -> JobHandler {
        guard let handler = catalog.handlers[name] else { throw JobQueueError.unknownKind(name) }
        return handler
    }

    private func encode(_ job: some JobKind) throws -> String {
        String(decoding: try JSON.encoder.encode(job), as: UTF8.self)
    }
}
