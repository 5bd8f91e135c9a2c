import Foundation
package import Shared

/// The tables `reconciliations`, `reconciliation_seen` and `drift_findings`.
package struct PostgresDriftStore: Sendable {
    /// A store without state.
    package init() {}

    // MARK: Walks

    /// The walk of a job; made if there is none. What an attempt before this one has seen is forgotten.
    func begin(
        job: Int64, dryRun: Bool, scope: [String], policy: JSONValue, in transaction: PostgresTransaction
    ) async throws -> Reconciliation {
        let row = try await transaction.query(
            """
            insert into reconciliations (job_id, dry_run, scope, policy)
            values (\(job), \(dryRun), \(scope), \(policy))
            on conflict (job_id) do update set dry_run = excluded.dry_run
            returning \(unescaped: Self.walkColumns)
            """)[0]
        let walk = try Reconciliation(row: row)
        try await forgetSeen(walk.id, in: transaction)
        return walk
    }

    /// The walk of a job.
    package func walk(ofJob id: Int64, in executor: any PostgresExecutor) async throws -> Reconciliation? {
        try await executor.query(
            "select \(unescaped: Self.walkColumns) from reconciliations where job_id = \(id)"
        ).first.map(Reconciliation.init(row:))
    }

    /// One page of walks, newest first.
    package func walks(_ page: PageRequest, in executor: any PostgresExecutor) async throws -> Page<Reconciliation> {
        let rows = try await executor.query(
            """
            select \(unescaped: Self.walkColumns) from reconciliations order by started_at desc, id desc
            limit \(page.size) offset \(page.offset)
            """)
        let total = try await executor.query("select count(*) from reconciliations").one(Int.self)
        return Page(items: try rows.map(Reconciliation.init(row:)), total: total)
    }

    /// Notes that everything was written down, or why nothing was.
    func noteWalked(
        _ id: Int64, isComplete: Bool, doubts: [String], counts: JSONValue, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update reconciliations set walked_at = clock_timestamp(), is_complete = \(isComplete), doubts = \(doubts),
                counts = \(counts)
            where id = \(id)
            """)
        try await forgetSeen(id, in: transaction)
    }

    /// Notes that the walk and all repairs have ended.
    func noteFinished(ofJob id: Int64, doubt: String? = nil, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update reconciliations set finished_at = coalesce(finished_at, clock_timestamp()),
                doubts = case when \(doubt)::text is null then doubts else array_append(doubts, \(doubt)::text) end
            where job_id = \(id)
            """)
    }

    private func forgetSeen(_ id: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query("delete from reconciliation_seen where reconciliation_id = \(id)")
    }

    /// Deletes what ended long ago.
    func purge(olderThanDays days: Int, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            delete from drift_findings
            where state in ('repaired', 'adopted', 'revoked', 'gone')
                and last_seen_at < now() - make_interval(days => \(Int32(days)))
            """)
        try await transaction.query(
            """
            delete from reconciliations r
            where started_at < now() - make_interval(days => \(Int32(days)))
                and not exists (select from drift_findings f where f.reconciliation_id = r.id)
            """)
    }

    // MARK: What was seen

    /// Notes objects that a page lists. Gives how many were new to this walk.
    func see(
        _ ids: [String], _ object: DriftObject, walk: Int64, in executor: any PostgresExecutor
    ) async throws -> Int {
        try await executor.query(
            """
            insert into reconciliation_seen (reconciliation_id, object_type, litellm_id)
            select \(walk), \(object.rawValue), t.id from unnest(\(ids)::text[]) as t (id) on conflict do nothing
            """
        ).affectedRows
    }

    /// Begins the list of a type anew.
    func forget(_ object: DriftObject, walk: Int64, in executor: any PostgresExecutor) async throws {
        try await executor.query(
            "delete from reconciliation_seen where reconciliation_id = \(walk) and object_type = \(object.rawValue)")
    }

    /// How many rows LiteLLM was seen to have, and how many of them this walk has not seen.
    func unseen(
        _ object: DriftObject, walk: Int64, in executor: any PostgresExecutor
    ) async throws -> (synced: Int, unseen: Int) {
        try await executor.query(
            """
            select count(*), count(*) filter (where not exists (
                select from reconciliation_seen s where s.reconciliation_id = \(walk)
                    and s.object_type = \(object.rawValue) and s.litellm_id = r.litellm_id))
            from (\(Self.synced(object))) r
            """
        )[0].decode(Int.self, Int.self)
    }

    /// The ids of up to `limit` rows that LiteLLM was seen to have and this walk has not seen.
    func unseenIds(
        _ object: DriftObject, walk: Int64, limit: Int, in executor: any PostgresExecutor
    ) async throws -> [String] {
        try await executor.query(
            """
            select r.id from (\(Self.synced(object))) r
            where not exists (
                select from reconciliation_seen s where s.reconciliation_id = \(walk)
                    and s.object_type = \(object.rawValue) and s.litellm_id = r.litellm_id)
            order by r.id limit \(limit)
            """
        ).map { try $0.decode(String.self) }
    }

    /// The ids of up to `limit` keys that LiteLLM was seen to have lost for good.
    func lostKeys(limit: Int, in executor: any PostgresExecutor) async throws -> [String] {
        try await executor.query(
            """
            select id::text from api_keys
            where is_active and sync_status = 'failed' and sync_error ->> 'code' = \(APIKey.lostCode)
                and (expires_at is null or expires_at > now())
            order by id limit \(limit)
            """
        ).map { try $0.decode(String.self) }
    }

    /// Rows that LiteLLM agreed with when it was last asked: `id` and `litellm_id`.
    private static func synced(_ object: DriftObject) -> PostgresFragment {
        switch object {
        case .key:
            """
            select id::text as id, key_hash as litellm_id from api_keys
            where is_active and sync_status = 'synced' and version_applied >= version_wanted
                and (expires_at is null or expires_at > now())
            """
        case .user:
            """
            select id::text as id, id::text as litellm_id from users
            where sync_status = 'synced' and version_applied > 0 and version_applied >= version_wanted
            """
        case .team:
            """
            select id::text as id, id::text as litellm_id from teams
            where is_active and sync_status = 'synced' and version_applied >= version_wanted
            """
        case .model:
            """
            select model_id as id, deployment_id as litellm_id from model_specs
            where wanted = 'present' and sync_status = 'synced' and version_applied >= version_wanted
            """
        }
    }

    private static let walkColumns: StaticString = """
        id, job_id, dry_run, scope, policy, started_at, walked_at, finished_at, is_complete, doubts, counts
        """
}
