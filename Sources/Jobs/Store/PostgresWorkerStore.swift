import Foundation
import Shared

/// A worker incarnation to register.
struct WorkerRegistration: Sendable {
    var incarnation: UUID
    var name: String
    var host: String
    var pid: Int32
    var version: String
    var queues: [String]
    var kinds: [String]
    var capacity: Int32
    var lease: Duration
}

/// The SQL of `job_workers`: one row per incarnation, whose lease covers all its jobs.
struct PostgresWorkerStore: Sendable {
    enum State: Int16 {
        case active = 0
        case draining = 1
        case lost = 2
        case stopped = 3
    }

    func register(_ worker: WorkerRegistration, in executor: any PostgresExecutor) async throws -> Int32 {
        let rows = try await executor.query(
            """
            insert into job_workers (incarnation, name, host, pid, version, queues, kinds, capacity, lease_until)
            values (\(worker.incarnation), \(worker.name), \(worker.host), \(worker.pid), \(worker.version),
                \(worker.queues), \(worker.kinds), \(worker.capacity),
                now() + \(worker.lease.inSeconds) * interval '1 second')
            returning id
            """)
        guard let row = rows.first else { throw JobQueueError.unknownQueue("job_workers") }
        return try row.decode(Int32.self)
    }

    /// Extends the lease, and says whether an operator wants the worker to claim no more. No row: the lease was lost,
    /// and everything this incarnation runs is somebody else's now.
    ///
    /// - Parameter limits: jobs that this worker lets use each upstream class at once; for people.
    func beat(workerId: Int32, lease: Duration, limits: [String: Int]) -> PostgresQuery {
        """
        update job_workers set beat_at = now(), lease_until = now() + \(lease.inSeconds) * interval '1 second',
            upstream_limits = \(JSONValue.object(limits.mapValues { .int($0) }).encodedString())
        where id = \(workerId) and state in (0, 1) returning drain_requested_at is not null
        """
    }

    /// How many workers share the fleet's work.
    func countActive() -> PostgresQuery {
        "select count(*) from job_workers where state = 0 and lease_until > now()"
    }

    func setState(_ state: State, workerId: Int32, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "update job_workers set state = \(state.rawValue) where id = \(workerId) and state <> 2")
    }

    /// Marks workers whose lease has run out on the database's clock. Returns how many.
    func markLost(in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            "update job_workers set state = 2 where state in (0, 1) and lease_until < now() returning id"
        ).count
    }

    /// Forgets workers that have been gone for a day and own no job.
    func forgetOld(in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            delete from job_workers w where w.state in (2, 3) and w.beat_at < now() - interval '1 day'
              and not exists (select from jobs j where j.state = 1 and j.worker_id = w.id)
            """)
    }
}
