package import Foundation

extension PostgresSessionStore {
    /// Ends every session of a user. Gives how many there were.
    @discardableResult
    package func revokeAll(
        ofUser userId: UUID, reason: String, in transaction: PostgresTransaction
    ) async throws -> Int {
        try await transaction.query(
            """
            update auth_sessions set revoked_at = now(), revoke_reason = \(reason)
            where user_id = \(userId) and revoked_at is null
            """
        ).affectedRows
    }
}
