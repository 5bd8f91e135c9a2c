/// Whether a key may call a model now: its team, the models it may use, budgets and rate limits.
enum Admission {
    /// Counts the request against the limits that apply, and gives them.
    ///
    /// - Throws: 401 blocked team, 403 model, 404 unknown team, 422 budget, 429 rate limit.
    static func admit(
        _ state: inout State, _ question: Question, model name: String?
    ) throws(Refusal) -> [RateLimiter.Limits] {
        guard let key = question.caller.key else { return [] }
        let team = try team(of: key, state)
        if let name {
            guard Models.allows(key.models, name) else { throw denied(name, "key_model_access_denied") }
            guard Models.allows(team?.models ?? [], name) else { throw denied(name, "team_model_access_denied") }
        }
        let user = key.userID.flatMap { state.users[$0] }
        try checkBudgets(key, user, team, isFree: name.flatMap { state.deployment(of: $0) }?.isFree ?? false)
        let limits = limits(key, user, team)
        do throws(RateLimiter.Excess) {
            try state.limiter.admit(limits, now: state.now)
        } catch {
            throw tooMany(error)
        }
        return limits
    }

    private static func team(of key: KeyRow, _ state: State) throws(Refusal) -> TeamRow? {
        guard let id = key.teamID else { return nil }
        guard let team = state.teams[id] else {
            throw .dictionary(404, Teams.missing(id), type: "auth_error", param: "None")
        }
        guard !team.isBlocked else {
            throw .error(
                401, "Authentication Error, Team=\(id) is blocked. Update via `/team/unblock` if you're an admin.",
                type: "auth_error", param: "None")
        }
        return team
    }

    private static func denied(_ model: String, _ type: String) -> Refusal {
        .error(
            403,
            "The requested model '\(model)' is not available for this API key, or the model name is invalid. "
                + "Check the models available to you and try again.", type: type, param: "model")
    }

    /// A call is let in while the spend is below the budget, so that one call may go beyond it. Models without a
    /// price pass the budgets of key and user.
    private static func checkBudgets(
        _ key: KeyRow, _ user: UserRow?, _ team: TeamRow?, isFree: Bool
    ) throws(Refusal) {
        if let team, let most = team.maxBudget, team.spend >= most {
            throw exceeded("Team=\(team.id)", spend: team.spend, budget: most)
        }
        if let team, let membership = team.memberships.first(where: { $0.userID == key.userID }),
            let most = membership.budget?.maxBudget, membership.spend >= most
        {
            throw exceeded("TeamMember=\(membership.userID):\(team.id)", spend: membership.spend, budget: most)
        }
        guard !isFree else { return }
        if let user, let most = user.maxBudget, user.spend >= most, key.teamID == nil {
            throw .error(
                422, "ExceededBudget: User=\(user.id) over budget. Spend=\(user.spend), Budget=\(most)",
                type: "budget_exceeded")
        }
        if let most = key.maxBudget, key.spend >= most {
            throw exceeded("Key=\(key.alias ?? "None") (\(key.name))", spend: key.spend, budget: most)
        }
    }

    private static func exceeded(_ who: String, spend: Double, budget: Double) -> Refusal {
        .error(
            422, "Budget has been exceeded! \(who) Current cost: \(spend), Max budget: \(budget)",
            type: "budget_exceeded")
    }

    private static func limits(_ key: KeyRow, _ user: UserRow?, _ team: TeamRow?) -> [RateLimiter.Limits] {
        func limits(_ owner: RateLimiter.Owner, _ id: String, _ row: (any BudgetRow)?) -> RateLimiter.Limits? {
            guard let row, row.requestsPerMinute != nil || row.tokensPerMinute != nil else { return nil }
            return RateLimiter.Limits(
                subject: RateLimiter.Subject(owner: owner, id: id), requests: row.requestsPerMinute,
                tokens: row.tokensPerMinute)
        }
        return [
            limits(.key, key.token, key), limits(.user, user?.id ?? "", user), limits(.team, team?.id ?? "", team),
        ].compactMap(\.self)
    }

    private static func tooMany(_ excess: RateLimiter.Excess) -> Refusal {
        let message =
            "Rate limit exceeded for \(excess.subject.owner.rawValue): \(excess.subject.id). "
            + "Limit type: \(excess.kind). Current limit: \(excess.limit), Remaining: 0. "
            + "Limit resets at: \(excess.resetsAt.readable)"
        return .error(429, message, type: "throttling_error", headers: [("retry-after", "60")])
    }
}
