import Foundation
import Shared

/// Keys as far as a caller may know of them.
struct VisibleKeys: Sendable {
    let database: PostgresClient
    private let keys = PostgresAPIKeyStore()
    private let models = PostgresModelStore()

    init(database: PostgresClient) {
        self.database = database
    }

    /// The key, if the caller owns it or may deal with everybody's; else there is none.
    func find(
        _ id: UUID, for principal: Principal, others permission: Permission, programs: Permission
    ) async throws -> APIKey {
        guard let key = try await keys.find(id, in: database), !key.isDeleted,
            principal.sees(thingsOf: key.userId, others: permission, programs: programs)
        else {
            throw APIError.notFound("API key", id: id.text)
        }
        return key
    }

    /// The key of this user; nobody else's is found under their name.
    func find(_ id: UUID, of userId: UUID) async throws -> APIKey {
        guard let key = try await keys.find(id, in: database), !key.isDeleted, key.userId == userId else {
            throw APIError.notFound("API key", id: id.text)
        }
        return key
    }

    /// A page of keys with their models.
    func page(_ filter: APIKeyFilter) async throws -> PagedAnswer<KeyView> {
        let page = try await keys.list(filter, in: database)
        let known = try await models.find(Set(page.items.flatMap(\.modelIds)).sorted(), in: database)
        let now = Date()
        return PagedAnswer(
            items: page.items.map { KeyView(key: $0, models: known, now: now) }, page: filter.page, total: page.total)
    }

    /// The key with its models as it is now; nil when there is none.
    func view(_ id: UUID) async throws -> KeyView? {
        guard let key = try await keys.find(id, in: database) else { return nil }
        return try await view(of: key)
    }

    /// The key with its models.
    func view(of key: APIKey, isDetailed: Bool = false) async throws -> KeyView {
        KeyView(
            key: key, models: try await models.find(key.modelIds, in: database), now: Date(), isDetailed: isDetailed)
    }
}
