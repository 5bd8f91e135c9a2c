import Foundation
import Shared

/// Reads who stands behind a credential, as the database knows them now. Requests that arrive together share a query;
/// see `BatchLoader`.
struct CallerReader: Sendable {
    private let sessions: BatchLoader<UUID, User>
    private let keys: BatchLoader<String, PostgresCallerStore.KeyHolder>
    private let serviceTokens: BatchLoader<String, ServiceToken>

    init(database: PostgresClient) {
        let store = PostgresCallerStore()
        let tokens = PostgresServiceTokenStore()
        sessions = BatchLoader { try await store.users(ofSessions: $0, in: database) }
        keys = BatchLoader { try await store.holders(ofKeys: $0, in: database) }
        serviceTokens = BatchLoader { try await tokens.good($0, in: database) }
    }

    /// The user of a session; nil when it has ended.
    func user(ofSession id: UUID) async throws -> User? {
        try await sessions.value(for: id)
    }

    /// The holder of the key with this SHA-256; nil when no such key is good.
    func holder(ofKey hash: String) async throws -> PostgresCallerStore.KeyHolder? {
        try await keys.value(for: hash)
    }

    /// The service token with this SHA-256; nil when there is none that is good.
    func serviceToken(hash: String) async throws -> ServiceToken? {
        try await serviceTokens.value(for: hash)
    }
}
