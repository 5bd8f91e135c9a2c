import Logging
import Shared

/// Deletes sealed secrets whose time has come and those that nothing can use any more, and answers kept for repeated
/// requests.
package struct SecretsPurge: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Past their time.
        package var expired: Int
        /// Of keys whose create job was discarded or has aged out, and of secrets that LiteLLM has let go.
        package var orphaned: Int
        /// Answers of requests with an `Idempotency-Key`, past their day.
        package var answers: Int
    }

    /// How long an `Idempotency-Key` is remembered.
    private static let answersKept: Duration = .seconds(24 * 3600)

    private static let batch = 500

    package static let name = "secrets.purge"

    package init() {}

    package var orderKey: String? { "secrets" }
    package var uniqueKey: String? { Self.name }

    package func run(in context: JobContext) async throws -> Output {
        let expired = try await all { limit in
            try await PostgresSealedSecretStore().purgeDue(limit: limit, in: context.services.database)
        }
        let orphaned = try await all { limit in
            try await PostgresOrphanSecretStore().purge(
                olderThan: .seconds(3600), limit: limit, in: context.services.database)
        }
        let tokens = try await all { limit in
            try await PostgresOrphanSecretStore().purgeTokens(
                olderThan: .seconds(3600), limit: limit, in: context.services.database)
        }
        let answers = try await all { limit in
            try await PostgresIdempotencyStore().purge(
                olderThan: Self.answersKept, limit: limit, in: context.services.database)
        }
        return Output(expired: expired, orphaned: orphaned + tokens, answers: answers)
    }

    private func all(_ purge: (_ limit: Int) async throws -> Int) async throws -> Int {
        var total = 0
        while true {
            let purged = try await purge(Self.batch)
            total += purged
            guard purged == Self.batch else { return total }
            try Task.checkCancellation()
        }
    }
}
