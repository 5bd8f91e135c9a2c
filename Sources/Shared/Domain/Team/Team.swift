package import Foundation

/// A team; the id is LiteLLM's `team_id` too.
package struct Team: Sendable, Equatable {
    /// Written in lower case towards LiteLLM.
    package var id: UUID
    /// LiteLLM's `team_alias`.
    package var name: String
    /// For people.
    package var description: String?
    /// What LiteLLM enforces for the team as a whole.
    package var limits: SpendingLimits
    /// Public model names; empty means every model, as in LiteLLM.
    package var allowedModels: [String]
    /// Ours, not LiteLLM's.
    package var metadata: JSONValue
    /// Whether the team is in use.
    package var isActive: Bool
    /// Who made it.
    package var createdBy: UUID?
    /// How far LiteLLM agrees.
    package var sync: SyncState
    /// When the row was made.
    package var createdAt: Date
    /// When the row was last changed.
    package var updatedAt: Date

    /// The team that everybody is a member of; the migration makes its row.
    package static let defaultId = UUID(
        uuid: (0xa0, 0, 0, 0, 0, 0, 0x40, 0, 0x80, 0, 0, 0, 0, 0, 0, 1))
}
