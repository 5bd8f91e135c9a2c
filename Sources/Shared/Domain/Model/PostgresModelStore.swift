package import Foundation

/// The tables `models`, `model_deployments` and `model_syncs`.
package struct PostgresModelStore: Sendable {
    // Values in one statement: large enough that round trips do not count, small enough to stay a small message.
    private static let batch = 500

    /// A store without state.
    package init() {}

    // MARK: Reading

    /// The model with this public name.
    package func find(_ id: String, in executor: any PostgresExecutor) async throws -> Model? {
        try await executor.query("select \(unescaped: Self.columns) from models where id = \(id)")
            .first.map(Self.model)
    }

    /// Those of the models that are known, sorted.
    package func find(_ ids: [String], in executor: any PostgresExecutor) async throws -> [Model] {
        try await executor.query(findQuery(ids)).map(Self.model)
    }

    /// The statement of ``find(_:in:)-([String],_)``, for a pipeline; its rows are read by ``model(_:)``.
    package func findQuery(_ ids: [String]) -> PostgresQuery {
        "select \(unescaped: Self.columns) from models where id = any (\(ids)) order by id"
    }

    /// One page of the catalogue, by provider and name.
    package func list(_ filter: ModelFilter, in executor: any PostgresExecutor) async throws -> Page<Model> {
        var conditions: [PostgresFragment] = []
        if let availability = filter.availability { conditions.append("availability = \(availability.rawValue)") }
        if let provider = filter.provider { conditions.append("provider = \(provider)") }
        if let capability = filter.capability { conditions.append("\(capability) = any (features)") }
        if let search = filter.search {
            conditions.append(
                "(position(lower(\(search)) in lower(id)) > 0 or position(lower(\(search)) in lower(description)) > 0)")
        }
        let condition = PostgresFragment.joined(conditions, separator: " and ", empty: "true")
        let results = try await executor.pipeline([
            """
            select \(unescaped: Self.columns) from models where \(condition) order by provider, name, id
            limit \(filter.page.size) offset \(filter.page.offset)
            """,
            "select count(*) from models where \(condition)",
        ])
        return Page(items: try results[0].map(Self.model), total: try results[1].one(Int.self))
    }

    /// The whole catalogue, sorted by id.
    package func all(in executor: any PostgresExecutor) async throws -> [Model] {
        try await executor.query("select \(unescaped: Self.columns) from models order by id").map(Self.model)
    }

    /// The deployments of a model, sorted by id.
    package func deployments(
        of modelId: String, in executor: any PostgresExecutor
    ) async throws -> [ModelDeployment] {
        try await executor.query(
            """
            select id, model_id, provider, backend_model_name, db_model from model_deployments
            where model_id = \(modelId) order by id
            """
        ).map { row in
            let (id, modelId, provider, backend, isInDatabase) = try row.decode(
                String.self, String.self, String.self, String?.self, Bool.self)
            return ModelDeployment(
                id: id, modelId: modelId, provider: provider, backendModelName: backend, isInDatabase: isInDatabase)
        }
    }

    /// The last run of the synchronisation and when it ended; nil before the first.
    package func lastSync(
        in executor: any PostgresExecutor
    ) async throws -> (record: ModelSyncRecord, finishedAt: Date)? {
        try await executor.query(
            """
            select job_id, success, total, added, updated, unavailable, problems, finished_at
            from model_syncs order by id desc limit 1
            """
        ).first.map { row in
            let problems: JSONValue = try row.get("problems")
            let record = ModelSyncRecord(
                jobId: try row.get("job_id"), success: try row.get("success"), total: try row.get("total"),
                added: try row.get("added"), updated: try row.get("updated"), unavailable: try row.get("unavailable"),
                problems: (problems.arrayValue ?? []).compactMap(\.stringValue))
            return (record, try row.get("finished_at"))
        }
    }

    // MARK: Synchronisation

    /// Stores what LiteLLM says of these models; what is only ours stays. They count as seen and available.
    package func upsert(_ models: [ModelDescription], in transaction: PostgresTransaction) async throws {
        for start in stride(from: 0, to: models.count, by: Self.batch) {
            let part = models[start..<min(start + Self.batch, models.count)]
            try await transaction.query(
                """
                insert into models (
                    id, name, provider, backend_model_name, api_base, context_length, max_tokens,
                    input_cost_per_token, output_cost_per_token, tpm, rpm, supports_vision,
                    supports_function_calling, supports_parallel_function_calling, supports_tool_choice, features)
                select id, id, provider, backend_model_name, api_base, context_length, max_tokens,
                    input_cost_per_token, output_cost_per_token, tpm, rpm, supports_vision,
                    supports_function_calling, supports_parallel_function_calling, supports_tool_choice, features
                from jsonb_to_recordset(\(JSONValue.array(part.map(Self.json)))) as m (
                    id text, provider text, backend_model_name text, api_base text, context_length integer,
                    max_tokens integer, input_cost_per_token numeric, output_cost_per_token numeric, tpm bigint,
                    rpm bigint, supports_vision boolean, supports_function_calling boolean,
                    supports_parallel_function_calling boolean, supports_tool_choice boolean, features text[])
                on conflict (id) do update set
                    name = excluded.name, provider = excluded.provider,
                    backend_model_name = excluded.backend_model_name, api_base = excluded.api_base,
                    context_length = excluded.context_length, max_tokens = excluded.max_tokens,
                    input_cost_per_token = excluded.input_cost_per_token,
                    output_cost_per_token = excluded.output_cost_per_token, tpm = excluded.tpm, rpm = excluded.rpm,
                    supports_vision = excluded.supports_vision,
                    supports_function_calling = excluded.supports_function_calling,
                    supports_parallel_function_calling = excluded.supports_parallel_function_calling,
                    supports_tool_choice = excluded.supports_tool_choice, features = excluded.features,
                    availability = 'available', absences = 0, deleted_at = null, seen_at = now(),
                    updated_at = now()
                """)
        }
    }

    /// Counts one more complete listing without these models. Those that reach `limit` become unavailable; gives
    /// the ids of those that did so now.
    package func countAbsence(
        of ids: [String], limit: Int, in transaction: PostgresTransaction
    ) async throws -> [String] {
        try await transaction.query(
            """
            with counted as (
                update models m set absences = m.absences + 1,
                    availability = case when m.absences + 1 >= \(limit) then 'unavailable' else m.availability end,
                    updated_at = case when m.absences + 1 >= \(limit) and m.availability = 'available' then now()
                        else m.updated_at end
                from models old
                where m.id = any (\(ids)) and old.id = m.id
                returning m.id, m.availability as after, old.availability as before
            )
            select id from counted where after = 'unavailable' and before = 'available' order by id
            """
        ).map { row throws(PostgresError) in try row.decode(String.self) }
    }

    /// Notes that models without any other change were listed again.
    package func markSeen(_ ids: [String], in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update models set absences = 0, seen_at = now()
            where id = any (\(ids)) and (absences > 0 or seen_at < now() - interval '1 hour')
            """)
    }

    /// Makes these all the deployments that there are of the listed models; with `isComplete`, of all models.
    package func replaceDeployments(
        _ deployments: [ModelDeployment], isComplete: Bool, in transaction: PostgresTransaction
    ) async throws {
        let ids = deployments.map(\.id)
        try await transaction.query(
            """
            insert into model_deployments (id, model_id, provider, backend_model_name, db_model)
            select * from unnest(
                \(ids)::text[], \(deployments.map(\.modelId))::text[], \(deployments.map(\.provider))::text[],
                \(deployments.map(\.backendModelName))::text[], \(deployments.map(\.isInDatabase))::boolean[])
            on conflict (id) do update set model_id = excluded.model_id, provider = excluded.provider,
                backend_model_name = excluded.backend_model_name, db_model = excluded.db_model, seen_at = now()
            where (model_deployments.model_id, model_deployments.provider, model_deployments.db_model)
                    is distinct from (excluded.model_id, excluded.provider, excluded.db_model)
                or model_deployments.backend_model_name is distinct from excluded.backend_model_name
            """)
        guard isComplete else { return }
        try await transaction.query("delete from model_deployments where id <> all (\(ids)::text[])")
    }

    /// Notes what one run did. Gives when that was, by the database's clock.
    package func record(_ sync: ModelSyncRecord, in transaction: PostgresTransaction) async throws -> Date {
        try await transaction.query(
            """
            insert into model_syncs (job_id, success, total, added, updated, unavailable, problems)
            values (
                \(sync.jobId), \(sync.success), \(sync.total), \(sync.added), \(sync.updated), \(sync.unavailable),
                \(JSONValue.array(sync.problems.map(JSONValue.string))))
            returning finished_at
            """
        ).one(Date.self)
    }

    // MARK: Rows

    static let columns: StaticString = """
        id, provider, description, backend_model_name, api_base, context_length, max_tokens, input_cost_per_token,
        output_cost_per_token, tpm, rpm, supports_vision, supports_function_calling,
        supports_parallel_function_calling, supports_tool_choice, supports_streaming, features, availability,
        restricted_access, absences, deleted_at, created_at, updated_at
        """

    /// Reads one row of this store's statements.
    package static func model(_ row: PostgresRow) throws(PostgresError) -> Model {
        let description = ModelDescription(
            id: try row.get("id"), provider: try row.get("provider"),
            backendModelName: try row.get("backend_model_name"), apiBase: try row.get("api_base"),
            contextLength: try row.get("context_length"), maxTokens: try row.get("max_tokens"),
            inputCostPerToken: try row.get("input_cost_per_token"),
            outputCostPerToken: try row.get("output_cost_per_token"), tpm: try row.get("tpm"),
            rpm: try row.get("rpm"), supportsVision: try row.get("supports_vision"),
            supportsFunctionCalling: try row.get("supports_function_calling"),
            supportsParallelFunctionCalling: try row.get("supports_parallel_function_calling"),
            supportsToolChoice: try row.get("supports_tool_choice"), features: try row.get("features"))
        return Model(
            model: description, description: try row.get("description"),
            restrictedAccess: try row.get("restricted_access"), availability: try row.get("availability"),
            absences: try row.get("absences"), supportsStreaming: try row.get("supports_streaming"),
            deletedAt: try row.get("deleted_at"),
            createdAt: try row.get("created_at"), updatedAt: try row.get("updated_at"))
    }

    private static func json(_ model: ModelDescription) -> JSONValue {
        func text(_ value: String?) -> JSONValue { value.map(JSONValue.string) ?? .null }
        // As text: numeric reads it exactly, a JSON number would go through a double.
        func money(_ value: Decimal?) -> JSONValue { text(value.map { "\($0)" }) }
        func whole(_ value: Int?) -> JSONValue { value.map(JSONValue.int) ?? .null }
        return [
            "id": .string(model.id), "provider": .string(model.provider),
            "backend_model_name": text(model.backendModelName), "api_base": text(model.apiBase),
            "context_length": whole(model.contextLength), "max_tokens": whole(model.maxTokens),
            "input_cost_per_token": money(model.inputCostPerToken),
            "output_cost_per_token": money(model.outputCostPerToken), "tpm": whole(model.tpm),
            "rpm": whole(model.rpm), "supports_vision": .bool(model.supportsVision),
            "supports_function_calling": .bool(model.supportsFunctionCalling),
            "supports_parallel_function_calling": .bool(model.supportsParallelFunctionCalling),
            "supports_tool_choice": .bool(model.supportsToolChoice),
            "features": .array(model.features.map(JSONValue.string)),
        ]
    }
}
