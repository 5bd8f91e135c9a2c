/// Checks of budgets and lengths of time that keys, users and teams share.
enum BudgetRules {
    /// - Throws: 400 for a negative `max_budget`.
    static func check(maxBudget body: JSONObject, type: String = "internal_server_error", param: JSON = nil)
        throws(Refusal)
    {
        guard let budget = body["max_budget"]?.number, budget < 0 else { return }
        throw .dictionary(
            400, "max_budget must be a non-negative finite number. Received: \(budget)", type: type, param: param)
    }

    /// - Throws: 400 for a `budget_duration` that is none.
    static func check(budgetDuration body: JSONObject) throws(Refusal) {
        guard let text = body["budget_duration"]?.string, Period(text)?.canBeBudget != true else { return }
        throw .dictionary(
            400, "Invalid budget_duration '\(text)'. Use a format like '1h', '24h', '7d', or '30d'.")
    }

    /// When something that lives for `duration` ends; nil when it lives for ever.
    ///
    /// - Throws: 500 for a duration that is none.
    static func expiry(_ duration: String?, now: Moment) throws(Refusal) -> Moment? {
        guard let duration else { return nil }
        guard let period = Period(duration) else { throw .error(500, "Invalid duration format") }
        return now.adding(seconds: period.seconds)
    }

    /// - Throws: 403 when `tags` are set, which needs a licence.
    static func check(tags body: JSONObject) throws(Refusal) {
        guard let tags = body["tags"], !tags.isNull else { return }
        throw .enterprise(403, feature: "tags")
    }
}
