package import Foundation

extension PostgresUserStore {
    /// The user's conflict; nil when there is none.
    package func conflict(of id: UUID, in executor: any PostgresExecutor) async throws -> UserConflict? {
        let rows = try await executor.query(
            "select conflict::text from users where id = \(id) and conflict is not null")
        return try rows.first.map { row in
            try JSON.decoder.decode(UserConflict.self, from: Data(try row.decode(String.self).utf8))
        }
    }

    /// Stores a conflict; ``markSynced(_:version:jobId:in:)`` ends it.
    package func noteConflict(
        _ conflict: UserConflict, of id: UUID, in transaction: PostgresTransaction
    ) async throws {
        let document = String(decoding: try JSON.encoder.encode(conflict), as: UTF8.self)
        try await transaction.query("update users set conflict = \(document)::text::jsonb where id = \(id)")
    }

    /// Whether LiteLLM's user goes without the person's own address from now on; LiteLLM is to hear of it.
    package func setSeparateEmail(
        _ isSeparate: Bool, of id: UUID, in transaction: PostgresTransaction
    ) async throws {
        try await transaction.query("update users set separate_email = \(isSeparate) where id = \(id)")
        try await raiseVersion(id, in: transaction)
    }
}
