package import Foundation

/// What somebody changes about a user; what is kept stays as it is.
package struct UserChange: Sendable, Equatable {
    /// The name to show.
    package var fullName = FieldChange<String>.keep
    /// All roles from now on; nil leaves them.
    package var roles: [Role]?
    /// Whether the person may sign in; nil leaves it.
    package var isActive: Bool?
    /// What LiteLLM enforces.
    package var limits = LimitsChange()

    /// Nothing.
    package init() {}

    /// The user as they are to be.
    package func applied(to user: User) -> User {
        var changed = user
        changed.fullName = fullName.applied(to: user.fullName)
        if let roles, Set(roles) != Set(user.roles) {
            changed.roles = roles.reduce(into: []) { if !$0.contains($1) { $0.append($1) } }
        }
        changed.isActive = isActive ?? user.isActive
        changed.limits = limits.applied(to: user.limits)
        return changed
    }
}

/// Which users a list shows; the system's own is never among them.
package struct UserFilter: Sendable {
    /// A part of the name, the address or the full name, ignoring case.
    package var search: String?
    /// Only those with this role.
    package var role: Role?
    /// Only active ones, or only others; nil for both.
    package var isActive: Bool?
    /// Only those of whom LiteLLM is thought of in this way.
    package var syncStatus: SyncStatus?
    /// Which page.
    package var page = PageRequest()

    /// All users, first page.
    package init() {}
}

/// How many keys a user has.
package struct UserKeyCounts: Sendable, Equatable {
    /// Those that were not deleted.
    package var total: Int
    /// Those that clients see as active.
    package var active: Int
}

/// Which of the active users are meant; without any condition all of them.
package struct ActiveUserFilter: Codable, Sendable, Equatable {
    /// Only these.
    package var userIds: [UUID]?
    /// Only those with one of these roles.
    package var roles: [Role]?
    /// A part of the name, the address or the full name, ignoring case.
    package var search: String?

    /// All active users.
    package init(userIds: [UUID]? = nil, roles: [Role]? = nil, search: String? = nil) {
        self.userIds = userIds
        self.roles = roles
        self.search = search
    }
}
