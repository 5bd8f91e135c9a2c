/// POST /team/member_add, /team/member_update and /team/member_delete.
enum TeamMembers {
    /// Adds one member or a list. A user that does not exist is made; one that is a member already is an error, in a
    /// list only when all of them are.
    static func add(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let isList = question.body["member"]?.elements != nil
        let asked = question.body["member"].map { $0.elements ?? [$0] } ?? []
        let members = try asked.map { member throws(Refusal) in try read(member) }
        let id = question.text("team_id") ?? ""
        if members.contains(where: { $0.role == "admin" }) {
            throw .detail(400, "Assigning team admins is a premium feature. \(Refusal.needsLicence)")
        }
        guard let team = state.teams[id] else { throw absentTeam(id) }
        let new = members.filter { !team.has(userID: $0.userID, email: $0.email ?? email(of: $0, in: state)) }
        guard !new.isEmpty else { throw present(members, team, isList: isList) }

        var budget: Membership.Budget?
        if let most = question.body["max_budget_in_team"]?.number {
            budget = Membership.Budget(
                id: Identifier.uuid(), maxBudget: most, duration: question.text("budget_duration"),
                createdAt: state.now)
        }
        var joined: [UserRow] = []
        for member in new {
            if let user = Teams.join(&state, team: id, member, budget: budget) { joined.append(user) }
        }
        guard let changed = state.teams[id] else { throw .uncaught }
        let ids = Set(joined.map(\.id))
        let memberships = changed.memberships.filter { ids.contains($0.userID) }
        return Answer(
            .object(
                TeamViews.row(changed).merged(with: [
                    "updated_users": .array(joined.map { .object(UserViews.listed($0)) }),
                    "updated_team_memberships": .array(memberships.map { .object(TeamViews.membership($0)) }),
                ])))
    }

    /// Sets a member's budget. It does not check that the user is a member.
    static func update(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let id = question.text("team_id") ?? ""
        let user = try userID(question, in: state)
        if question.text("role") == "admin" {
            let licence = Refusal.needsLicence.replacing("/enterprise#trial. \n", with: "/#trial. ")
            throw .bareDetail(400, "Assigning team admins is a premium feature. \(licence)")
        }
        guard let team = state.teams[id] else { throw .detail(400, "Team id=\(id) does not exist in db") }
        if let most = question.body["max_budget_in_team"]?.number {
            let index = team.memberships.firstIndex { $0.userID == user }
            var membership = index.map { team.memberships[$0] } ?? Membership(teamID: id, userID: user)
            membership.budget = Membership.Budget(
                id: membership.budget?.id ?? Identifier.uuid(), maxBudget: most,
                duration: question.text("budget_duration") ?? membership.budget?.duration,
                createdAt: membership.budget?.createdAt ?? state.now)
            if let index {
                state.teams[id]?.memberships[index] = membership
            } else {
                state.teams[id]?.memberships.append(membership)
            }
        }
        var shown: JSONObject = [
            "user_id": .string(user), "user_email": question.body["user_email"] ?? .null, "team_id": .string(id),
            "temp_budget_increase": nil, "temp_budget_expiry": nil,
        ]
        for name in ["max_budget_in_team", "tpm_limit", "rpm_limit", "budget_duration", "allowed_models"] {
            shown[name] = question.body[name] ?? .null
        }
        return Answer(.object(shown))
    }

    /// Takes a member out of a team.
    static func delete(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let id = question.text("team_id") ?? ""
        let user = try userID(question, in: state)
        guard let team = state.teams[id] else { throw .detail(400, "Team id=\(id) does not exist in db") }
        guard team.has(userID: user, email: nil) else { throw .detail(400, "User not found in team") }
        state.removeMember(user, fromTeam: id)
        guard let changed = state.teams[id] else { throw .uncaught }
        return Answer(.object(TeamViews.row(changed)))
    }

    /// One member of a request body.
    ///
    /// - Throws: 422 for an unknown role, or when neither id nor e-mail is given.
    static func read(_ json: JSON) throws(Refusal) -> Member {
        let roleAt: [JSON] = ["body", "role"]
        guard let role = json["role"]?.string else {
            throw .invalid([Violation(type: "missing", location: roleAt, message: "Field required")])
        }
        guard role == "user" || role == "admin" else {
            throw .invalid([
                Violation(type: "literal_error", location: roleAt, message: "Input should be 'admin' or 'user'")
            ])
        }
        let member = Member(userID: json["user_id"]?.string, email: json["user_email"]?.string, role: role)
        guard member.userID != nil || member.email != nil else {
            throw .invalidBody("Either user id or user email must be provided")
        }
        return member
    }

    /// 404 of /team/member_add, which it also sends when the database is down.
    static func absentTeam(_ id: String) -> Refusal { .detail(404, Teams.missing(id)) }

    private static func email(of member: Member, in state: State) -> String? {
        member.userID.flatMap { state.users[$0]?.email }
    }

    private static func present(_ members: [Member], _ team: TeamRow, isList: Bool) -> Refusal {
        let existing = "Existing members=[\(team.members.map(\.python).joined(separator: ", "))]"
        let message =
            if !isList, let member = members.first {
                "User already in team. Member: user_id=\(member.userID ?? "None"), "
                    + "user_email=\(member.email ?? "None"). \(existing)"
            } else {
                "All users are already in team. \(existing)"
            }
        return .error(400, message, type: "team_member_already_in_team", param: "member")
    }

    private static func userID(_ question: Question, in state: State) throws(Refusal) -> String {
        if let id = question.text("user_id") { return id }
        guard let email = question.text("user_email") else {
            throw .invalidBody("Either user id or user email must be provided")
        }
        guard let user = Users.user(email: email, in: state) else { throw .detail(400, "User not found in team") }
        return user.id
    }
}
