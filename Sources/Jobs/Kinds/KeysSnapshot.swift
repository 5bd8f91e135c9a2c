import Foundation
package import Shared

/// Takes over what LiteLLM says of the use of all keys: spend, when it starts anew, last use.
package struct KeysSnapshot: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Keys that LiteLLM listed.
        package var listed: Int
        /// Those of them that are ours and whose use was taken over.
        package var updated: Int
    }

    private static let pageSize = 100

    package static let name = "keys.snapshot"
    package static let queue = "usage"
    package static let upstream: Upstream? = .litellmAdmin
    package static let timeout: Duration = .seconds(900)
    package static let isProbeSafe = true

    package init() {}

    package var orderKey: String? { "keys-snapshot" }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        var output = Output(listed: 0, updated: 0)
        var number = 1
        while true {
            // Before the page: what is spent later may be missing from it.
            let time = try await keys.now(in: context.services.database)
            let page = try await context.litellm.listKeys(page: number, size: Self.pageSize)
            let uses = page.keys.filter { $0.marker != nil }.map {
                APIKeyUse(
                    hash: $0.hash, spend: $0.spend, budgetResetAt: $0.budgetResetAt, lastActive: $0.lastActive)
            }
            output.updated += try await context.transaction { try await keys.noteUse(uses, at: time, in: $0) }
            output.listed += page.keys.count
            guard number < page.totalPages, !page.keys.isEmpty else { return output }
            try await context.progress(
                Double(number) / Double(page.totalPages), "\(output.listed) of \(page.totalCount) keys.")
            number += 1
        }
    }
}
