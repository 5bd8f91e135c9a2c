/// The shapes in which LiteLLM shows a user, and GET /user/list.
enum UserViews {
    /// Columns of a user that no request has set.
    static let emptyColumns: JSONObject = [
        "user_alias": nil, "sso_user_id": nil, "user_role": nil, "max_budget": nil, "user_email": nil, "models": [],
        "metadata": [:], "max_parallel_requests": nil, "tpm_limit": nil, "rpm_limit": nil, "budget_duration": nil,
        "allowed_cache_controls": [], "policies": [],
    ]

    /// The row as it is in the table.
    static func row(_ user: UserRow) -> JSONObject {
        listed(user).merged(with: [
            "verified_subjects": nil, "litellm_organization_table": nil, "invitations_created": nil,
            "invitations_updated": nil, "invitations_user": nil,
        ])
    }

    /// The row as lists have it.
    static func listed(_ user: UserRow) -> JSONObject {
        emptyColumns.merged(with: user.columns).merged(with: [
            "user_id": .string(user.id), "team_id": nil, "organization_id": nil, "object_permission_id": nil,
            "password_reset_required": nil, "last_breach_check_at": nil, "teams": JSON(user.teams),
            "spend": .double(user.spend), "budget_reset_at": user.budgetResetAt?.zulu ?? .null, "model_spend": [:],
            "model_max_budget": [:], "created_at": user.createdAt.zulu, "updated_at": user.updatedAt.zulu,
            "organization_memberships": nil, "object_permission": nil,
        ])
    }

    /// A key as /user/info of its user has it.
    static func key(_ key: KeyRow, of state: State) -> JSON {
        let team = key.teamID.flatMap { state.teams[$0] }
        return .object(
            KeyViews.table(key).merged(with: [
                "expires": key.expires?.offset ?? .null, "team_alias": .string(team?.alias ?? "None"),
            ]))
    }
}

/// GET /user/list.
enum UserLists {
    /// Pages of users, newest first. One value in `user_ids` matches in part, several match exactly.
    static func list(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        guard question.caller.isMaster else {
            throw .detail(403, "Only proxy admins and organization admins can list users.")
        }
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("page_size", default: 25, in: 1...100)
        let users = state.users.values.filter { matches($0, question) }.sorted { $0.sequence > $1.sequence }
        let page = Page(of: users, number: number, size: size)
        var keyCounts: [String: Int] = [:]
        for key in state.keys.all { if let user = key.userID { keyCounts[user, default: 0] += 1 } }
        let rows = page.elements.map { user in
            JSON.object(UserViews.listed(user).merged(with: ["key_count": .integer(keyCounts[user.id] ?? 0)]))
        }
        return Answer([
            "users": .array(rows), "total": .integer(page.total), "page": .integer(number),
            "page_size": .integer(size), "total_pages": .integer(page.pages),
        ])
    }

    private static func matches(_ user: UserRow, _ question: Question) -> Bool {
        if let list = question.parameter("user_ids") {
            let ids = list.split(separator: ",").map { $0.trimmingSpaces() }
            guard ids.count == 1 ? holds(user.id, ids[0]) : ids.contains(user.id) else { return false }
        }
        if let list = question.parameter("sso_user_ids") {
            let ids = list.split(separator: ",").map { $0.trimmingSpaces() }
            guard let own = user.columns["sso_user_id"]?.string, ids.contains(own) else { return false }
        }
        if let email = question.parameter("user_email"), !holds(user.email ?? "", email) { return false }
        if let role = question.parameter("role"), user.role != role { return false }
        if let team = question.parameter("team"), !user.teams.contains(team) { return false }
        if let search = question.parameter("search") {
            return [user.id, user.email, user.alias].contains { holds($0 ?? "", search) }
        }
        return true
    }

    private static func holds(_ text: String, _ part: String) -> Bool {
        text.lowercased().contains(part.lowercased())
    }
}

extension Substring {
    /// Without spaces at either end.
    func trimmingSpaces() -> String {
        String(drop { $0 == " " }.reversed().drop { $0 == " " }.reversed())
    }
}
