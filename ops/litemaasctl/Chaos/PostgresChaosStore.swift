import Shared

/// The SQL of the harmless jobs: a table of their effects, which is not part of the schema.
struct PostgresChaosStore: Sendable {
    func prepare(in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "create table if not exists chaos_effects (job_id bigint not null, token bigint not null)")
    }

    /// Notes that an attempt had its effect, if it still owns its job. One statement: the fence is part of it.
    func record(jobId: Int64, token: Int64, in executor: any PostgresExecutor) async throws -> Bool {
        let rows = try await executor.query(
            """
            with owned as (
                select id, token from jobs where id = \(jobId) and token = \(token) and state = 1 for no key update
            )
            insert into chaos_effects (job_id, token) select id, token from owned returning job_id
            """)
        return !rows.isEmpty
    }
}
