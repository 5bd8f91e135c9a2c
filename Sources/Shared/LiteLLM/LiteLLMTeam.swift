package import Foundation

/// A team as LiteLLM stores it.
package struct LiteLLMTeam: Sendable, Equatable {
    /// The id.
    package var id: String
    /// Display name; not unique.
    package var alias: String?
    /// Public model names; empty means all.
    package var models: [String]
    /// Ids of the members.
    package var members: [String]
    /// Dollars spent in the current budget period.
    package var spend: Decimal
    /// Dollars; nil for no limit.
    package var maxBudget: Decimal?
    /// Such as `30d`.
    package var budgetDuration: String?
    /// When the spend goes back to zero.
    package var budgetResetAt: Date?
    /// Tokens per minute.
    package var tpmLimit: Int?
    /// Requests per minute.
    package var rpmLimit: Int?
    /// Whether its keys are refused; takes effect within a minute.
    package var blocked: Bool
    /// All metadata.
    package var metadata: JSONValue?
    /// Creation.
    package var createdAt: Date?
    /// Last change.
    package var updatedAt: Date?

    /// Our marker; nil when the team is not ours.
    package var marker: LiteLLMMarker? { LiteLLMMarker(metadata: metadata) }
}

/// A team to be made.
package struct LiteLLMTeamSpec: Sendable, Equatable {
    /// Always chosen by us: without an id a repeated call makes a second team.
    package var id: String
    /// Display name.
    package var alias: String
    /// Marks the team as ours.
    package var marker: LiteLLMMarker
    /// Public model names; empty means all, which is what a team of ours has: its keys carry the limits.
    package var models: [String]
    /// Dollars; nil for no limit.
    package var maxBudget: Decimal?
    /// Such as `30d`.
    package var budgetDuration: String?
    /// Tokens per minute.
    package var tpmLimit: Int?
    /// Requests per minute.
    package var rpmLimit: Int?

    /// A team that may use all models without limits.
    package init(id: String, alias: String, marker: LiteLLMMarker) {
        self.id = id
        self.alias = alias
        self.marker = marker
        models = []
    }
}

/// A change of a team. Fields that are nil or `.keep` are not sent.
package struct LiteLLMTeamChange: Sendable, Equatable {
    /// Replaces all metadata.
    package var marker: LiteLLMMarker?
    /// Display name.
    package var alias: String?
    /// Public model names; empty means all.
    package var models: [String]?
    /// Dollars.
    package var maxBudget: FieldChange<Decimal> = .keep
    /// Such as `30d`.
    package var budgetDuration: FieldChange<String> = .keep
    /// Tokens per minute.
    package var tpmLimit: FieldChange<Int> = .keep
    /// Requests per minute.
    package var rpmLimit: FieldChange<Int> = .keep

    /// A change of nothing.
    package init() {}
}

struct CreateTeamBody: Encodable {
    let spec: LiteLLMTeamSpec

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(spec.id, forKey: "team_id")
        try body.encode(spec.alias, forKey: "team_alias")
        try body.encode(spec.marker.metadata, forKey: "metadata")
        try body.encode(spec.models, forKey: "models")
        try body.encodeIfPresent(spec.maxBudget, forKey: "max_budget")
        try body.encodeIfPresent(spec.budgetDuration, forKey: "budget_duration")
        try body.encodeIfPresent(spec.tpmLimit, forKey: "tpm_limit")
        try body.encodeIfPresent(spec.rpmLimit, forKey: "rpm_limit")
    }
}

struct UpdateTeamBody: Encodable {
    let id: String
    let change: LiteLLMTeamChange

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(id, forKey: "team_id")
        try body.encodeIfPresent(change.marker?.metadata, forKey: "metadata")
        try body.encodeIfPresent(change.alias, forKey: "team_alias")
        try body.encodeIfPresent(change.models, forKey: "models")
        try body.encode(change.maxBudget, forKey: "max_budget")
        try body.encode(change.budgetDuration, forKey: "budget_duration")
        try body.encode(change.tpmLimit, forKey: "tpm_limit")
        try body.encode(change.rpmLimit, forKey: "rpm_limit")
    }
}

struct AddTeamMemberBody: Encodable {
    let teamId: String
    let userId: String
    let maxBudget: Decimal?

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(teamId, forKey: "team_id")
        var member = body.nestedContainer(keyedBy: AnyMember.self, forKey: "member")
        try member.encode("user", forKey: "role")
        try member.encode(userId, forKey: "user_id")
        try body.encodeIfPresent(maxBudget, forKey: "max_budget_in_team")
    }
}

/// The columns of a team.
struct TeamRow: Decodable {
    let team: LiteLLMTeam

    init(from decoder: any Decoder) throws {
        let row = try decoder.container(keyedBy: AnyMember.self)
        guard let id = row.name("team_id") else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no team_id"))
        }
        let members = row.object("members_with_roles", as: [Member].self)?.compactMap(\.id) ?? []
        team = LiteLLMTeam(
            id: id, alias: row.name("team_alias"), models: row.strings("models"),
            members: members.isEmpty ? row.strings("members") : members, spend: row.decimal("spend") ?? 0,
            maxBudget: row.decimal("max_budget"), budgetDuration: row.name("budget_duration"),
            budgetResetAt: row.date("budget_reset_at"), tpmLimit: row.integer("tpm_limit"),
            rpmLimit: row.integer("rpm_limit"), blocked: row.flag("blocked") ?? false,
            metadata: row.json("metadata"), createdAt: row.date("created_at"), updatedAt: row.date("updated_at"))
    }

    private struct Member: Decodable {
        let id: String?

        init(from decoder: any Decoder) throws {
            id = try decoder.container(keyedBy: AnyMember.self).name("user_id")
        }
    }
}

/// `{"team_id", "team_info": {row}, ...}`, or the row itself.
struct TeamInfoAnswer: Decodable {
    let team: LiteLLMTeam

    init(from decoder: any Decoder) throws {
        let outer = try decoder.container(keyedBy: AnyMember.self)
        let nested = outer.contains("team_info")
        team = try nested ? outer.decode(TeamRow.self, forKey: "team_info").team : TeamRow(from: decoder).team
    }
}

/// `{"teams": [...], ...}` of `/v2/team/list`, or the bare array of `/team/list`.
struct TeamListAnswer: Decodable {
    let teams: [LiteLLMTeam]

    init(from decoder: any Decoder) throws {
        if let outer = try? decoder.container(keyedBy: AnyMember.self) {
            teams = try outer.decode([TeamRow].self, forKey: "teams").map(\.team)
        } else {
            teams = try [TeamRow](from: decoder).map(\.team)
        }
    }
}
