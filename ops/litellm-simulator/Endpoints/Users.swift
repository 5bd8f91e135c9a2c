/// The /user endpoints but for list and activity.
enum Users {
    static let roles: Set<String> = ["proxy_admin", "proxy_admin_viewer", "internal_user", "internal_user_viewer"]
    /// Columns a request can set.
    private static let settable: Set<String> = [
        "user_email", "user_alias", "user_role", "sso_user_id", "models", "max_budget", "metadata", "tpm_limit",
        "rpm_limit", "budget_duration", "max_parallel_requests", "allowed_cache_controls", "policies",
    ]
    /// Columns that keep their value when an update sends null.
    private static let keptOnNull: Set<String> = [
        "metadata", "models", "user_email", "spend", "allowed_cache_controls", "policies",
    ]

    /// POST /user/new. Unless `auto_create_key` is false a key is made as well.
    static func new(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        try check(role: body)
        try BudgetRules.check(budgetDuration: body)
        let id = question.text("user_id") ?? Identifier.uuid()
        if state.users[id] != nil { throw .dictionary(409, "User with id \(id) already exists") }
        if let email = question.text("user_email"), let taken = user(email: email, in: state)?.email {
            throw .dictionary(409, "User with email \(taken) already exists")
        }
        if let sso = question.text("sso_user_id"),
            state.users.values.contains(where: { $0.columns["sso_user_id"]?.string == sso })
        {
            throw .dictionary(500, "Internal Server Error.")
        }
        let expires = try BudgetRules.expiry(question.text("duration"), now: state.now)
        insert(&state, id: id, columns: body)
        for team in teamIDs(body["teams"]) where state.teams[team] != nil {
            Teams.join(&state, team: team, Member(userID: id, email: nil, role: "user"), budget: nil)
        }
        return Answer(.object(created(&state, id: id, question, expires: expires)))
    }

    /// GET /user/info: the user, their keys and their teams; every key when the master key names no user.
    static func info(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        guard let id = question.parameter("user_id") ?? question.caller.key?.userID else {
            if question.caller.isMaster { return everyKey(state) }
            throw .error(404, "User None not found")
        }
        guard let user = state.users[id] else { throw .error(404, "User \(id) not found") }
        let keys = state.keys.all.filter { $0.userID == id }.sorted { $0.sequence < $1.sequence }
        let teams = user.teams.compactMap { state.teams[$0] }
        return Answer([
            "user_id": .string(id),
            "user_info": .object(
                UserViews.row(user).merged(with: ["organization_memberships": [], "model_max_budget_usage": [:]])),
            "keys": .array(keys.map { UserViews.key($0, of: state) }),
            "teams": .array(teams.map { .object(TeamViews.withKeys($0, state, of: id)) }),
        ])
    }

    /// POST /user/update: by id, which makes an unknown user, or by e-mail.
    static func update(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        guard question.text("user_id") != nil || question.text("user_email") != nil else {
            throw .invalidBody("Either user id or user email must be provided")
        }
        try check(role: body)
        let id: String
        if let given = question.text("user_id") {
            id = given
        } else if let known = user(email: question.text("user_email") ?? "", in: state)?.id {
            id = known
        } else {
            // LiteLLM makes the user and then fails on its own answer.
            insert(&state, id: Identifier.uuid(), columns: body)
            throw .error(
                400, "Authentication Error, 'LiteLLM_UserTable' object has no attribute 'get'", type: "auth_error",
                param: "None")
        }
        if var user = state.users[id] {
            let now = state.now
            for (name, value) in body where settable.contains(name) {
                // LiteLLM drops what is empty before it writes: a list of models cannot be emptied.
                if value == [] || value == [:] || (value.isNull && keptOnNull.contains(name)) { continue }
                user.columns[name] = value
            }
            if let spend = body["spend"]?.number { user.spend = spend }
            if body["budget_duration"] != nil { user.planBudgetReset(now: now) }
            user.updatedAt = now
            state.users[id] = user
        } else {
            insert(&state, id: id, columns: body)
        }
        guard let row = state.users[id] else { throw .uncaught }
        return Answer(["user_id": .string(id), "data": .object(UserViews.row(row))])
    }

    /// POST /user/delete: all or none; the users' keys go too, and are not remembered as deleted keys are.
    static func delete(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let ids = question.body["user_ids"]?.strings ?? []
        if let unknown = ids.first(where: { state.users[$0] == nil }) {
            throw .detail(404, "User not found, passed user_id=\(unknown)")
        }
        for id in ids {
            for key in state.keys.all where key.userID == id { state.keys.remove(key.token) }
            for team in state.teams.keys { state.removeMember(id, fromTeam: team) }
            state.users[id] = nil
        }
        return Answer(.integer(ids.count))
    }

    /// Puts a new user into `state`.
    @discardableResult
    static func insert(_ state: inout State, id: String, columns: JSONObject) -> UserRow {
        let now = state.now
        var user = UserRow(
            id: id,
            columns: UserViews.emptyColumns.merged(
                with: columns.filter { settable.contains($0.key) && !$0.value.isNull }),
            spend: columns["spend"]?.number ?? 0, createdAt: now, updatedAt: now, sequence: state.nextSequence())
        user.planBudgetReset(now: now)
        state.users[id] = user
        return user
    }

    /// The user with this e-mail, in any case.
    static func user(email: String, in state: State) -> UserRow? {
        let wanted = email.lowercased()
        return state.users.values.filter { $0.email?.lowercased() == wanted }.min { $0.sequence < $1.sequence }
    }

    private static func check(role body: JSONObject) throws(Refusal) {
        guard let role = body["user_role"]?.string, !roles.contains(role) else { return }
        let known = """
            Input should be <LitellmUserRoles.PROXY_ADMIN: 'proxy_admin'>, <LitellmUserRoles.PROXY_ADMIN_VIEW_ONLY: \
            'proxy_admin_viewer'>, <LitellmUserRoles.INTERNAL_USER: 'internal_user'> or \
            <LitellmUserRoles.INTERNAL_USER_VIEW_ONLY: 'internal_user_viewer'>
            """
        throw .invalid([Violation(type: "literal_error", location: ["body", "user_role"], message: known)])
    }

    /// Team ids given as texts or as objects with a `team_id`.
    private static func teamIDs(_ teams: JSON?) -> [String] {
        (teams?.elements ?? []).compactMap { $0.string ?? $0["team_id"]?.string }
    }

    private static func created(
        _ state: inout State, id: String, _ question: Question, expires: Moment?
    ) -> JSONObject {
        var shown = KeyViews.generatedColumns
            .merged(with: question.body.filter { !$0.value.isNull && $0.key != "auto_create_key" })
            .merged(with: ["user_id": .string(id), "key": "", "expires": expires?.zulu ?? .null])
        for name in ["user_email", "user_role", "user_alias"] { shown[name] = question.body[name] ?? .null }
        shown["teams"] = question.body["teams"] == nil ? .null : JSON(state.users[id]?.teams ?? [])
        for name in ["sso_user_id", "organizations", "send_invite_email"] { shown[name] = nil }
        for name in ["token", "token_id", "key_name", "key_type", "created_by", "updated_by"] { shown[name] = .null }
        shown["created_at"] = .null
        shown["updated_at"] = .null
        guard question.body["auto_create_key"]?.boolean != false else { return shown.merged(with: withoutKey) }
        let secret = Identifier.secret()
        let asked = question.body.merged(with: ["user_id": .string(id), "max_budget": nil])
        let row = KeyMaking.insert(&state, secret: secret, asked: asked, expires: expires, createdBy: nil)
        return shown.merged(with: [
            "key": .string(secret), "key_name": .string(row.name), "created_at": row.createdAt.zulu,
            "updated_at": row.updatedAt.zulu,
        ])
    }

    /// Members that are null when no key is made.
    private static let withoutKey: JSONObject = [
        "model_max_budget": nil, "budget_fallbacks": nil, "router_settings": nil, "access_group_ids": nil,
    ]

    private static func everyKey(_ state: State) -> Answer {
        let keys = state.keys.all.sorted { $0.sequence < $1.sequence }
            .map { JSON.object(KeyViews.token($0, \.naive).merged(with: ["team_alias": "None"])) }
        return Answer(["user_id": "default_user_id", "user_info": nil, "keys": .array(keys), "teams": []])
    }
}
