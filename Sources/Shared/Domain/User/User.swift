package import Foundation

/// What a person may do.
package enum Role: String, Sendable, Codable, CaseIterable {
    /// Everything.
    case admin
    /// Sees what an admin sees, changes nothing.
    case adminReadonly = "admin-readonly"
    /// Works with what is theirs.
    case user
    /// Sees what is theirs.
    case readonly

    /// Reads every spelling in use: also `adminReadonly` and `admin_readonly`.
    package init?(spelling text: String) {
        switch text {
        case "adminReadonly", "admin_readonly": self = .adminReadonly
        default: self.init(rawValue: text)
        }
    }
}

/// A person, or the system itself; the id is LiteLLM's `user_id` too.
package struct User: Sendable, Equatable {
    /// Written in lower case towards LiteLLM.
    package var id: UUID
    /// Unique, ignoring case.
    package var username: String
    /// Unique, ignoring case.
    package var email: String
    /// Whether LiteLLM's user goes without this address, because a person decided that another user keeps it there.
    package var hasSeparateEmail = false
    /// The name to show.
    package var fullName: String?
    /// Who vouches for the person; unique together with `oauthId`.
    package var oauthProvider: String
    /// The provider's id of the person.
    package var oauthId: String
    /// Unknown role names in the table are left out.
    package var roles: [Role]
    /// Whether the person may sign in.
    package var isActive: Bool
    /// What LiteLLM enforces.
    package var limits: SpendingLimits
    /// How far LiteLLM agrees.
    package var sync: SyncState
    /// The last login.
    package var lastLoginAt: Date?
    /// When the row was made.
    package var createdAt: Date
    /// When the row was last changed.
    package var updatedAt: Date

    /// The actor of what nobody asked for.
    package static let systemId = UUID(uuid: (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1))
}

/// Where roles come from.
package enum RoleSource: Sendable, Equatable {
    /// The identity provider; replaced at each sign-in.
    case provider
    /// An administrator; stays.
    case grant
}

/// A user that is to be stored.
package struct NewUser: Sendable, Equatable {
    /// LiteLLM's `user_id` too.
    package var id: UUID
    /// Unique, ignoring case.
    package var username: String
    /// Unique, ignoring case.
    package var email: String
    /// The name to show.
    package var fullName: String?
    /// Who vouches for the person.
    package var oauthProvider: String
    /// The provider's id of the person.
    package var oauthId: String
    /// What the person may do.
    package var roles: [Role]
    /// Who gave the roles.
    package var roleSource: RoleSource
    /// Whether the person may sign in.
    package var isActive: Bool
    /// What LiteLLM enforces.
    package var limits: SpendingLimits

    /// A user who starts without limits unless told otherwise.
    package init(
        id: UUID, username: String, email: String, fullName: String? = nil, oauthProvider: String, oauthId: String,
        roles: [Role] = [.user], roleSource: RoleSource = .provider, isActive: Bool = true,
        limits: SpendingLimits = SpendingLimits()
    ) {
        self.id = id
        self.username = username
        self.email = email
        self.fullName = fullName
        self.oauthProvider = oauthProvider
        self.oauthId = oauthId
        self.roles = roles
        self.roleSource = roleSource
        self.isActive = isActive
        self.limits = limits
    }
}
