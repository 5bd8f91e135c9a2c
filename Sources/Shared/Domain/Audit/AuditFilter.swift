package import Foundation

/// Which entries of the audit log somebody wants to see.
package struct AuditFilter: Sendable, Equatable {
    /// Only what this user did.
    package var userId: UUID?
    /// Only this action.
    package var action: String?
    /// Only what was done to this kind of thing.
    package var resourceType: String?
    /// Only what was done to this one.
    package var resourceId: String?
    /// Only what this request led to.
    package var requestId: String?
    /// Not before.
    package var from: Date?
    /// Before.
    package var before: Date?
    /// A part of the actor, the action, the resource or the error, or of the user's name or address.
    package var search: String?
    /// Nothing about these kinds of things.
    package var excludedResourceTypes: [String] = []
    /// Only what was done, or only what was not.
    package var success: Bool?

    /// Everything.
    package init() {}
}

/// An entry as it is stored.
package struct AuditRecord: Sendable, Equatable {
    package var id: Int64
    package var createdAt: Date
    /// What the actor's user is called now; nil for programs and for users who are gone.
    package var username: String?
    package var email: String?
    package var entry: AuditEntry
}

/// One page of the audit log.
package struct AuditPage: Sendable {
    package var records: [AuditRecord]
    /// How many entries match among those that were looked at.
    package var total: Int
    /// Whether older entries were not looked at: see ``PostgresAuditStore/scanLimit``.
    package var isPartial: Bool
}
