import Foundation
import Shared

/// The SQL of `job_queues`.
struct PostgresQueueStore: Sendable {
    struct Row: Sendable {
        var id: Int16
        var name: String
        var isProtected: Bool
        var pausedAt: Date?
        var pausedBy: String?
        var pauseReason: String?
        /// Workers that serve it now.
        var workers: Int
    }

    func all(in executor: any PostgresExecutor) async throws -> [Row] {
        let rows = try await executor.query(
            """
            select q.id, q.name, q.protected, q.paused_at, q.paused_by, q.pause_reason, (
                select count(*) from job_workers w
                where w.state = 0 and w.lease_until > now() and q.name = any (w.queues))
            from job_queues q order by q.name
            """)
        return try rows.map { row in
            let (id, name, isProtected, pausedAt, pausedBy, reason, workers) = try row.decode(
                Int16.self, String.self, Bool.self, Date?.self, String?.self, String?.self, Int.self)
            return Row(
                id: id, name: name, isProtected: isProtected, pausedAt: pausedAt, pausedBy: pausedBy,
                pauseReason: reason, workers: workers)
        }
    }

    /// Locks a queue; nil when there is none of this name.
    func lock(_ name: String, in executor: any PostgresExecutor) async throws -> (id: Int16, isProtected: Bool)? {
        let rows = try await executor.query(
            "select id, protected from job_queues where name = \(name) for update")
        guard let row = rows.first else { return nil }
        let (id, isProtected) = try row.decode(Int16.self, Bool.self)
        return (id, isProtected)
    }

    /// A queue that is paused already keeps its time.
    func pause(_ id: Int16, by person: String, reason: String?, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            """
            update job_queues set paused_at = coalesce(paused_at, now()), paused_by = \(person), pause_reason = \(reason)
            where id = \(id)
            """)
    }

    func resume(_ id: Int16, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "update job_queues set paused_at = null, paused_by = null, pause_reason = null where id = \(id)")
    }
}
