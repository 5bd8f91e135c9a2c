package import Foundation

/// The table `sealed_secrets`: the only place where a secret rests, and only sealed.
package struct PostgresSealedSecretStore: Sendable {
    /// What sealed values are for; part of what they are sealed with, so a name never changes.
    package enum Purpose: String, Sendable {
        /// A fresh API key's secret, until LiteLLM has it. The row id is the key's id.
        case apiKeyCreate = "api_key.create"
        /// A secret that is being rotated in, until LiteLLM has it. The row id is its hash.
        case apiKeyRotate = "api_key.rotate"
        /// A key's secret, to be shown again, where the operator allows that. The row id is its hash.
        case apiKeyReveal = "api_key.reveal"
        /// A secret made for a batch, for whoever asked for that, within the operator's window. The row id is its hash.
        case apiKeyBatch = "api_key.batch"
        /// What a provider takes for a model, for as long as the model is kept. The row id is the model's name.
        case modelProviderKey = "model.provider_key"
    }

    /// A store without state.
    package init() {}

    /// Keeps a sealed value until it is deleted or scheduled to be.
    ///
    /// - Parameter time: when it is to be deleted, where that is known from the beginning.
    package func put(
        _ sealed: [UInt8], for purpose: Purpose, rowId: String, until time: Date? = nil,
        in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(putQuery(sealed, for: purpose, rowId: rowId, until: time))
    }

    /// The statement of ``put(_:for:rowId:until:in:)``, for a pipeline.
    package func putQuery(
        _ sealed: [UInt8], for purpose: Purpose, rowId: String, until time: Date? = nil
    ) -> PostgresQuery {
        """
        insert into sealed_secrets (purpose, row_id, sealed, delete_after)
        values (\(purpose.rawValue), \(rowId), \(sealed), \(time))
        on conflict (purpose, row_id) do update
        set sealed = excluded.sealed, delete_after = excluded.delete_after, created_at = now()
        """
    }

    /// The sealed value; nil when it is not, or no longer, there.
    package func get(
        _ purpose: Purpose, rowId: String, in executor: any PostgresExecutor
    ) async throws -> [UInt8]? {
        try await executor.query(
            """
            select sealed from sealed_secrets
            where purpose = \(purpose.rawValue) and row_id = \(rowId)
                and (delete_after is null or delete_after > now())
            """
        ).first?.get("sealed")
    }

    /// The sealed values of several rows, by row id, of those that are there.
    package func get(
        _ purpose: Purpose, rowIds: [String], in executor: any PostgresExecutor
    ) async throws -> [String: [UInt8]] {
        let rows = try await executor.query(
            """
            select row_id, sealed from sealed_secrets
            where purpose = \(purpose.rawValue) and row_id = any (\(rowIds))
                and (delete_after is null or delete_after > now())
            """)
        let pairs = try rows.map { try $0.decode(String.self, [UInt8].self) }
        return Dictionary(pairs, uniquingKeysWith: { first, _ in first })
    }

    /// Lets the value go after `delay`; an earlier time that is already set stays.
    package func deleteLater(
        _ purpose: Purpose, rowId: String, after delay: Duration, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            """
            update sealed_secrets
            set delete_after = least(delete_after, clock_timestamp() + make_interval(secs => \(delay.inSeconds)))
            where purpose = \(purpose.rawValue) and row_id = \(rowId)
            """)
    }

    /// Deletes the value now.
    package func delete(
        _ purpose: Purpose, rowId: String, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query(
            "delete from sealed_secrets where purpose = \(purpose.rawValue) and row_id = \(rowId)")
    }

    /// Deletes up to `limit` values whose time has come. Gives how many.
    package func purgeDue(limit: Int, in executor: any PostgresExecutor) async throws -> Int {
        try await executor.query(
            """
            delete from sealed_secrets where (purpose, row_id) in (
                select purpose, row_id from sealed_secrets where delete_after <= now()
                order by delete_after limit \(limit) for update skip locked)
            """
        ).affectedRows
    }
}
