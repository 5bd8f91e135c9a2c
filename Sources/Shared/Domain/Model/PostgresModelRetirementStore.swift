package import Foundation

/// Somebody's right to a model that goes with it.
package struct LosingSubscription: Sendable, Equatable {
    package var id: UUID
    package var userId: UUID
    package var username: String
    /// Such as `active`.
    package var status: String
}

/// A key that names a model that goes.
package struct LosingKey: Sendable, Equatable {
    package var id: UUID
    package var userId: UUID
    package var name: String?
    package var prefix: String
    /// The other models that it can still be used for.
    package var modelsLeft: Int
}

/// What goes with a model: numbers, and a page of each.
package struct ModelRetirementImpact: Sendable {
    /// Subscriptions that become inactive.
    package var subscriptions: Page<LosingSubscription>
    /// Keys that can be used for it now.
    package var keys: Page<LosingKey>
    /// Those of the keys that are left without any model.
    package var emptyKeys: Page<LosingKey>
}

/// The table `model_retirements`, and what goes with a model.
package struct PostgresModelRetirementStore: Sendable {
    /// A store without state.
    package init() {}

    /// The plan for a model; nil when there is none.
    package func find(_ modelId: String, in executor: any PostgresExecutor) async throws -> ModelRetirementPlan? {
        try await executor.query("select job_id, due_at from model_retirements where model_id = \(modelId)")
            .first.map { ModelRetirementPlan(jobId: try $0.get("job_id"), dueAt: try $0.get("due_at")) }
    }

    /// Notes which job is to act when.
    package func store(
        _ modelId: String, jobId: Int64, after delay: Duration, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            insert into model_retirements (model_id, job_id, due_at)
            values (\(modelId), \(jobId), now() + make_interval(secs => \(delay.inSeconds)))
            on conflict (model_id) do update set job_id = excluded.job_id, created_at = now(),
                due_at = case when model_retirements.job_id = excluded.job_id
                    then least(model_retirements.due_at, excluded.due_at) else excluded.due_at end
            """)
    }

    /// Forgets the plan.
    package func remove(_ modelId: String, in transaction: PostgresTransaction) async throws {
        try await transaction.query("delete from model_retirements where model_id = \(modelId)")
    }

    /// What would go with the model now.
    package func impact(
        of modelId: String, page: PageRequest, in executor: any PostgresExecutor
    ) async throws -> ModelRetirementImpact {
        let results = try await executor.pipeline([
            """
            select s.id, s.user_id, u.username, s.status from subscriptions s join users u on u.id = s.user_id
            where s.model_id = \(modelId) and s.status = 'active' order by s.id
            limit \(page.size) offset \(page.offset)
            """,
            "select count(*) from subscriptions where model_id = \(modelId) and status = 'active'",
            keyQuery(modelId, "true", page: page), countQuery(modelId, "true"),
            keyQuery(modelId, "models_left = 0", page: page), countQuery(modelId, "models_left = 0"),
        ])
        return ModelRetirementImpact(
            subscriptions: Page(items: try results[0].map(Self.subscription), total: try results[1].one(Int.self)),
            keys: Page(items: try results[2].map(Self.key), total: try results[3].one(Int.self)),
            emptyKeys: Page(items: try results[4].map(Self.key), total: try results[5].one(Int.self)))
    }

    /// Live keys that name the model and whose owner may use it, with the number of others they can be used for.
    private func keys(_ modelId: String) -> PostgresFragment {
        """
        select k.id, k.user_id, k.name, k.key_prefix, (
            select count(*) from api_key_models m
            join models o on o.id = m.model_id and o.availability = 'available'
            join subscriptions s on s.model_id = m.model_id and s.user_id = k.user_id and s.status = 'active'
            where m.api_key_id = k.id and m.model_id <> \(modelId)) as models_left
        from api_key_models a join api_keys k on k.id = a.api_key_id
        join subscriptions s on s.user_id = k.user_id and s.model_id = a.model_id and s.status = 'active'
        where a.model_id = \(modelId) and k.is_active and (k.expires_at is null or k.expires_at > now())
        """
    }

    private func keyQuery(_ modelId: String, _ condition: PostgresFragment, page: PageRequest) -> PostgresQuery {
        """
        select * from (\(keys(modelId))) as k where \(condition) order by id
        limit \(page.size) offset \(page.offset)
        """
    }

    private func countQuery(_ modelId: String, _ condition: PostgresFragment) -> PostgresQuery {
        "select count(*) from (\(keys(modelId))) as k where \(condition)"
    }

    private static func subscription(_ row: PostgresRow) throws(PostgresError) -> LosingSubscription {
        LosingSubscription(
            id: try row.get("id"), userId: try row.get("user_id"), username: try row.get("username"),
            status: try row.get("status"))
    }

    private static func key(_ row: PostgresRow) throws(PostgresError) -> LosingKey {
        LosingKey(
            id: try row.get("id"), userId: try row.get("user_id"), name: try row.get("name"),
            prefix: try row.get("key_prefix"), modelsLeft: try row.get("models_left"))
    }
}
