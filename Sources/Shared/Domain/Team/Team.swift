package import Foundation

/// A team; the id is LiteLLM's `team_id` too.
package struct Team: Sendable, Equatable {
    /// Written in lower case towards LiteLLM.
    package var id: UUID
    /// Unique among the teams in use, ignoring case.
    package var name: String
    /// LiteLLM's `team_alias`; nil where that is the name.
    package var alias: String?
    /// For people.
    package var description: String?
    /// What LiteLLM enforces for the team as a whole.
    package var limits: SpendingLimits
    /// Public model names; empty means every model, as in LiteLLM.
    package var allowedModels: [String]
    /// Ours, not LiteLLM's.
    package var metadata: JSONValue
    /// Whether the team is in use; false from the moment somebody deletes it.
    package var isActive: Bool
    /// Who made it.
    package var createdBy: UUID?
    /// What LiteLLM last told of the team's spend in its budget's period, and when; nil before the first time.
    package var spend: TeamSpend?
    /// How far LiteLLM agrees.
    package var sync: SyncState
    /// When the row was made.
    package var createdAt: Date
    /// When the row was last changed.
    package var updatedAt: Date

    /// The team that everybody is a member of; the migration makes its row.
    package static let defaultId = UUID(
        uuid: (0xa0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1))

    /// Whether everybody is a member.
    package var isDefault: Bool { id == Self.defaultId }

    /// LiteLLM's name of the team.
    package var litellmAlias: String { alias ?? name }
}

/// What a team has spent.
package struct TeamSpend: Sendable, Equatable {
    /// In the operator's currency.
    package var amount: Decimal
    /// When LiteLLM said so.
    package var takenAt: Date
}

/// What a member may do within a team. Ours alone: in LiteLLM all are plain members, as other roles need a licence.
package enum TeamRole: String, Sendable, CaseIterable, PostgresDecodable {
    /// Takes members in and out.
    case admin
    /// Uses the team's budget.
    case member
    /// Sees the team.
    case viewer
}

/// Somebody in a team.
package struct TeamMember: Sendable, Equatable {
    /// Who.
    package var userId: UUID
    /// As what.
    package var role: TeamRole
    /// Since when.
    package var joinedAt: Date
}

/// A team as lists show it: with its first members.
package struct TeamSummary: Sendable, Equatable {
    /// The team.
    package var team: Team
    /// Those who joined first; not all of a large team.
    package var members: [TeamMember]
    /// How many there are.
    package var memberCount: Int
}

/// A team that is to be stored.
package struct NewTeam: Sendable, Equatable {
    /// LiteLLM's `team_id` too.
    package var id: UUID
    /// Unique among the teams in use, ignoring case.
    package var name: String
    /// LiteLLM's `team_alias`; nil where that is the name.
    package var alias: String?
    /// For people.
    package var description: String?
    /// What LiteLLM enforces for the team as a whole.
    package var limits: SpendingLimits
    /// Public model names; empty means every model.
    package var allowedModels: [String]
    /// Those who may take members in and out from the start.
    package var adminIds: [UUID]

    /// A team without limits unless told otherwise.
    package init(
        id: UUID = UUID(), name: String, alias: String? = nil, description: String? = nil,
        limits: SpendingLimits = SpendingLimits(), allowedModels: [String] = [], adminIds: [UUID] = []
    ) {
        self.id = id
        self.name = name
        self.alias = alias
        self.description = description
        self.limits = limits
        self.allowedModels = allowedModels
        self.adminIds = adminIds
    }
}

/// What somebody changes about a team; what is kept stays as it is.
package struct TeamChange: Sendable, Equatable {
    /// Nil leaves it.
    package var name: String?
    /// Cleared, it is the name.
    package var alias = FieldChange<String>.keep
    /// For people.
    package var description = FieldChange<String>.keep
    /// What LiteLLM enforces.
    package var limits = LimitsChange()
    /// Cleared, it is every model.
    package var allowedModels = FieldChange<[String]>.keep

    /// Nothing.
    package init() {}

    /// The team as it is to be.
    package func applied(to team: Team) -> Team {
        var changed = team
        changed.name = name ?? team.name
        changed.alias = alias.applied(to: team.alias)
        changed.description = description.applied(to: team.description)
        changed.limits = limits.applied(to: team.limits)
        changed.allowedModels = allowedModels.applied(to: team.allowedModels) ?? []
        return changed
    }
}
