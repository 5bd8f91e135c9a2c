package import Foundation

/// What somebody changes about a user; what is kept stays as it is.
package struct UserChange: Sendable, Equatable {
    /// The name to show.
    package var fullName = FieldChange<String>.keep
    /// All roles from now on; nil leaves them.
    package var roles: [Role]?
    /// Whether the person may sign in; nil leaves it.
    package var isActive: Bool?
    /// In the operator's currency.
    package var maxBudget = FieldChange<Decimal>.keep
    /// When the budget starts anew.
    package var budgetDuration = FieldChange<String>.keep
    /// Tokens a minute.
    package var tpmLimit = FieldChange<Int>.keep
    /// Requests a minute.
    package var rpmLimit = FieldChange<Int>.keep

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
        changed.limits.maxBudget = maxBudget.applied(to: user.limits.maxBudget)
        changed.limits.budgetDuration = budgetDuration.applied(to: user.limits.budgetDuration)
        changed.limits.tpmLimit = tpmLimit.applied(to: user.limits.tpmLimit)
        changed.limits.rpmLimit = rpmLimit.applied(to: user.limits.rpmLimit)
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
