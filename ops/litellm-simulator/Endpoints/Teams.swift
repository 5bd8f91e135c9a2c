/// The /team endpoints but for members and lists.
enum Teams {
    /// Columns a request can set.
    private static let settable: Set<String> = [
        "team_alias", "models", "max_budget", "metadata", "tpm_limit", "rpm_limit", "tpd_limit", "budget_duration",
        "blocked", "soft_budget", "budget_limits", "max_parallel_requests", "admins", "members",
        "team_member_permissions", "default_team_member_models", "policies", "model_max_budget",
    ]
    /// Columns that cannot be null.
    private static let required: Set<String> = ["metadata", "models", "blocked", "admins", "members"]

    /// What LiteLLM says of a team that is not there, outside the /team endpoints.
    static func missing(_ id: String) -> String {
        "Team doesn't exist in db. Team=\(id). Create team via `/team/new` call."
    }

    /// POST /team/new: the caller becomes its admin; members that do not exist are made.
    static func new(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        try BudgetRules.check(tags: body)
        try BudgetRules.check(maxBudget: body)
        try BudgetRules.check(budgetDuration: body)
        if let organization = question.text("organization_id") {
            throw .error(400, "Organization not found for organization_id=\(organization)")
        }
        let id = question.text("team_id") ?? Identifier.uuid()
        if state.teams[id] != nil {
            throw .dictionary(400, "Team id = \(id) already exists. Please use a different team id.")
        }
        let members = try (body["members_with_roles"]?.elements ?? []).map { member throws(Refusal) in
            try TeamMembers.read(member)
        }
        let now = state.now
        var team = TeamRow(
            id: id,
            columns: TeamViews.emptyColumns.merged(
                with: body.filter { settable.contains($0.key) && !$0.value.isNull }),
            createdAt: now, updatedAt: now, sequence: state.nextSequence())
        team.planBudgetReset(now: now)
        state.teams[id] = team
        let admin = Member(userID: question.caller.userID, email: nil, role: "admin")
        for member in members + (members.contains { $0.userID == admin.userID } ? [] : [admin]) {
            join(&state, team: id, member, budget: nil)
        }
        return Answer(.object(TeamViews.row(try row(id, in: state))))
    }

    /// GET /team/info.
    static func info(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        guard let id = question.parameter("team_id") else {
            throw .error(
                422, "{'message': 'Malformed request. No team id passed in.'}", type: "auth_error", param: "None")
        }
        guard let team = state.teams[id] else { throw absentFromInfo(id) }
        let keys = state.keys.all.filter { $0.teamID == id }.sorted { $0.sequence < $1.sequence }
        let memberships = team.memberships.map { membership in
            JSON.object(
                TeamViews.membership(membership).merged(with: [
                    "budget_source": membership.budget == nil ? "none" : "custom"
                ]))
        }
        return Answer([
            "team_id": .string(id), "team_info": .object(TeamViews.info(team, state)),
            "keys": .array(keys.map { .object(KeyViews.table($0)) }), "team_memberships": .array(memberships),
        ])
    }

    /// POST /team/update: a member set to null clears the column.
    static func update(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        let id = question.text("team_id") ?? ""
        try BudgetRules.check(tags: body)
        guard var team = state.teams[id] else { throw .dictionary(404, "Team not found, passed team_id=\(id)") }
        try BudgetRules.check(maxBudget: body)
        try BudgetRules.check(budgetDuration: body)
        if let column = body.keys.sorted().first(where: { required.contains($0) && body[$0] == .null }) {
            throw .error(500, "`LiteLLM_TeamTable.\(column)`: A value is required but not set")
        }
        for (name, value) in body where settable.contains(name) { team.columns[name] = value }
        team.updatedAt = state.now
        if body["budget_duration"] != nil { team.planBudgetReset(now: team.updatedAt) }
        state.teams[id] = team
        return Answer(["team_id": .string(id), "data": .object(TeamViews.table(team))])
    }

    /// POST /team/delete: all or none; the teams' keys are deleted with them.
    static func delete(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let ids = question.body["team_ids"]?.strings ?? []
        if let unknown = ids.first(where: { state.teams[$0] == nil }) { throw absentFromDelete(unknown) }
        for id in ids {
            for key in state.keys.all where key.teamID == id { state.deleteKey(key.token, by: question) }
            for user in state.users.keys { state.users[user]?.teams.removeAll { $0 == id } }
            guard let team = state.teams.removeValue(forKey: id) else { continue }
            state.deletedTeams.append(
                DeletedTeam(
                    id: Identifier.uuid(), row: team, deletedAt: state.now, deletedBy: JSON(question.caller.userID),
                    deletedByKey: question.caller.key?.token ?? Ledger.masterKey,
                    changedBy: question.call.headers.value(of: "litellm-changed-by")))
        }
        return Answer(["deleted_teams": JSON(ids)])
    }

    /// POST /team/block.
    static func block(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        try change(&state, question) { $0.columns["blocked"] = true }
    }

    /// POST /team/unblock.
    static func unblock(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        try change(&state, question) { $0.columns["blocked"] = false }
    }

    /// POST /team/model/add.
    static func addModels(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let models = question.body["models"]?.strings ?? []
        return try change(&state, question) { $0.columns["models"] = JSON(Set($0.models).union(models).sorted()) }
    }

    /// POST /team/model/delete.
    static func removeModels(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let models = question.body["models"]?.strings ?? []
        return try change(&state, question) { team in
            team.columns["models"] = JSON(team.models.filter { !models.contains($0) })
        }
    }

    /// Makes `member` a member of `team`, and a user if it is none yet.
    ///
    /// - Returns: the user as it was before it joined; one that was made, as it is now.
    @discardableResult
    static func join(_ state: inout State, team id: String, _ member: Member, budget: Membership.Budget?) -> UserRow? {
        var member = member
        var user = member.userID.flatMap { state.users[$0] }
        if member.userID == nil, let email = member.email { user = Users.user(email: email, in: state) }
        if user == nil, member.role != "admin" {
            let columns: JSONObject = ["user_email": JSON(member.email), "user_role": "internal_user"]
            user = Users.insert(&state, id: member.userID ?? Identifier.uuid(), columns: columns)
            user?.teams = [id]
        }
        let now = state.now
        let userID = user?.id ?? member.userID ?? Identifier.uuid()
        member.userID = userID
        member.email = user?.email ?? member.email
        state.teams[id]?.members.append(member)
        state.teams[id]?.memberships.append(Membership(teamID: id, userID: userID, budget: budget))
        state.teams[id]?.updatedAt = now
        state.users[userID]?.teams.append(id)
        return user
    }

    /// 404 of GET /team/info, which it also sends when the database is down.
    static func absentFromInfo(_ id: String) -> Refusal {
        .error(404, "{'message': 'Team not found, passed team id: \(id).'}", type: "auth_error", param: "None")
    }

    /// 404 of POST /team/delete, which it also sends when the database is down.
    static func absentFromDelete(_ id: String) -> Refusal { .detail(404, "Team not found, passed team_id=\(id)") }

    private static func change(
        _ state: inout State, _ question: Question, _ change: (inout TeamRow) -> Void
    ) throws(Refusal) -> Answer {
        let id = question.text("team_id") ?? ""
        guard var team = state.teams[id] else { throw absentFromDelete(id) }
        change(&team)
        team.updatedAt = state.now
        state.teams[id] = team
        return Answer(.object(TeamViews.table(team)))
    }

    private static func row(_ id: String, in state: State) throws(Refusal) -> TeamRow {
        guard let team = state.teams[id] else { throw .uncaught }
        return team
    }
}
