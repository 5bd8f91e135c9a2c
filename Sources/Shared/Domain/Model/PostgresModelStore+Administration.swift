extension PostgresModelStore {
    /// Reads and locks the row until the transaction ends; other rows may still refer to it meanwhile.
    package func lock(_ id: String, in transaction: PostgresTransaction) async throws -> Model? {
        try await lock([id], in: transaction).first
    }

    /// Reads and locks those of the models that are known, sorted.
    package func lock(_ ids: [String], in transaction: PostgresTransaction) async throws -> [Model] {
        try await transaction.query(
            """
            select \(unescaped: Self.columns) from models where id = any (\(ids)) order by id for no key update
            """
        ).map(Self.model)
    }

    /// Makes a row for a model that LiteLLM does not have yet: unavailable until it was seen there. Nothing happens
    /// when there is one.
    package func reserve(_ id: String, provider: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            insert into models (id, name, provider, availability) values (\(id), \(id), \(provider), 'unavailable')
            on conflict (id) do nothing
            """)
    }

    /// Changes what is only ours.
    package func set(
        description: FieldChange<String>, restrictedAccess: Bool, of id: String, in transaction: PostgresTransaction
    ) async throws {
        let isChange = description != .keep
        var text: String?
        if case .set(let value) = description { text = value }
        try await transaction.query(
            """
            update models set description = case when \(isChange) then \(text)::text else description end,
                restricted_access = \(restrictedAccess), updated_at = now()
            where id = \(id)
            """)
    }

    /// Lets nobody ask for the model any more, from the moment somebody wants it away.
    package func withdraw(_ id: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "update models set availability = 'unavailable', updated_at = now() where id = \(id)")
    }

    /// Notes that a model is gone because somebody deleted it here.
    package func markDeleted(_ id: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            """
            update models set availability = 'unavailable', absences = 0, deleted_at = now(), updated_at = now()
            where id = \(id)
            """)
        try await transaction.query("delete from model_deployments where model_id = \(id)")
    }

    /// Makes this the one deployment of its model.
    package func setDeployment(_ deployment: ModelDeployment, in transaction: PostgresTransaction) async throws {
        try await transaction.query(
            "delete from model_deployments where model_id = \(deployment.modelId) and id <> \(deployment.id)")
        try await replaceDeployments([deployment], isComplete: false, in: transaction)
    }
}
