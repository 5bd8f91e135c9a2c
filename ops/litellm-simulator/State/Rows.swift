/// What keys, users and teams have in common: columns a request can set, what was spent, and when a budget starts anew.
protocol BudgetRow {
    /// The columns a request can set, by their name on the wire.
    var columns: JSONObject { get set }
    /// Money spent since the last reset, in dollars.
    var spend: Double { get set }
    var budgetResetAt: Moment? { get set }
    var updatedAt: Moment { get set }
}

extension BudgetRow {
    var maxBudget: Double? { columns["max_budget"]?.number }
    var requestsPerMinute: Int? { columns["rpm_limit"]?.wholeNumber }
    var tokensPerMinute: Int? { columns["tpm_limit"]?.wholeNumber }
    var models: [String] { columns["models"]?.strings ?? [] }
    var isBlocked: Bool { columns["blocked"]?.boolean == true }
    var metadata: JSONObject { columns["metadata"]?.members ?? [:] }

    /// Works out the next reset after `budget_duration` was set or cleared.
    mutating func planBudgetReset(now: Moment) {
        budgetResetAt = columns["budget_duration"]?.string.flatMap(Period.init)?.nextReset(after: now)
    }

    /// Starts the budget anew when its time has come.
    mutating func resetBudgetIfDue(now: Moment) {
        guard let due = budgetResetAt, due <= now else { return }
        spend = 0
        planBudgetReset(now: now)
    }
}

/// A virtual key.
struct KeyRow: BudgetRow, Sendable {
    /// The hex SHA-256 of the secret; the secret itself is not kept.
    let token: String
    /// `sk-...` and the last four characters.
    let name: String
    var columns: JSONObject
    var spend: Double = 0
    var totalSpend: Double = 0
    var expires: Moment?
    var budgetResetAt: Moment?
    let createdAt: Moment
    let createdBy: JSON
    var updatedAt: Moment
    var settingsUpdatedAt: Moment?
    var lastActive: Moment?
    /// Rises with every key made, so that lists can put the newest first.
    let sequence: Int

    var alias: String? { columns["key_alias"]?.string }
    var userID: String? { columns["user_id"]?.string }
    var teamID: String? { columns["team_id"]?.string }

    func isExpired(at now: Moment) -> Bool { expires.map { $0 < now } ?? false }

    /// The word /key/info and the list filter use.
    func status(at now: Moment) -> String {
        if isBlocked { return "revoked" }
        return isExpired(at: now) ? "expired" : "active"
    }
}

/// A key that was deleted, and by whom.
struct DeletedKey: Sendable {
    let id: String
    let row: KeyRow
    let deletedAt: Moment
    let deletedBy: JSON
    let deletedByKey: String
    let changedBy: String?
}

/// A user.
struct UserRow: BudgetRow, Sendable {
    let id: String
    var columns: JSONObject
    var teams: [String] = []
    var spend: Double = 0
    var budgetResetAt: Moment?
    let createdAt: Moment
    var updatedAt: Moment
    let sequence: Int

    var email: String? { columns["user_email"]?.string }
    var role: String? { columns["user_role"]?.string }
    var alias: String? { columns["user_alias"]?.string }
}

/// One entry of a team's `members_with_roles`.
struct Member: Sendable, Equatable {
    var userID: String?
    var email: String?
    var role: String

    var json: JSONObject { ["user_id": JSON(userID), "user_email": JSON(email), "role": .string(role)] }

    /// How a Python error message shows it.
    var python: String {
        let shown = [("user_id", userID), ("user_email", email)].map { name, value in
            "\(name)=\(value.map { "'\($0)'" } ?? "None")"
        }
        return "Member(\(shown.joined(separator: ", ")), role='\(role)')"
    }
}

/// What one user may spend, and has spent, in one team.
struct Membership: Sendable {
    struct Budget: Sendable {
        let id: String
        var maxBudget: Double?
        var duration: String?
        let createdAt: Moment
    }

    let teamID: String
    let userID: String
    var budget: Budget?
    var spend: Double = 0
}

/// A team.
struct TeamRow: BudgetRow, Sendable {
    let id: String
    var columns: JSONObject
    var members: [Member] = []
    var memberships: [Membership] = []
    var spend: Double = 0
    var budgetResetAt: Moment?
    let createdAt: Moment
    var updatedAt: Moment
    let sequence: Int

    var alias: String? { columns["team_alias"]?.string }

    /// True when `user` or `email` names a member.
    func has(userID: String?, email: String?) -> Bool {
        members.contains { member in
            (userID != nil && member.userID == userID) || (email != nil && member.email == email)
        }
    }
}

/// A team that was deleted, and by whom.
struct DeletedTeam: Sendable {
    let id: String
    let row: TeamRow
    let deletedAt: Moment
    let deletedBy: JSON
    let deletedByKey: String
    let changedBy: String?
}

/// A model deployment.
struct ModelRow: Sendable {
    /// The id in the table, by which it is updated and deleted.
    let id: String
    /// `model_info.id`, by which it is found; the same, unless a PATCH left it out.
    var deploymentID: String
    var name: String
    /// `litellm_params` as they were given.
    var parameters: JSONObject
    /// `model_info` as it was given, without the id.
    var info: JSONObject
    /// False for the models the simulator starts with: they can be neither edited nor deleted.
    let isStored: Bool
    var blocked = false
    let createdAt: Moment
    var updatedAt: Moment

    /// `litellm_params.model`, such as `openai/mock-gpt-4o`.
    var target: String { parameters["model"]?.string ?? name }

    /// The part of `target` before the slash.
    var provider: String { target.contains("/") ? String(target.prefix { $0 != "/" }) : "openai" }

    /// A price per token in dollars; 0 when none is set.
    func price(_ name: String) -> Double { (parameters[name] ?? info[name])?.number ?? 0 }

    var isFree: Bool { price("input_cost_per_token") == 0 && price("output_cost_per_token") == 0 }
}
