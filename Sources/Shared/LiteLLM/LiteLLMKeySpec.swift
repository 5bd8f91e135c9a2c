package import Foundation

/// The models a key may use: at least one, since LiteLLM takes an empty list for *all models*.
package struct LiteLLMModelNames: Sendable, Equatable, Encodable {
    /// The public names, without duplicates, in the order given.
    package let names: [String]

    /// A list with a certain first name.
    package init(_ first: String, _ rest: String...) {
        names = Self.unique([first] + rest)
    }

    /// Nil when the list, blank names left out, is empty: there is nothing to allow, so block the key instead.
    package init?(_ names: some Sequence<String>) {
        let unique = Self.unique(names)
        guard !unique.isEmpty else { return nil }
        self.names = unique
    }

    package func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(names)
    }

    private static func unique(_ names: some Sequence<String>) -> [String] {
        var seen: Set<String> = []
        return names.filter { !$0.allSatisfy(\.isWhitespace) && seen.insert($0).inserted }
    }
}

/// A budget of its own for one model of a key; needs a licence.
package struct LiteLLMModelBudget: Sendable, Equatable, Codable {
    /// In dollars.
    package var limit: Decimal
    /// Such as `30d`.
    package var period: String?

    /// A budget of `limit` dollars each `period`.
    package init(limit: Decimal, period: String?) {
        self.limit = limit
        self.period = period
    }

    enum CodingKeys: String, CodingKey {
        case limit = "budget_limit"
        case period = "time_period"
    }
}

/// A key to be made. Its secret is not part of it, so that a spec may be logged and stored.
package struct LiteLLMKeySpec: Sendable, Equatable {
    /// Unique over all keys; holds our id, so that it can be found again.
    package var alias: String
    /// Marks the key as ours.
    package var marker: LiteLLMMarker
    /// At least one model.
    package var models: LiteLLMModelNames
    /// Owner; LiteLLM does not check that it exists.
    package var userId: String?
    /// Team; a key of an unknown team is dead.
    package var teamId: String?
    /// Dollars; nil for no limit.
    package var maxBudget: Decimal?
    /// Dollars at which LiteLLM only warns.
    package var softBudget: Decimal?
    /// Such as `30d`.
    package var budgetDuration: String?
    /// Life time from now on, such as `90d`; nil for ever.
    package var duration: String?
    /// Tokens per minute.
    package var tpmLimit: Int?
    /// Requests per minute.
    package var rpmLimit: Int?
    /// Requests at a time.
    package var maxParallelRequests: Int?
    /// Tokens per minute by model.
    package var modelTpmLimit: [String: Int]
    /// Requests per minute by model.
    package var modelRpmLimit: [String: Int]
    /// Budgets by model; sent only when there are any, as they need a licence.
    package var modelMaxBudget: [String: LiteLLMModelBudget]
    /// Dollars that count as spent already: a secret that is rotated in takes over what the one before it has spent.
    package var spend: Decimal?
    /// Whether it starts blocked: for a key that is revoked before it was ever made.
    package var blocked: Bool

    /// A key without owner and limits.
    package init(alias: String, marker: LiteLLMMarker, models: LiteLLMModelNames) {
        self.alias = alias
        self.marker = marker
        self.models = models
        modelTpmLimit = [:]
        modelRpmLimit = [:]
        modelMaxBudget = [:]
        blocked = false
    }
}

/// A change of a key. Fields that are nil or `.keep` are not sent.
package struct LiteLLMKeyChange: Sendable, Equatable {
    /// A new alias; leave nil when it stays, since some releases refuse a key's own alias.
    package var alias: String?
    /// Replaces all metadata.
    package var marker: LiteLLMMarker?
    /// Cannot be cleared: an empty list would allow all models.
    package var models: LiteLLMModelNames?
    /// A new owner.
    package var userId: String?
    /// A new team.
    package var teamId: FieldChange<String> = .keep
    /// Dollars.
    package var maxBudget: FieldChange<Decimal> = .keep
    /// Dollars at which LiteLLM only warns.
    package var softBudget: FieldChange<Decimal> = .keep
    /// Clearing it clears the reset time too.
    package var budgetDuration: FieldChange<String> = .keep
    /// Life time from now on; cleared means for ever.
    package var duration: FieldChange<String> = .keep
    /// Tokens per minute.
    package var tpmLimit: FieldChange<Int> = .keep
    /// Requests per minute.
    package var rpmLimit: FieldChange<Int> = .keep
    /// Requests at a time.
    package var maxParallelRequests: FieldChange<Int> = .keep
    /// Tokens per minute by model.
    package var modelTpmLimit: FieldChange<[String: Int]> = .keep
    /// Requests per minute by model.
    package var modelRpmLimit: FieldChange<[String: Int]> = .keep
    /// Budgets by model; need a licence.
    package var modelMaxBudget: FieldChange<[String: LiteLLMModelBudget]> = .keep
    /// Takes away what somebody has put into LiteLLM's permissions: it opens routes for names that it finds there.
    package var clearsPermissions = false
    /// Allows what a key is for, and nothing else.
    package var setsRoutes = false
    /// Blocks or unblocks.
    package var blocked: Bool?

    /// A change of nothing.
    package init() {}
}

/// The body of `/key/generate`, the only place where a secret is sent.
struct GenerateKeyBody: Encodable {
    let spec: LiteLLMKeySpec
    let secret: Secret

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(secret.reveal(), forKey: "key")
        try body.encode(spec.alias, forKey: "key_alias")
        try body.encode(spec.marker.metadata, forKey: "metadata")
        try body.encode(spec.models, forKey: "models")
        try body.encodeIfPresent(spec.userId, forKey: "user_id")
        try body.encodeIfPresent(spec.teamId, forKey: "team_id")
        try body.encodeIfPresent(spec.maxBudget, forKey: "max_budget")
        try body.encodeIfPresent(spec.softBudget, forKey: "soft_budget")
        try body.encodeIfPresent(spec.budgetDuration, forKey: "budget_duration")
        try body.encodeIfPresent(spec.duration, forKey: "duration")
        try body.encodeIfPresent(spec.tpmLimit, forKey: "tpm_limit")
        try body.encodeIfPresent(spec.rpmLimit, forKey: "rpm_limit")
        try body.encodeIfPresent(spec.maxParallelRequests, forKey: "max_parallel_requests")
        if !spec.modelTpmLimit.isEmpty { try body.encode(spec.modelTpmLimit, forKey: "model_tpm_limit") }
        if !spec.modelRpmLimit.isEmpty { try body.encode(spec.modelRpmLimit, forKey: "model_rpm_limit") }
        if !spec.modelMaxBudget.isEmpty { try body.encode(spec.modelMaxBudget, forKey: "model_max_budget") }
        try body.encode(LiteLLMKey.routes, forKey: "allowed_routes")
        try body.encodeIfPresent(spec.spend, forKey: "spend")
        if spec.blocked { try body.encode(true, forKey: "blocked") }
    }
}

/// The body of `/key/update`.
struct UpdateKeyBody: Encodable {
    let hash: String
    let change: LiteLLMKeyChange

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(hash, forKey: "key")
        try body.encodeIfPresent(change.alias, forKey: "key_alias")
        try body.encodeIfPresent(change.marker?.metadata, forKey: "metadata")
        try body.encodeIfPresent(change.models, forKey: "models")
        try body.encodeIfPresent(change.userId, forKey: "user_id")
        try body.encode(change.teamId, forKey: "team_id")
        try body.encode(change.maxBudget, forKey: "max_budget")
        try body.encode(change.softBudget, forKey: "soft_budget")
        try body.encode(change.budgetDuration, forKey: "budget_duration")
        try body.encode(change.duration, forKey: "duration")
        try body.encode(change.tpmLimit, forKey: "tpm_limit")
        try body.encode(change.rpmLimit, forKey: "rpm_limit")
        try body.encode(change.maxParallelRequests, forKey: "max_parallel_requests")
        try body.encode(change.modelTpmLimit, forKey: "model_tpm_limit")
        try body.encode(change.modelRpmLimit, forKey: "model_rpm_limit")
        try body.encode(change.modelMaxBudget, forKey: "model_max_budget")
        if change.clearsPermissions { try body.encode([String: Bool](), forKey: "permissions") }
        if change.setsRoutes { try body.encode(LiteLLMKey.routes, forKey: "allowed_routes") }
        try body.encodeIfPresent(change.blocked, forKey: "blocked")
    }
}
