import Foundation
import Shared

/// The SQL of `key_bulk_runs`.
struct PostgresKeyBulkRunStore: Sendable {
    /// The run of a job as its last chunk left it.
    func load(jobId: Int64, in executor: any PostgresExecutor) async throws -> KeyBulkRun? {
        guard
            let state = try await executor.query("select state from key_bulk_runs where job_id = \(jobId)").first?
                .decode(PostgresJSON.self)
        else { return nil }
        return try JSON.decoder.decode(KeyBulkRun.self, from: Data(state.text.utf8))
    }

    func save(_ run: KeyBulkRun, jobId: Int64, in executor: any PostgresExecutor) async throws {
        let state = PostgresJSON(String(decoding: try JSON.encoder.encode(run), as: UTF8.self))
        try await executor.query(
            """
            insert into key_bulk_runs (job_id, state) values (\(jobId), \(state))
            on conflict (job_id) do update set state = excluded.state, updated_at = now()
            """)
    }

    /// Forgets runs that nobody goes on with: a failed job can be retried for some time, and goes on where it was.
    func forgetOld(in executor: any PostgresExecutor) async throws {
        try await executor.query("delete from key_bulk_runs where updated_at < now() - interval '60 days'")
    }
}
