import Foundation
package import Shared

/// Revokes many keys: refused here chunk by chunk, in LiteLLM by a child `key.revoke` each.
package struct KeysBulkRevoke: JobKind {
    package static let name = "keys.bulkRevoke"
    package static let queue = "security"
    package static let retry = RetryPolicy.untilDone
    package static let timeout: Duration = .seconds(600)
    /// After single revocations.
    package static let priority = -900

    package let selection: KeySelection
    /// For the audit log.
    package let reason: String?
    /// Keys revoked in one transaction.
    var chunk: Int?

    package init(selection: KeySelection, reason: String?) {
        self.selection = selection
        self.reason = reason
    }

    package func run(in context: JobContext) async throws -> KeyBulkReport {
        try await KeyBulkRunner(selection: selection, chunk: max(1, chunk ?? 50), context: context).run {
            id, provisioning, transaction in
            let revoked = try await provisioning.revoke(
                id, reason: .revoked, note: reason, by: context.auditActor, in: transaction)
            return revoked.job != nil
        }
    }
}
