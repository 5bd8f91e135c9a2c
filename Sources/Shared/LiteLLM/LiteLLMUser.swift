package import Foundation

/// A user as LiteLLM stores it.
package struct LiteLLMUser: Sendable, Equatable {
    /// The id.
    package var id: String
    /// E-mail; unique in any case, though not enforced by updates.
    package var email: String?
    /// Display name.
    package var alias: String?
    /// `proxy_admin`, `internal_user`, ...
    package var role: String?
    /// Ids of teams.
    package var teams: [String]
    /// Public model names; empty means all.
    package var models: [String]
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
    /// All metadata.
    package var metadata: JSONValue?
    /// Creation.
    package var createdAt: Date?
    /// Last change.
    package var updatedAt: Date?

    /// Our marker; nil when the user is not ours.
    package var marker: LiteLLMMarker? { LiteLLMMarker(metadata: metadata) }
}

/// A user to be made. No key is made along with it.
package struct LiteLLMUserSpec: Sendable, Equatable {
    /// Always chosen by us: without an id a repeated call makes a second user.
    package var id: String
    /// Marks the user as ours.
    package var marker: LiteLLMMarker
    /// E-mail.
    package var email: String?
    /// Display name.
    package var alias: String?
    /// `proxy_admin`, `proxy_admin_viewer`, `internal_user` or `internal_user_viewer`.
    package var role: String
    /// Teams to join; unknown ones are left out silently by LiteLLM.
    package var teams: [String]
    /// Dollars; nil for no limit.
    package var maxBudget: Decimal?
    /// Such as `30d`.
    package var budgetDuration: String?
    /// Tokens per minute.
    package var tpmLimit: Int?
    /// Requests per minute.
    package var rpmLimit: Int?

    /// An `internal_user` without limits.
    package init(id: String, marker: LiteLLMMarker, email: String? = nil, role: String = "internal_user") {
        self.id = id
        self.marker = marker
        self.email = email
        self.role = role
        teams = []
    }
}

/// A change of a user. Fields that are nil or `.keep` are not sent.
package struct LiteLLMUserChange: Sendable, Equatable {
    /// Replaces all metadata.
    package var marker: LiteLLMMarker?
    /// E-mail.
    package var email: String?
    /// Display name.
    package var alias: String?
    /// A role as in ``LiteLLMUserSpec/role``.
    package var role: String?
    /// Dollars spent; 0 resets.
    package var spend: Decimal?
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

struct CreateUserBody: Encodable {
    let spec: LiteLLMUserSpec

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(spec.id, forKey: "user_id")
        try body.encode(false, forKey: "auto_create_key")
        try body.encode(spec.marker.metadata, forKey: "metadata")
        try body.encode(spec.role, forKey: "user_role")
        try body.encodeIfPresent(spec.email, forKey: "user_email")
        try body.encodeIfPresent(spec.alias, forKey: "user_alias")
        if !spec.teams.isEmpty { try body.encode(spec.teams, forKey: "teams") }
        try body.encodeIfPresent(spec.maxBudget, forKey: "max_budget")
        try body.encodeIfPresent(spec.budgetDuration, forKey: "budget_duration")
        try body.encodeIfPresent(spec.tpmLimit, forKey: "tpm_limit")
        try body.encodeIfPresent(spec.rpmLimit, forKey: "rpm_limit")
    }
}

struct UpdateUserBody: Encodable {
    let id: String
    let change: LiteLLMUserChange

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(id, forKey: "user_id")
        try body.encodeIfPresent(change.marker?.metadata, forKey: "metadata")
        try body.encodeIfPresent(change.email, forKey: "user_email")
        try body.encodeIfPresent(change.alias, forKey: "user_alias")
        try body.encodeIfPresent(change.role, forKey: "user_role")
        try body.encodeIfPresent(change.spend, forKey: "spend")
        try body.encode(change.maxBudget, forKey: "max_budget")
        try body.encode(change.budgetDuration, forKey: "budget_duration")
        try body.encode(change.tpmLimit, forKey: "tpm_limit")
        try body.encode(change.rpmLimit, forKey: "rpm_limit")
    }
}

/// `{"user_id", "user_info": {row}, "keys", "teams"}`. Older releases answer an unknown id with a shell whose
/// `user_info` holds no more than a spend.
struct UserInfoAnswer: Decodable {
    /// Nil for a shell.
    let user: LiteLLMUser?

    init(from decoder: any Decoder) throws {
        let outer = try decoder.container(keyedBy: AnyMember.self)
        guard outer.contains("user_info") || outer.contains("user_id") else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "no user_info"))
        }
        let row = try? outer.nestedContainer(keyedBy: AnyMember.self, forKey: "user_info")
        let listed = outer.object("teams", as: [TeamReference].self)?.compactMap(\.id) ?? []
        guard let id = row?.name("user_id") ?? (listed.isEmpty ? nil : outer.name("user_id")) else {
            user = nil
            return
        }
        user = LiteLLMUser(id: id, row: row, teams: listed)
    }

    private struct TeamReference: Decodable {
        let id: String?

        init(from decoder: any Decoder) throws {
            id = try decoder.container(keyedBy: AnyMember.self).name("team_id")
        }
    }
}

/// A row of `/user/list`.
struct UserRow: Decodable {
    let user: LiteLLMUser

    init(from decoder: any Decoder) throws {
        let row = try decoder.container(keyedBy: AnyMember.self)
        guard let id = row.name("user_id") else {
            throw DecodingError.dataCorrupted(.init(codingPath: decoder.codingPath, debugDescription: "no user_id"))
        }
        user = LiteLLMUser(id: id, row: row, teams: [])
    }
}

extension LiteLLMUser {
    /// Reads a row of LiteLLM's table.
    ///
    /// - Parameter teams: for a row that names none.
    init(id: String, row: KeyedDecodingContainer<AnyMember>?, teams listed: [String] = []) {
        self.init(
            id: id, email: row?.name("user_email"), alias: row?.name("user_alias"), role: row?.name("user_role"),
            teams: row.map { $0.strings("teams") }.flatMap { $0.isEmpty ? nil : $0 } ?? listed,
            models: row?.strings("models") ?? [], spend: row?.decimal("spend") ?? 0,
            maxBudget: row?.decimal("max_budget"), budgetDuration: row?.name("budget_duration"),
            budgetResetAt: row?.date("budget_reset_at"), tpmLimit: row?.integer("tpm_limit"),
            rpmLimit: row?.integer("rpm_limit"), metadata: row?.json("metadata"),
            createdAt: row?.date("created_at"), updatedAt: row?.date("updated_at"))
    }
}
