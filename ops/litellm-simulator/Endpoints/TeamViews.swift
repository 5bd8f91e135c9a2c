/// The shapes in which LiteLLM shows a team.
enum TeamViews {
    /// Columns of a team that no request has set.
    static let emptyColumns: JSONObject = [
        "team_alias": nil, "admins": [], "members": [], "team_member_permissions": [], "metadata": [:],
        "tpm_limit": nil, "rpm_limit": nil, "tpd_limit": nil, "max_budget": nil, "soft_budget": nil,
        "budget_duration": nil, "budget_limits": nil, "models": [], "blocked": false,
        "default_team_member_models": [], "max_parallel_requests": nil, "model_max_budget": [:], "policies": [],
    ]

    /// The shape of /team/new, of the lists and inside /team/info.
    static func row(_ team: TeamRow) -> JSONObject {
        emptyColumns.merged(with: team.columns).merged(with: [
            "team_id": .string(team.id), "organization_id": nil, "router_settings": [:], "access_group_ids": [],
            "members_with_roles": .array(team.members.map { .object($0.json) }), "spend": .double(team.spend),
            "budget_reset_at": team.budgetResetAt?.zulu ?? .null, "model_id": nil, "model_spend": [:],
            "allow_team_guardrail_config": false, "litellm_model_table": nil, "object_permission": nil,
            "object_permission_id": nil, "created_at": team.createdAt.zulu, "updated_at": team.updatedAt.zulu,
        ])
    }

    /// The shape of /team/update, block, unblock and the model calls.
    static func table(_ team: TeamRow) -> JSONObject {
        row(team).merged(with: ["litellm_organization_table": nil, "projects": nil])
    }

    /// `team_info` of /team/info: members carry the alias of their user.
    static func info(_ team: TeamRow, _ state: State) -> JSONObject {
        let members = team.members.map { member in
            let alias = member.userID.flatMap { state.users[$0]?.alias }
            return JSON.object(member.json.merged(with: ["user_alias": JSON(alias)]))
        }
        return row(team).merged(with: [
            "members_with_roles": .array(members), "team_member_budget_table": nil, "access_group_models": nil,
            "access_group_mcp_server_ids": nil, "access_group_agent_ids": nil, "access_group_details": nil,
            "organization_models": nil, "model_max_budget_usage": [:],
            "caller_edit_access": ["kind": "unrestricted"],
        ])
    }

    /// An entry of /team/list, and of /user/info with the memberships of that user alone.
    static func withKeys(_ team: TeamRow, _ state: State, of userID: String? = nil) -> JSONObject {
        let memberships = team.memberships.filter { userID == nil || $0.userID == userID }
        let keys = state.keys.all.filter { $0.teamID == team.id }.sorted { $0.sequence < $1.sequence }
        return row(team).merged(with: [
            "team_memberships": .array(memberships.map { .object(membership($0)) }),
            "keys": .array(keys.map { .object(KeyViews.table($0)) }),
        ])
    }

    /// One membership with its budget.
    static func membership(_ membership: Membership) -> JSONObject {
        [
            "user_id": .string(membership.userID), "team_id": .string(membership.teamID),
            "budget_id": JSON(membership.budget?.id), "spend": .double(membership.spend),
            "total_spend": .double(membership.spend), "litellm_budget_table": budget(membership.budget),
        ]
    }

    private static func budget(_ budget: Membership.Budget?) -> JSON {
        guard let budget else { return .null }
        return [
            "budget_id": .string(budget.id), "soft_budget": nil, "max_budget": JSON(budget.maxBudget),
            "max_parallel_requests": nil, "tpm_limit": nil, "rpm_limit": nil, "tpd_limit": nil,
            "model_max_budget": nil, "budget_duration": JSON(budget.duration), "allowed_models": [],
            "temp_budget_increase": nil, "temp_budget_expiry": nil, "budget_reset_at": nil,
            "created_at": budget.createdAt.zulu,
        ]
    }

    /// What a deleted team has in addition.
    static func deleted(_ team: DeletedTeam) -> JSONObject {
        row(team.row).merged(with: [
            "default_team_member_models": nil, "id": .string(team.id), "deleted_at": team.deletedAt.zulu,
            "deleted_by": team.deletedBy, "deleted_by_api_key": .string(team.deletedByKey),
            "litellm_changed_by": JSON(team.changedBy),
        ])
    }
}

/// GET /team/list and GET /v2/team/list.
enum TeamLists {
    /// A bare array of all teams, or of one user's.
    static func list(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let user = question.parameter("user_id") ?? question.caller.key?.userID
        let teams = state.teams.values.filter { user == nil || $0.has(userID: user, email: nil) }
            .sorted { $0.sequence < $1.sequence }
        return Answer(.array(teams.map { .object(TeamViews.withKeys($0, state, of: user)) }))
    }

    /// Pages of teams, newest first; `team_id` matches exactly, `team_alias` in part.
    static func pages(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("page_size", default: 10, in: 1...100)
        let found: [JSON]
        if question.parameter("status") == "deleted" {
            found = state.deletedTeams.filter { matches($0.row, question) }.reversed()
                .map { .object(TeamViews.deleted($0)) }
        } else {
            found = state.teams.values.filter { matches($0, question) }.sorted { $0.sequence > $1.sequence }
                .map { .object(counted($0, state)) }
        }
        let page = Page(of: found, number: number, size: size)
        return Answer([
            "teams": .array(page.elements), "total": .integer(page.total), "page": .integer(number),
            "page_size": .integer(size), "total_pages": .integer(page.pages),
        ])
    }

    private static func counted(_ team: TeamRow, _ state: State) -> JSONObject {
        TeamViews.row(team).merged(with: [
            "members_count": .integer(team.members.count),
            "keys_count": .integer(state.keys.all.count { $0.teamID == team.id }),
            "access_group_models": nil, "access_group_mcp_server_ids": nil, "access_group_agent_ids": nil,
        ])
    }

    private static func matches(_ team: TeamRow, _ question: Question) -> Bool {
        if let id = question.parameter("team_id"), team.id != id { return false }
        if let user = question.parameter("user_id") ?? question.caller.key?.userID,
            !team.has(userID: user, email: nil)
        {
            return false
        }
        guard let alias = question.parameter("team_alias") else { return true }
        return team.alias?.lowercased().contains(alias.lowercased()) ?? false
    }
}
