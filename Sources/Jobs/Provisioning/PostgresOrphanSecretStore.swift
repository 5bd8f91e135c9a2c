import Shared

/// Sealed secrets that nothing can use any more.
struct PostgresOrphanSecretStore: Sendable {
    /// Deletes up to `limit` secrets without a time of their own whose key's last job is neither live nor waiting for
    /// a person. Gives how many.
    ///
    /// - Parameter age: younger ones stay, so that a job is never seen before its enqueuing transaction has ended.
    func purge(olderThan age: Duration, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        // Rows of other purposes are named by no UUID.
        let purpose = PostgresSealedSecretStore.Purpose.apiKeyCreate.rawValue
        return try await executor.query(
            """
            delete from sealed_secrets where (purpose, row_id) in (
                select s.purpose, s.row_id from sealed_secrets s
                left join api_keys k
                    on k.id = case when s.purpose = \(purpose) then s.row_id::uuid end
                where s.purpose = \(purpose)
                    and s.delete_after is null
                    and s.created_at < now() - make_interval(secs => \(age.inSeconds))
                    and not exists (select from jobs j where j.id = k.last_job_id)
                    and not exists (
                        select from job_dead_letters d where d.id = k.last_job_id and d.discarded_at is null)
                order by s.created_at limit \(limit))
            """
        ).affectedRows
    }

    /// The same for secrets that were to be rotated in, or could be shown again, of which LiteLLM has nothing any more.
    func purgeTokens(olderThan age: Duration, limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        let purposes: [PostgresSealedSecretStore.Purpose] = [.apiKeyRotate, .apiKeyReveal]
        return try await executor.query(
            """
            delete from sealed_secrets where (purpose, row_id) in (
                select s.purpose, s.row_id from sealed_secrets s
                where s.purpose = any (\(purposes.map(\.rawValue))) and s.delete_after is null
                    and s.created_at < now() - make_interval(secs => \(age.inSeconds))
                    and not exists (
                        select from api_key_hashes h where h.key_hash = s.row_id and h.gone_at is null)
                order by s.created_at limit \(limit))
            """
        ).affectedRows
    }
}
