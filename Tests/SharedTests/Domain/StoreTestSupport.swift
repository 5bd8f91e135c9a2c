import Foundation
import Shared
import TestSupport

/// Rows that several store tests need.
extension TestDatabase {
    func user(_ name: String) async throws -> User {
        let new = NewUser(
            id: UUID(), username: name, email: "\(name)@example.com", oauthProvider: "test", oauthId: name)
        return try await client.withTransaction { try await PostgresUserStore().insert(new, in: $0) }
    }

    func models(_ ids: String...) async throws {
        try await client.withTransaction { transaction in
            try await PostgresModelStore().upsert(
                ids.map { ModelDescription(id: $0, provider: "openai") }, in: transaction)
        }
    }

    func key(
        _ user: User, models: [String] = ["a"], change: @Sendable (inout NewAPIKey) -> Void = { _ in }
    ) async throws -> APIKey {
        let id = UUID()
        let minted = APIKeySecret.mint()
        var new = NewAPIKey(
            id: id, userId: user.id, teamId: Team.defaultId, name: "k", hash: minted.hash, prefix: minted.prefix,
            alias: APIKeyAlias.make(name: "k", id: id), modelIds: models, jobId: 1)
        change(&new)
        try await client.subscribe(user.id, to: new.modelIds)
        let rows = try await client.query(PostgresAPIKeyStore().insertQuery(new))
        return try PostgresAPIKeyStore.key(rows[0])
    }
}
