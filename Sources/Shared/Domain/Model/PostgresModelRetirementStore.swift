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
            where s.model_id = \(modelId) and s.status in ('pending', 'active', 'suspended') order by s.id
            limit \(page.size) offset \(page.offset)
            """,
            """
            select count(*) from subscriptions
            where model_id = \(modelId) and status in ('pending', 'active', 'suspended')
            """,
            keyQuery(modelId, onlyEmpty: false, page: page), countQuery(modelId, onlyEmpty: false),
            keyQuery(modelId, onlyEmpty: true, page: page), countQuery(modelId, onlyEmpty: true),
        ])
        return ModelRetirementImpact(
            subscriptions: Page(items: try results[0].map(Self.subscription), total: try results[1].one(Int.self)),
            keys: Page(items: try results[2].map(Self.key), total: try results[3].one(Int.self)),
            emptyKeys: Page(items: try results[4].map(Self.key), total: try results[5].one(Int.self)))
    }

    private func keyQuery(_ modelId: String, onlyEmpty: Bool, page: PageRequest) -> PostgresQuery {
        """
        select k.id, k.user_id, k.name, k.key_prefix,
            (select count(*) from \(others(than: modelId))) as models_left
        from \(keys(modelId, onlyEmpty: onlyEmpty)) order by k.id
        limit \(page.size) offset \(page.offset)
        """
    }

    private func countQuery(_ modelId: String, onlyEmpty: Bool) -> PostgresQuery {
        "select count(*) from \(keys(modelId, onlyEmpty: onlyEmpty))"
    }

    /// Live keys that name the model and whose owner may use it; with `onlyEmpty` those that would have no other.
    private func keys(_ modelId: String, onlyEmpty: Bool) -> PostgresFragment {
        let isEmpty: PostgresFragment = "not exists (select from \(others(than: modelId)))"
        return """
            api_key_models a join api_keys k on k.id = a.api_key_id
            join subscriptions s on s.user_id = k.user_id and s.model_id = a.model_id and s.status = 'active'
            where a.model_id = \(modelId) and k.is_active and (k.expires_at is null or k.expires_at > now())
                and \(onlyEmpty ? isEmpty : "true")
            """
    }

    /// The other models that a key can be used for.
    private func others(than modelId: String) -> PostgresFragment {
        """
        api_key_models m join models o on o.id = m.model_id and o.availability = 'available'
        join subscriptions r on r.model_id = m.model_id and r.user_id = k.user_id and r.status = 'active'
        where m.api_key_id = k.id and m.model_id <> \(modelId)
        """
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
