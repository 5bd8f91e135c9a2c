import Shared

extension PostgresJobStore {
    /// The tables that are partitioned by day.
    enum DailyTable: String, Sendable {
        case history = "job_history"
        case attempts = "job_attempts"
    }

    /// Makes the partitions of the days to come. Nothing depends on its being done in time: what comes before its
    /// partition waits in the default one and is moved.
    func ensurePartitions(in executor: any PostgresExecutor) async throws {
        try await executor.query("select job_partitions_ensure((now() at time zone 'UTC')::date, 8)")
        try await executor.query("select audit_partitions_ensure((now() at time zone 'UTC')::date, 3)")
    }

    /// Drops whole days that ended more than so many days ago. Returns how many partitions went.
    func dropPartitions(
        of table: DailyTable, olderThanDays days: Int, in executor: any PostgresExecutor
    ) async throws -> Int {
        let rows = try await executor.query(
            """
            select job_partitions_drop(\(table.rawValue)::text, (now() at time zone 'UTC')::date - \(Int32(days)))
            """)
        return Int(try rows.first?.decode(Int32.self) ?? 0)
    }

    /// Deletes dead letters that failed more than so many days ago, oldest first. Returns how many.
    func forgetDeadLetters(days: Int, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            delete from job_dead_letters where id = any (array (
                select id from job_dead_letters where finished_at < now() - \(days) * interval '1 day'
                order by finished_at, id limit \(limit) for update skip locked))
            """
        ).affectedRows
    }
}
