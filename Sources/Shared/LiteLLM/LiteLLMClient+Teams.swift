package import Foundation

extension LiteLLMClient {
    /// The team with this id. Nil only when a second kind of read agrees that there is none.
    package func team(id: String) async throws -> LiteLLMTeam? {
        // Else the answer holds every key of the team; none at all cannot be asked for.
        let call = LiteLLMCall.get("/team/info", [("team_id", id), ("key_limit", "1")], about: .team(id: id))
        let answer = try await performOrNil(call, as: TeamInfoAnswer.self, nilFor: LiteLLMError.Code.teamNotFound)
        guard let team = answer?.team else { return nil }
        guard team.id == id else { throw LiteLLMClassifier.badResponse(200, call) }
        return team
    }

    /// Makes a team. A return proves nothing yet: read the team back and compare.
    /// - Throws: ``LiteLLMError``; `.conflict` `team_exists` when the id is taken.
    package func createTeam(_ spec: LiteLLMTeamSpec) async throws {
        let call = try LiteLLMCall.send(.post, "/team/new", CreateTeamBody(spec: spec), about: .team(id: spec.id))
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Changes the team.
    /// - Throws: ``LiteLLMError``; `.permanent` `team_not_found`.
    package func updateTeam(id: String, _ change: LiteLLMTeamChange) async throws {
        let call = try LiteLLMCall.send(
            .post, "/team/update", UpdateTeamBody(id: id, change: change), about: .team(id: id))
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Deletes the team and all of its keys. False when it was not there.
    package func deleteTeam(id: String) async throws -> Bool {
        let call = try LiteLLMCall.send(.post, "/team/delete", ["team_ids": [id]], about: .team(id: id))
        return try await performOrNil(call, as: JSONValue.self, nilFor: LiteLLMError.Code.teamNotFound) != nil
    }

    /// Makes the user a member of the team. **Creates** an unknown user, so make sure that it exists first.
    /// - Parameter maxBudget: Dollars within the team; nil for no limit.
    /// - Returns: False when the user was one already.
    /// - Throws: ``LiteLLMError``; `.permanent` `team_not_found`.
    package func addTeamMember(teamId: String, userId: String, maxBudget: Decimal? = nil) async throws -> Bool {
        let body = AddTeamMemberBody(teamId: teamId, userId: userId, maxBudget: maxBudget)
        let call = try LiteLLMCall.send(.post, "/team/member_add", body, about: .team(id: teamId))
        return try await performOrNil(call, as: JSONObject.self, nilFor: LiteLLMError.Code.alreadyMember) != nil
    }

    /// Takes the user out of the team. False when the user was no member.
    /// - Throws: ``LiteLLMError``; `.permanent` `team_not_found`.
    package func removeTeamMember(teamId: String, userId: String) async throws -> Bool {
        let body = ["team_id": teamId, "user_id": userId]
        let call = try LiteLLMCall.send(.post, "/team/member_delete", body, about: .team(id: teamId))
        return try await performOrNil(call, as: JSONObject.self, nilFor: LiteLLMError.Code.notMember) != nil
    }
}
