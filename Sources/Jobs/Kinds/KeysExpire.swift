import Foundation
import Shared

/// Takes keys away whose time is over: LiteLLM refuses them already, and is to forget them. One child for each.
package struct KeysExpire: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        /// Keys that were taken away.
        package var cleaned: Int
        /// Those of them that LiteLLM was seen to refuse for good.
        package var revoked: Int
    }

    private static let chunk = 200

    package static let name = "keys.expire"

    /// How long ago a key's time must have been over, in seconds: until then its owner may still prolong it.
    package let olderThanSeconds: Int

    package init(olderThanSeconds: Int) {
        self.olderThanSeconds = olderThanSeconds
    }

    package var orderKey: String? { Self.name }
    package var uniqueKey: String? { "\(Self.name):\(olderThanSeconds)" }

    package func run(in context: JobContext) async throws -> Output {
        let keys = PostgresAPIKeyStore()
        let time = try await keys.now(in: context.services.database) - Double(olderThanSeconds)
        var last: UUID?
        while true {
            let ids = try await keys.expired(
                before: time, after: last, limit: Self.chunk, in: context.services.database)
            guard let end = ids.last else { break }
            try await context.transaction { transaction in
                for id in ids { try await take(id, ifExpiredBefore: time, context, in: transaction) }
            }
            last = end
        }
        // Only now: an attempt before this one may have been stopped half way, with all of its children done.
        guard let children = try await context.children() else { throw JobWaitForChildren(.someMayFail) }
        return Output(cleaned: children.total, revoked: children.succeeded)
    }

    private func take(
        _ id: UUID, ifExpiredBefore time: Date, _ context: JobContext, in transaction: PostgresTransaction
    ) async throws {
        let keys = PostgresAPIKeyStore()
        guard let key = try await keys.lock(id, in: transaction), key.isActive, let expiry = key.expiresAt,
            expiry < time
        else { return }
        try await keys.requestRevoke(id, reason: .expired, jobId: context.id, in: transaction)
        try await context.addChildren(
            [KeyRevoke(keyId: id)], resource: { JobResource(type: "api_key", id: $0.keyId.text) }, in: transaction)
        try await PostgresAuditStore().appendOutcome(
            AuditEntry(
                actor: context.auditActor, action: "API_KEY_EXPIRED", resourceType: "api_key", resourceId: id.text,
                oldValues: ["isActive": true], newValues: ["isActive": false], jobId: context.id),
            in: transaction)
    }
}
