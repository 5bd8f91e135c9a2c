import Foundation
package import Shared

/// Takes over what LiteLLM says users have spent in their present budget period, and when that ends.
package struct UsersSnapshot: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Users that LiteLLM listed.
        package var listed: Int
        /// Those of them that are ours and whose spend was taken over.
        package var updated: Int
    }

    private static let pageSize = 100

    package static let name = "users.snapshot"
    package static let queue = "usage"
    package static let upstream: Upstream? = .litellmAdmin
    package static let timeout: Duration = .seconds(900)
    package static let isProbeSafe = true

    package init() {}

    package var orderKey: String? { "users-snapshot" }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        let users = PostgresUserStore()
        var output = Output(listed: 0, updated: 0)
        var number = 1
        while true {
            // Before the page: what is spent later may be missing from it.
            let time = try await users.now(in: context.services.database)
            let page = try await context.litellm.listUsers(page: number, size: Self.pageSize)
            let spends = page.items.compactMap { user -> UserSpend? in
                // Any id that is no UUID is somebody else's.
                guard user.marker != nil, let id = UUID(uuidString: user.id) else { return nil }
                return UserSpend(userId: id, spend: user.spend, budgetResetAt: user.budgetResetAt)
            }
            output.updated += try await context.transaction { try await users.noteSpends(spends, at: time, in: $0) }
            output.listed += page.items.count
            guard number < page.totalPages, !page.items.isEmpty else { return output }
            try await context.progress(
                Double(number) / Double(page.totalPages), "\(output.listed) of \(page.total) users.")
            number += 1
        }
    }
}
