/// The /key endpoints but for generate and list.
enum Keys {
    /// Columns that cannot be null: setting them to null is an error of the database.
    private static let required: Set<String> = [
        "models", "metadata", "permissions", "aliases", "config", "spend", "allowed_routes", "allowed_cache_controls",
    ]
    /// Members of /key/update that are no plain columns.
    private static let special: Set<String> = ["key", "duration", "spend", "tags"]

    /// GET /key/info: a key by secret or hash, the caller's own without either. A deleted key is found too.
    static func info(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let asked = question.parameter("key") ?? question.caller.key?.token
        guard let asked else { throw absentFromDatabase }
        let token = Identifier.token(asked)
        let now = state.now
        if let row = state.keys[token] {
            try checkMaySee(row, question)
            let info = KeyViews.row(row, \.offset).merged(with: ["status": .string(row.status(at: now))])
            return Answer(["key": .string(asked), "info": .object(info)])
        }
        if let deleted = state.deletedKeys[token] {
            try checkMaySee(deleted.row, question)
            var info = KeyViews.deleted(deleted, \.offset).merged(with: ["status": "deleted"])
            info["token"] = nil
            return Answer(["key": .string(asked), "info": .object(info)])
        }
        throw absentFromDatabase
    }

    /// POST /key/update: a member set to null clears the column, `metadata` is replaced.
    static func update(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        guard let row = try named(by: question, in: state) else { throw absent }
        try BudgetRules.check(tags: body)
        try BudgetRules.check(maxBudget: body, type: "auth_error", param: "None")
        try BudgetRules.check(budgetDuration: body)
        if let team = question.text("team_id"), state.teams[team] == nil {
            throw .dictionary(404, Teams.missing(team), type: "auth_error", param: "None")
        }
        if let alias = question.text("key_alias") {
            try KeyMaking.checkFree(alias: alias, in: state, except: row.token)
        }
        if let column = body.keys.sorted().first(where: { required.contains($0) && body[$0] == .null }) {
            throw .error(
                400, "Authentication Error, `LiteLLM_VerificationToken.\(column)`: A value is required but not set",
                type: "auth_error", param: "None")
        }
        let now = state.now
        var changed = row
        for (name, value) in body where !special.contains(name) { changed.columns[name] = value }
        if let spend = body["spend"]?.number { changed.spend = spend }
        if let duration = body["duration"] {
            // Here `-1` means for ever.
            changed.expires = try BudgetRules.expiry(duration == "-1" ? nil : duration.string, now: now)
        }
        if body["budget_duration"] != nil { changed.planBudgetReset(now: now) }
        changed.updatedAt = now
        changed.settingsUpdatedAt = now
        state.keys.put(changed)
        let shown = KeyViews.row(changed, \.offset)
        return Answer(
            .object(
                shown.merged(with: [
                    "key": body["key"] ?? .string(changed.token), "token": .string(changed.token),
                ])))
    }

    /// POST /key/block.
    static func block(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let row = try setBlocked(true, &state, question)
        return Answer(.object(KeyViews.token(row, \.zulu)))
    }

    /// POST /key/unblock.
    static func unblock(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let row = try setBlocked(false, &state, question)
        return Answer(.object(KeyViews.table(row)))
    }

    /// POST /key/delete: by secret, hash or alias. When at least one exists, the answer echoes all of them.
    static func delete(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let keys = question.body["keys"]?.strings ?? []
        let aliases = question.body["key_aliases"]?.strings ?? []
        guard !keys.isEmpty || !aliases.isEmpty else {
            throw .invalidBody("At least one of 'keys' or 'key_aliases' must be provided.")
        }
        let tokens = Set(keys.map(Identifier.token)).union(aliases.flatMap { state.keys.tokens(alias: $0) })
        let live = tokens.filter { state.keys[$0] != nil }
        guard !live.isEmpty else { throw .dictionary(404, "No keys found") }
        for token in live { state.deleteKey(token, by: question) }
        return Answer(["deleted_keys": JSON(keys.isEmpty ? aliases : keys)])
    }

    /// POST /key/{key}/reset_spend.
    static func resetSpend(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let asked = question.variables["key"] ?? ""
        let target = question.body["reset_to"]?.number ?? 0
        guard var row = state.keys[Identifier.token(asked)] else { throw .detail(404, "Key \(asked) not found.") }
        guard target >= 0 else { throw .detail(400, "reset_to must be >= 0") }
        guard target <= row.spend else {
            throw .detail(400, "reset_to (\(target)) must be <= current spend (\(row.spend))")
        }
        let previous = row.spend
        row.spend = target
        row.updatedAt = state.now
        state.keys.put(row)
        return Answer([
            "key_hash": .string(row.token), "spend": .double(target), "previous_spend": .double(previous),
            "max_budget": JSON(row.maxBudget), "budget_reset_at": row.budgetResetAt?.zulu ?? .null,
        ])
    }

    private static func setBlocked(
        _ blocked: Bool, _ state: inout State, _ question: Question
    ) throws(Refusal) -> KeyRow {
        let token = Identifier.token(question.text("key") ?? "")
        guard Identifier.isToken(token) else {
            throw .error(400, "Invalid key format.", type: "bad_request_error", param: "key")
        }
        guard var row = state.keys[token] else { throw absent }
        row.columns["blocked"] = .bool(blocked)
        row.updatedAt = state.now
        row.settingsUpdatedAt = row.updatedAt
        state.keys.put(row)
        return row
    }

    private static func named(by question: Question, in state: State) throws(Refusal) -> KeyRow? {
        if let key = question.text("key") { return state.keys[Identifier.token(key)] }
        guard let alias = question.text("key_alias") else {
            throw .invalidBody("either key or key_alias must be provided")
        }
        guard let token = state.keys.tokens(alias: alias).min() else {
            throw .error(
                404, "Key not found. No key with key_alias='\(alias)'.", type: "not_found_error", param: "key_alias")
        }
        return state.keys[token]
    }

    private static func checkMaySee(_ row: KeyRow, _ question: Question) throws(Refusal) {
        guard case .key(let own, let role) = question.caller, own.token != row.token else { return }
        guard own.userID == nil || own.userID != row.userID else { return }
        throw .error(403, "You are not allowed to access this key's info. Your role=\(role)")
    }

    private static let absent = Refusal.error(404, "Key not found.", type: "not_found_error", param: "key")
    private static let absentFromDatabase = Refusal.error(
        404, "Key not found in database", type: "not_found_error", param: "key")
}
