package import Foundation

/// Models of one provider with the same features.
package struct ModelOffer: Sendable, Equatable {
    /// Such as `openai`.
    package var provider: String
    /// Sorted.
    package var features: [String]
    /// How many there are.
    package var count: Int
}

/// The catalogue in numbers.
package struct ModelCounts: Sendable, Equatable {
    /// Those that somebody deleted here are not counted.
    package var total: Int
    package var available: Int
    /// When the catalogue was last read from LiteLLM completely; nil before the first time.
    package var syncedAt: Date?

    package var unavailable: Int { total - available }
}

/// What does not fit together.
package struct ModelFindings: Sendable {
    /// How many models can be used.
    package var valid: Int
    /// Models that cannot, at most as many as were asked for.
    package var invalid: [String]
    /// Live subscriptions to models that cannot be used.
    package var orphanedSubscriptions: Int
}

extension PostgresModelStore {
    /// What the available models offer, by provider.
    package func offers(in executor: any PostgresExecutor) async throws -> [ModelOffer] {
        try await executor.query(
            """
            select provider, features, count(*) from models where availability = 'available'
            group by provider, features order by provider, features
            """
        ).map { row in
            let (provider, features, count) = try row.decode(String.self, [String].self, Int.self)
            return ModelOffer(provider: provider, features: features, count: count)
        }
    }

    /// The catalogue in numbers.
    package func counts(in executor: any PostgresExecutor) async throws -> ModelCounts {
        let (total, available, syncedAt) = try await executor.query(
            """
            select count(*) filter (where deleted_at is null), count(*) filter (where availability = 'available'),
                (select max(finished_at) from model_syncs where success)
            from models
            """
        )[0].decode(Int.self, Int.self, Date?.self)
        return ModelCounts(total: total, available: available, syncedAt: syncedAt)
    }

    /// Whether nothing was ever taken over from LiteLLM or made here.
    package func isUntouched(in executor: any PostgresExecutor) async throws -> Bool {
        try await executor.query(
            "select not exists (select from models) and not exists (select from model_syncs where success)"
        ).one(Bool.self)
    }

    /// What does not fit together.
    ///
    /// - Parameter limit: of the models that are named.
    package func findings(limit: Int, in executor: any PostgresExecutor) async throws -> ModelFindings {
        let results = try await executor.pipeline([
            "select count(*) from models where availability = 'available'",
            """
            select id from models where availability = 'unavailable' and deleted_at is null order by id limit \(limit)
            """,
            """
            select count(*) from subscriptions s join models m on m.id = s.model_id
            where s.status in ('pending', 'active', 'suspended') and m.availability = 'unavailable'
            """,
        ])
        return ModelFindings(
            valid: try results[0].one(Int.self), invalid: try results[1].map { try $0.decode(String.self) },
            orphanedSubscriptions: try results[2].one(Int.self))
    }
}
