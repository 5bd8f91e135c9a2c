/// POST /key/generate.
enum KeyMaking {
    /// Columns a request can set on a key.
    private static let settable = Set(KeyViews.emptyColumns.keys).subtracting(["router_settings", "object_permission"])

    /// Makes a key. With an explicit `key` whose hash exists already nothing is changed, yet the answer is 200 and
    /// echoes the request. A deleted key comes to life again.
    static func generate(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        var asked = question.body
        try checkCaller(question, &asked)
        try BudgetRules.check(tags: asked)
        try BudgetRules.check(maxBudget: asked)
        try BudgetRules.check(budgetDuration: asked)
        if let secret = question.text("key") { try check(secret: secret, settings: question.settings) }
        if let organization = question.text("organization_id") {
            throw .error(
                500,
                "Organization doesn't exist in db. Organization=\(organization). "
                    + "Create organization via `/organization/new` call.")
        }
        if question.text("budget_id") != nil { throw .dictionary(500, "Internal Server Error.") }
        let now = state.now
        let expires = try BudgetRules.expiry(question.text("duration"), now: now)
        if let alias = question.text("key_alias") { try checkFree(alias: alias, in: state, except: nil) }

        let secret = question.text("key") ?? Identifier.secret()
        let token = Identifier.sha256(secret)
        let stored =
            state.keys[token]
            ?? insert(
                &state, secret: secret, asked: asked, expires: expires, createdBy: JSON(question.caller.userID))
        return Answer(
            .object(
                KeyViews.generated(
                    asked, secret: secret, token: token, expires: expires, caller: question.caller.userID,
                    created: stored.createdAt, updated: stored.updatedAt)))
    }

    /// Puts a new key into `state`; the caller has made sure that the token is free.
    @discardableResult
    static func insert(
        _ state: inout State, secret: String, asked: JSONObject, expires: Moment?, createdBy: JSON
    ) -> KeyRow {
        let now = state.now
        var row = KeyRow(
            token: Identifier.sha256(secret), name: Identifier.shortened(secret),
            columns: KeyViews.emptyColumns.merged(
                with: asked.filter { settable.contains($0.key) && !$0.value.isNull }),
            spend: asked["spend"]?.number ?? 0, expires: expires, createdAt: now, createdBy: createdBy,
            updatedAt: now, sequence: state.nextSequence())
        row.totalSpend = row.spend
        row.planBudgetReset(now: now)
        state.keys.put(row)
        return row
    }

    /// - Throws: 400 when another live key than `except` has `alias`.
    static func checkFree(alias: String, in state: State, except token: String?) throws(Refusal) {
        guard !state.keys.tokens(alias: alias).subtracting(token.map { [$0] } ?? []).isEmpty else { return }
        throw .error(
            400, "Key with alias '\(alias)' already exists. Unique key aliases across all keys are required.",
            type: "bad_request_error", param: "key_alias")
    }

    private static func checkCaller(_ question: Question, _ asked: inout JSONObject) throws(Refusal) {
        guard let own = question.caller.key else { return }
        if let user = question.text("user_id"), user != own.userID {
            throw .error(
                403, "User can only create keys for themselves. Got user_id=\(user), Your ID=\(own.userID ?? "None")")
        }
        asked["user_id"] = JSON(own.userID)
    }

    private static func check(secret: String, settings: SimulatorSettings) throws(Refusal) {
        guard settings.allowsCustomKeys else {
            throw .dictionary(
                403, "Custom API key values are disabled by your administrator. Keys must be auto-generated.")
        }
        guard secret.hasPrefix("sk-") else {
            let shown = secret.count > 8 ? "\(secret.prefix(4))****\(secret.suffix(4))" : "****"
            throw .dictionary(
                400, "Invalid key format. LiteLLM Virtual Key must start with 'sk-'. Received: \(shown)")
        }
        guard secret.count >= 16 else {
            throw .dictionary(400, "Invalid key format. LiteLLM Virtual Key must be at least 16 characters long.")
        }
    }
}
