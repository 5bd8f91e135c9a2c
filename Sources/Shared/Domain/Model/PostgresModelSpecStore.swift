import Foundation

/// The tables `model_specs` and `deleted_deployments`. Whoever changes a row locks the model's row first.
package struct PostgresModelSpecStore: Sendable {
    /// A store without state.
    package init() {}

    // MARK: Reading

    /// What is wanted of a model; nil when it is not kept here.
    package func find(_ modelId: String, in executor: any PostgresExecutor) async throws -> ManagedModel? {
        try await executor.query(
            "select \(unescaped: Self.columns) from model_specs where model_id = \(modelId)"
        ).first.map(Self.managed)
    }

    /// Every model that is kept here.
    package func all(in executor: any PostgresExecutor) async throws -> [ManagedModel] {
        try await executor.query("select \(unescaped: Self.columns) from model_specs order by model_id")
            .map(Self.managed)
    }

    /// Those of the deployments that were deleted here.
    package func deleted(among ids: [String], in executor: any PostgresExecutor) async throws -> Set<String> {
        Set(
            try await executor.query("select id from deleted_deployments where id = any (\(ids))")
                .map { try $0.decode(String.self) })
    }

    /// The deployments of a model that were deleted here.
    package func deleted(of modelId: String, in executor: any PostgresExecutor) async throws -> Set<String> {
        Set(
            try await executor.query("select id from deleted_deployments where model_id = \(modelId)")
                .map { try $0.decode(String.self) })
    }

    // MARK: Changing the wish

    /// Puts a model under our care.
    package func insert(
        _ modelId: String, deploymentId: String, isAdopted: Bool, spec: ModelSpec, hasKey: Bool,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into model_specs (model_id, deployment_id, is_adopted, spec, key_version)
            values (\(modelId), \(deploymentId), \(isAdopted), \(try Self.json(spec)), \(hasKey)::int)
            """)
    }

    /// Stores another specification as the next version; `setsKey` says that a new key came with it.
    package func update(
        _ modelId: String, spec: ModelSpec, setsKey: Bool, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update model_specs set spec = \(try Self.json(spec)), version_wanted = version_wanted + 1,
                key_version = case when \(setsKey) then version_wanted + 1 else key_version end,
                sync_status = 'pending', sync_error = null, updated_at = now()
            where model_id = \(modelId)
            """)
    }

    /// Wants a model away that is kept here.
    package func requestDelete(_ modelId: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update model_specs set wanted = 'absent', version_wanted = version_wanted + 1, sync_status = 'pending',
                sync_error = null, updated_at = now()
            where model_id = \(modelId) and wanted = 'present'
            """)
    }

    /// Wants a model away that was made in LiteLLM.
    ///
    /// - Parameter deployments: all that it has in LiteLLM's database; at least one.
    package func insertDelete(
        _ modelId: String, deployments: [String], in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into model_specs (model_id, deployment_id, is_adopted, further_ids, wanted)
            values (\(modelId), \(deployments[0]), true, \(Array(deployments.dropFirst())), 'absent')
            """)
    }

    // MARK: Noting the facts

    /// Notes which job is to bring LiteLLM up to date; one that was given up is `pending` again.
    package func expectSync(_ modelId: String, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update model_specs set last_job_id = \(jobId),
                sync_status = case when sync_status = 'failed' then 'pending' else sync_status end,
                sync_error = case when sync_status = 'failed' then null else sync_error end
            where model_id = \(modelId) and (last_job_id is distinct from \(jobId) or sync_status = 'failed')
            """)
    }

    /// Notes that LiteLLM was seen to have lost or changed the deployment, and which job sets it right.
    package func markDrifted(_ modelId: String, by jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update model_specs set sync_status = 'drifted', last_job_id = \(jobId), updated_at = now()
            where model_id = \(modelId)
            """)
    }

    /// Notes that LiteLLM was read back and has `version`, and was sent the key of `keyVersion`. An older version than
    /// known changes nothing.
    package func markSynced(
        _ modelId: String, version: Int64, keyVersion: Int64, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update model_specs set version_applied = \(version), key_applied = greatest(key_applied, \(keyVersion)),
                last_job_id = \(jobId), sync_error = null, updated_at = now(),
                sync_status = case when version_wanted <= \(version) then 'synced' else 'pending' end
            where model_id = \(modelId) and version_applied <= \(version)
            """)
    }

    /// Notes that the synchronisation was given up. Nothing happens when a newer job is to do it, or when LiteLLM was
    /// seen to have the newest version.
    package func markFailed(
        _ modelId: String, error: SyncError, jobId: Int64, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update model_specs set sync_status = 'failed', updated_at = now(),
                sync_error = \(error.json) || jsonb_build_object('at', now())
            where model_id = \(modelId) and last_job_id = \(jobId)
                and (sync_status <> 'synced' or version_applied < version_wanted)
            """)
    }

    /// Forgets a model whose deployments are gone from LiteLLM, but never these deployments.
    package func remove(
        _ modelId: String, deployments: [String], in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into deleted_deployments (id, model_id) select d, \(modelId) from unnest(\(deployments)::text[]) as d
            on conflict (id) do update set deleted_at = now()
            """)
        try await transaction.query("delete from model_specs where model_id = \(modelId)")
    }

    // MARK: Rows

    private static let columns: StaticString = """
        model_id, deployment_id, is_adopted, further_ids, wanted, spec, key_version, key_applied, sync_status,
        version_wanted, version_applied, sync_error, last_job_id, created_at, updated_at
        """

    private static func managed(_ row: PostgresRow) throws -> ManagedModel {
        let spec: Data? = try row.get("spec")
        return ManagedModel(
            modelId: try row.get("model_id"), deploymentId: try row.get("deployment_id"),
            isAdopted: try row.get("is_adopted"), furtherIds: try row.get("further_ids"),
            wanted: try row.get("wanted"),
            spec: try spec.map { try JSON.decoder.decode(ModelSpec.self, from: $0) },
            keyVersion: try row.get("key_version"), keyApplied: try row.get("key_applied"),
            sync: try SyncState(row: row), createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }

    private static func json(_ spec: ModelSpec) throws -> PostgresJSON {
        PostgresJSON(String(decoding: try JSON.encoder.encode(spec), as: UTF8.self))
    }
}
