package import Foundation
package import Shared

extension PostgresClient {
    /// Gives a user the right to use models that the catalogue has; one they have already is active again.
    package func subscribe(_ userId: UUID, to modelIds: [String], status: String = "active") async throws {
        try await query(
            """
            insert into subscriptions (user_id, model_id, status, status_cause, quota_requests, quota_tokens)
            select \(userId), id, \(status), 'test', 10000, 1000000 from models where id = any (\(modelIds))
            on conflict (user_id, model_id) do update set status = excluded.status, status_cause = 'test'
            """)
    }
}
