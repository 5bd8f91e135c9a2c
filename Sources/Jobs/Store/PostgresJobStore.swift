import Foundation
import Shared

/// The SQL of the live job table. Its methods take the executor, so that they join the caller's transaction.
package struct PostgresJobStore: Sendable {
    let names = JobNames()

    package init() {}

    /// Reads the numbers of queues and kinds, and registers kinds the database has not seen.
    func loadNames(catalog: JobCatalog, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            insert into job_kinds (name) select n from unnest(\(catalog.names)::text[]) as n
            where not exists (select from job_kinds k where k.name = n) on conflict do nothing
            """)
        let queues = try await executor.query("select id, name from job_queues")
        let kinds = try await executor.query("select id, name from job_kinds")
        names.replace(
            queues: try queues.map { try $0.decode(Int16.self, String.self) },
            kinds: try kinds.map { try $0.decode(Int16.self, String.self) })
        for queue in catalog.queues { _ = try names.queueId(queue) }
    }

    struct NewJob: Sendable {
        var handler: JobHandler
        var args: String
        var uniqueKey: String?
        var orderKey: String?
        var priority: Int
        var options: JobOptions
    }

    /// Puts a job in, in the caller's transaction.
    ///
    /// - Throws: ``JobQueueError`` for a dependency that cannot be waited for.
    func enqueue(_ job: NewJob, in executor: any PostgresExecutor) async throws -> EnqueuedJob {
        let options = job.options
        let maxAttempts = options.maxAttempts ?? job.handler.retry.maxAttempts
        let query: PostgresQuery = """
            select job_id, coalesced, job_state, superseded from job_enqueue(
                \(try names.queueId(job.handler.queue)), \(try names.kindId(job.handler.name)),
                \(job.handler.upstream?.code ?? 0), \(Int16(clamping: job.priority)),
                \(Int16(clamping: maxAttempts)),
                coalesce(\(options.runAt), now() + \(options.delay?.inSeconds) * interval '1 second'),
                \(options.deadlineAt),
                \(job.uniqueKey), \(job.orderKey), \(options.resource?.type), \(options.resource?.id),
                \(options.requester.id), \(options.requester.requestId), \(options.parentId),
                \(options.dependsOn), \(options.supersedes), \(options.watched), \(job.args))
            """
        do {
            guard let row = try await executor.query(query).first else {
                throw JobQueueError.unknownKind(job.handler.name)
            }
            let (id, coalesced, state, superseded) = try row.decode(
                Int64.self, Bool.self, Int16.self, [Int64]?.self)
            return EnqueuedJob(
                id: id, coalesced: coalesced,
                state: (StoredState(rawValue: state) ?? .ready).publicState(errors: 0),
                superseded: superseded ?? [])
        } catch let error as PostgresError where error.sqlState == "JB001" {
            throw JobQueueError.dependencyEnded
        } catch let error as PostgresError where error.sqlState == "JB002" {
            throw JobQueueError.dependencyWithoutOrder
        }
    }

    /// A job that needs none of what `job_enqueue` cares for: no keys, no dependencies, no time to wait for.
    struct PlainJob: Sendable {
        var queueId: Int16
        var kindId: Int16
        var upstream: Int16
        var priority: Int16
        var maxAttempts: Int16
        var requester: JobRequester
        var args: String
    }

    /// Puts in plain jobs in one statement, and announces them after its commit. Ids come in the order of the jobs.
    func enqueuePlain(
        _ jobs: [PlainJob], announcing news: ReadyNews, onFailure: @escaping @Sendable (PostgresError) -> Void,
        in client: PostgresClient
    ) async throws -> [Int64] {
        let rows = try await client.query(
            """
            insert into jobs (queue_id, kind_id, upstream, priority, max_attempts, requester_id, request_id, args)
            select q, k, u, p, m, r, i, a::jsonb
            from unnest(
                \(jobs.map(\.queueId)), \(jobs.map(\.kindId)), \(jobs.map(\.upstream)), \(jobs.map(\.priority)),
                \(jobs.map(\.maxAttempts)), \(jobs.map(\.requester.id))::text[], \(jobs.map(\.requester.requestId))::text[],
                \(jobs.map(\.args))::text[]
            ) with ordinality as t (q, k, u, p, m, r, i, a, n) order by n
            returning id
            """, announcing: PostgresAnnouncement(notification(of: news), onFailure: onFailure))
        return try rows.map { try $0.int64(0) }
    }

    /// Puts in many jobs of one kind without keys, in one statement. Ids come in the order of the parameters: a scan of
    /// one array gives its elements in order, and an insert numbers its rows as they come.
    func enqueueMany(
        _ args: [String], of handler: JobHandler, requester: JobRequester, in executor: any PostgresExecutor
    ) async throws -> [Int64] {
        let result = try await executor.query(
            """
            insert into jobs (queue_id, kind_id, upstream, max_attempts, requester_id, request_id, args)
            select \(try names.queueId(handler.queue)), \(try names.kindId(handler.name)),
                \(handler.upstream?.code ?? 0), \(Int16(clamping: handler.retry.maxAttempts)), \(requester.id),
                \(requester.requestId), a::jsonb
            from unnest(\(args)::text[]) as t (a)
            returning id
            """)
        return try result.map { try $0.int64(0) }
    }

    /// Whether the attempt still owns its job; keeps it so until the transaction ends.
    func holdsLease(jobId: Int64, token: Int64, in executor: any PostgresExecutor) async throws -> Bool {
        let rows = try await executor.query(
            "select 1 from jobs where id = \(jobId) and token = \(token) and state + 0 = 1 for no key update")
        return !rows.isEmpty
    }

    /// Returns false when the attempt no longer owns the job.
    func setProgress(
        _ progress: JobProgress, jobId: Int64, token: Int64, in executor: any PostgresExecutor
    ) async throws -> Bool {
        let json = String(decoding: try JSON.encoder.encode(progress), as: UTF8.self)
        let rows = try await executor.query(
            """
            update jobs set progress = \(json)
            where id = \(jobId) and token = \(token) and state + 0 = 1 returning id
            """)
        return !rows.isEmpty
    }

    /// Marks a live job as watched: its end is announced.
    func watch(jobId: Int64, in executor: any PostgresExecutor) async throws {
        try await executor.query("update jobs set watched = true where id = \(jobId) and not watched")
    }

    /// Wakes the claimers of these queues in every process, and tells the waiters of these jobs.
    func announce(ready: ReadyNews, finished: [Int64], in executor: any PostgresExecutor) async throws {
        var statements: [PostgresQuery] = []
        if !ready.isEmpty {
            statements.append(notification(of: ready))
        }
        // A payload holds at most 8000 bytes; ids have up to 20.
        for part in stride(from: 0, to: finished.count, by: 350) {
            let payload = finished[part..<min(part + 350, finished.count)].map(String.init).joined(separator: ",")
            statements.append("select pg_notify(\(JobChannel.finished)::text, \(payload)::text)")
        }
        guard !statements.isEmpty else { return }
        try await executor.pipeline(statements)
    }

    private func notification(of news: ReadyNews) -> PostgresQuery {
        "select pg_notify(\(JobChannel.ready)::text, \(news.payload)::text)"
    }

    /// Tells a worker, known by its row id, that a job it runs is to end.
    func announceCancel(worker: Int32, in executor: any PostgresExecutor) async throws {
        try await executor.query("select pg_notify(\(JobChannel.cancel)::text, \(String(worker))::text)")
    }
}

/// The channels of NOTIFY. A notification is a hint; the tables are the truth.
package enum JobChannel {
    /// Payload: see `ReadyNews`.
    package static let ready = "litemaas_jobs_ready"
    /// Payload: job ids, separated by commas.
    package static let finished = "litemaas_jobs_finished"
    /// Payload: the worker's row id.
    package static let cancel = "litemaas_jobs_cancel"
    /// Payload: empty.
    package static let breakers = "litemaas_breakers"
}
