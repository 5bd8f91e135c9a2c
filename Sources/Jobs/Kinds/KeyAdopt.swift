package import Foundation
package import Shared

/// Takes a key under our care that somebody made in LiteLLM, for a person whom an administrator names.
package struct KeyAdopt: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// SHA-256 of the secret in hexadecimal.
        package var hash: String
        /// The key's row; nil when it has none.
        package var keyId: String?
    }

    package static let name = "key.adopt"
    package static let upstream: Upstream? = .litellmAdmin

    /// SHA-256 of the secret in hexadecimal.
    package let hash: String
    /// Whose it will be.
    package let userId: UUID
    /// What it will be called; nil for its alias.
    package let name: String?
    /// Whether the person is subscribed to the models that they lack.
    package let subscribe: Bool
    /// Whether metadata may go that the key has in LiteLLM; nil for no.
    package let replaceMetadata: Bool?

    package init(hash: String, userId: UUID, name: String?, subscribe: Bool, replaceMetadata: Bool = false) {
        self.hash = hash
        self.userId = userId
        self.name = name
        self.subscribe = subscribe
        self.replaceMetadata = replaceMetadata
    }

    package var orderKey: String? { "drift:key:\(hash)" }

    private var subject: DriftSubject { DriftSubject(object: .key, id: hash, kind: .foreign) }

    package func run(in context: JobContext) async throws -> Output {
        if try await context.children() != nil { return try await finish(context) }
        let families = PostgresFamilyStore()
        if try await families.find(parent: context.id, in: context.services.database) == nil {
            let adoption = KeyAdoption(self, context)
            let found = try await adoption.read()
            _ = try await context.transaction { try await adoption.adopt(found, in: $0) }
        }
        throw JobWaitForChildren(.someMayFail)
    }

    /// The row is there: whether LiteLLM was told is its own state from now on.
    private func finish(_ context: JobContext) async throws -> Output {
        let key = try await PostgresAPIKeyStore().find(hash: hash, in: context.services.database)
        try await context.transaction { transaction in
            try await PostgresDriftStore().move(
                subject, to: .adopted, job: context.id, by: nil, in: transaction)
        }
        return Output(hash: hash, keyId: key?.id.text)
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresDriftStore().move(subject, to: .open, job: end.jobId, by: nil, in: transaction)
        try await end.audit("API_KEY_ADOPT_FAILED", about: "litellm_key", hash, in: transaction)
    }
}
