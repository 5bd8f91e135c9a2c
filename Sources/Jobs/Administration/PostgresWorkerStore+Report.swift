import Foundation
import Shared

extension PostgresWorkerStore {
    /// Workers with what they run, living ones first.
    ///
    /// - Parameters:
    ///   - id: only this one.
    ///   - ended: also those that stopped or were lost.
    func reports(
        id: Int32?, ended: Bool, names: JobNames, in executor: any PostgresExecutor
    ) async throws -> [WorkerReport] {
        let rows = try await executor.query(
            """
            select w.id, w.name, w.host, w.pid, w.version, w.state, w.started_at, w.beat_at,
                extract(epoch from clock_timestamp() - w.beat_at)::float8, w.lease_until, w.queues, w.kinds, w.capacity,
                w.drain_requested_at, w.drain_requested_by,
                (select count(*) from jobs j where j.state = 1 and j.worker_id = w.id)
            from job_workers w
            where (\(id)::int4 is null or w.id = \(id)::int4) and (\(ended) or w.state in (0, 1))
            order by w.state in (2, 3), w.id desc limit 500
            """)
        var reports = try rows.map(Self.report)
        let jobs = try await runningJobs(of: reports.filter { $0.running > 0 }.map(\.id), names: names, in: executor)
        for index in reports.indices { reports[index].jobs = jobs[reports[index].id] ?? [] }
        return reports
    }

    private static func report(_ row: PostgresRow) throws -> WorkerReport {
        let (
            id, name, host, pid, version, state, startedAt, beatAt, sinceBeat, leaseUntil, queues, kinds, capacity,
            drainAt, drainBy, running
        ) = try row.decode(
            Int32.self, String.self, String.self, Int32.self, String.self, Int16.self, Date.self, Date.self,
            Double.self, Date.self, [String].self, [String].self, Int32.self, Date?.self, String?.self, Int.self)
        let shown: WorkerReport.State =
            switch State(rawValue: state) {
            case .active: .active
            case .draining: .draining
            case .lost: .lost
            case .stopped, nil: .stopped
            }
        return WorkerReport(
            id: id, name: name, host: host, pid: pid, version: version, state: shown, startedAt: startedAt,
            beatAt: beatAt, secondsSinceBeat: max(sinceBeat, 0), leaseUntil: leaseUntil, queues: queues, kinds: kinds,
            capacity: Int(capacity), running: running, drainRequestedAt: drainAt, drainRequestedBy: drainBy, jobs: [])
    }

    private func runningJobs(
        of workers: [Int32], names: JobNames, in executor: any PostgresExecutor
    ) async throws -> [Int32: [WorkerReport.Job]] {
        guard !workers.isEmpty else { return [:] }
        let rows = try await executor.query(
            """
            select w.id, j.id, j.kind_id, j.queue_id, j.attempt, j.started_at,
                coalesce(extract(epoch from clock_timestamp() - j.started_at), 0)::float8,
                j.cancel_requested_at is not null, j.resource_type, j.resource_id, j.progress
            from unnest(\(workers)) as w (id) cross join lateral (
                select * from jobs where state = 1 and worker_id = w.id order by started_at limit 100
            ) as j order by w.id, j.started_at
            """)
        var found: [Int32: [WorkerReport.Job]] = [:]
        for row in rows {
            let (worker, id, kindId, queueId, attempt, startedAt, seconds, cancel, type, resource, progress) =
                try row.decode(
                    Int32.self, Int64.self, Int16.self, Int16.self, Int16.self, Date?.self, Double.self, Bool.self,
                    String?.self, String?.self, String?.self)
            found[worker, default: []].append(
                WorkerReport.Job(
                    id: JobNumber(id), kind: names.kindName(kindId), queue: names.queueName(queueId),
                    attempt: Int(attempt), startedAt: startedAt, runningSeconds: max(seconds, 0),
                    cancelRequested: cancel,
                    resource: type.flatMap { type in resource.map { JobReport.Resource(type: type, id: $0) } },
                    progress: try progress.map { try JSON.decoder.decode(JobProgress.self, from: Data($0.utf8)) }))
        }
        return found
    }

    /// Asks a living worker to claim no more, or to claim again. False when it does not live.
    func requestDrain(
        _ drain: Bool, workerId: Int32, by person: String, in executor: any PostgresExecutor
    ) async throws -> Bool {
        let rows = try await executor.query(
            """
            update job_workers set
                drain_requested_at = case when \(drain) then coalesce(drain_requested_at, now()) end,
                drain_requested_by = case when \(drain) then \(person)::text end
            where id = \(workerId) and state in (0, 1) returning id
            """)
        return !rows.isEmpty
    }

    /// The new incarnation of a worker whose lease was lost still has to do as it was told.
    func keepDrain(from old: Int32, to new: Int32, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            update job_workers n set drain_requested_at = o.drain_requested_at,
                drain_requested_by = o.drain_requested_by, state = 1
            from job_workers o where n.id = \(new) and o.id = \(old) and o.drain_requested_at is not null
            """)
    }
}
