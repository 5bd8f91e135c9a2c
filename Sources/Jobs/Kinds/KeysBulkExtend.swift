package import Foundation
package import Shared

/// Prolongs many keys, each by a child `key.update`. Those that last longer already stay as they are.
package struct KeysBulkExtend: JobKind {
    package static let name = "keys.bulkExtend"
    package static let timeout: Duration = .seconds(600)

    package let selection: KeySelection
    /// When they are to end.
    package let expiresAt: Date
    /// Keys changed in one transaction.
    var chunk: Int?

    package init(selection: KeySelection, expiresAt: Date) {
        self.selection = selection
        self.expiresAt = expiresAt
    }

    package func run(in context: JobContext) async throws -> KeyBulkReport {
        try await KeyBulkRunner(selection: selection, chunk: max(1, chunk ?? 50), context: context).run {
            id, provisioning, transaction in
            guard let key = try await PostgresAPIKeyStore().find(id, in: transaction),
                let end = key.expiresAt, end < expiresAt
            else { return false }
            var change = APIKeyChange()
            change.expiresAt = .set(expiresAt)
            // As when keys are made: the limits are for those whom nobody else's decision gave a key.
            let isOwn = key.userId == context.auditActor.userId
            _ = try await provisioning.change(
                id, change, isSelfService: isOwn, countsTowardsLimit: isOwn, by: context.auditActor, in: transaction)
            return true
        }
    }
}
