package import Foundation
import Shared

/// Jobs that failed alike and wait for a person, newest of them named.
package struct StandingFailure: Sendable, Equatable {
    /// The error code they have in common.
    package let code: String
    /// The message of the newest one.
    package let message: String
    /// How many there are.
    package let count: Int
    /// When the newest one failed.
    package let lastAt: Date
    package let lastJobId: Int64
}

extension PostgresJobStore {
    /// Dead letters with one of these error codes that failed during the last day, by code.
    func standingFailures(codes: [String], in executor: any PostgresExecutor) async throws -> [StandingFailure] {
        // One range of the index (kind_id, error_code, finished_at) per kind and code, not a scan of all letters.
        let rows = try await executor.query(
            """
            select c.code, sum(d.count)::bigint, max(d.last_at), max(d.last_id),
                (array_agg(d.message order by d.last_at desc))[1]
            from unnest(\(codes)::text[]) as c (code) cross join job_kinds k cross join lateral (
                select count(*) as count, max(finished_at) as last_at, max(id) as last_id,
                    (array_agg(error_message order by finished_at desc))[1] as message
                from (
                    select id, finished_at, error_message from job_dead_letters
                    where kind_id = k.id and error_code = c.code and finished_at > now() - interval '1 day'
                    order by finished_at desc limit 1000
                ) as newest
            ) as d
            where d.count > 0
            group by c.code order by c.code
            """)
        return try rows.map { row in
            let (code, count, lastAt, lastJobId, message) = try row.decode(
                String.self, Int.self, Date.self, Int64.self, String?.self)
            return StandingFailure(
                code: code, message: message ?? "", count: count, lastAt: lastAt, lastJobId: lastJobId)
        }
    }
}

extension JobQueue {
    /// What keeps jobs from succeeding until a person acts: dead letters of the last day with one of these codes.
    package func standingFailures(codes: [String]) async throws -> [StandingFailure] {
        try await store.standingFailures(codes: codes, in: database)
    }
}
