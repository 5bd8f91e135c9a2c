package import Foundation

/// Who did something, from where and in which request.
package struct AuditActor: Sendable, Equatable {
    /// The user; nil for the system and for service tokens.
    package var userId: UUID?
    /// The user's name, a service token's name, or `system`.
    package var name: String
    /// Where the request came from.
    package var ipAddress: String?
    /// As the client named itself.
    package var userAgent: String?
    /// The HTTP request.
    package var requestId: String?
    /// How jobs name whoever has no user: `service:` and the token's id.
    package var serviceId: String?

    /// Somebody.
    package init(
        userId: UUID?, name: String, ipAddress: String? = nil, userAgent: String? = nil, requestId: String? = nil,
        serviceId: String? = nil
    ) {
        self.serviceId = serviceId
        self.userId = userId
        self.name = name
        self.ipAddress = ipAddress
        self.userAgent = userAgent
        self.requestId = requestId
    }

    /// What nobody asked for.
    package static let system = AuditActor(userId: nil, name: "system")
}

/// One audited action. Neither values nor metadata ever hold a secret.
package struct AuditEntry: Sendable, Equatable {
    /// Who.
    package var actor: AuditActor
    /// Upper snake case, such as `API_KEY_CREATE`.
    package var action: String
    /// Such as `api_key`.
    package var resourceType: String
    /// Which one; nil for all of the kind.
    package var resourceId: String?
    /// What it was before.
    package var oldValues: JSONValue?
    /// What it became.
    package var newValues: JSONValue?
    /// The job that acted, or was asked to.
    package var jobId: Int64?
    /// Whether it was done.
    package var success: Bool
    /// Why not, when it was not.
    package var errorMessage: String?
    /// Anything else.
    package var metadata: JSONValue

    /// An entry about something that succeeded unless told otherwise.
    package init(
        actor: AuditActor, action: String, resourceType: String, resourceId: String?, oldValues: JSONValue? = nil,
        newValues: JSONValue? = nil, jobId: Int64? = nil, success: Bool = true, errorMessage: String? = nil,
        metadata: JSONValue = [:]
    ) {
        self.actor = actor
        self.action = action
        self.resourceType = resourceType
        self.resourceId = resourceId
        self.oldValues = oldValues
        self.newValues = newValues
        self.jobId = jobId
        self.success = success
        self.errorMessage = errorMessage
        self.metadata = metadata
    }
}
