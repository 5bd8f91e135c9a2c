import Foundation
import Shared

/// Reads the users who are calling, as the database knows them now. Requests that arrive together share a query; see
/// `BatchLoader`.
struct UserReader: Sendable {
    private let loader: BatchLoader<UUID, User>

    init(database: PostgresClient) {
        let store = PostgresUserStore()
        loader = BatchLoader { ids in
            let users = try await store.find(ids, in: database)
            return Dictionary(users.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        }
    }

    /// Nil when there is no such user.
    func user(id: UUID) async throws -> User? {
        try await loader.value(for: id)
    }
}
