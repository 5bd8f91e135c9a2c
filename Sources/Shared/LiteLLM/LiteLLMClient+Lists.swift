/// A page of a list of LiteLLM's.
package struct LiteLLMPage<Item: Sendable>: Sendable {
    /// The items of this page.
    package var items: [Item]
    /// Items on all pages.
    package var total: Int
    /// 0 when there are none.
    package var totalPages: Int
}

extension LiteLLMClient {
    /// A page of all users, oldest first, so that one who comes meanwhile comes last.
    /// - Parameters:
    ///   - page: From 1.
    ///   - size: 1 to 100.
    ///   - email: Only those whose e-mail contains this, in any case.
    package func listUsers(
        page: Int = 1, size: Int = 100, email: String? = nil
    ) async throws -> LiteLLMPage<LiteLLMUser> {
        var query = [
            ("page", "\(page)"), ("page_size", "\(size)"), ("sort_by", "created_at"), ("sort_order", "asc"),
        ]
        if let email { query.append(("user_email", email)) }
        let answer = try await perform(.get("/user/list", query, about: .user), as: UserPageAnswer.self)
        return LiteLLMPage(items: answer.users, total: answer.total, totalPages: answer.totalPages)
    }

    /// A page of all teams.
    /// - Parameters:
    ///   - page: From 1.
    ///   - size: 1 to 100.
    package func listTeams(page: Int, size: Int = 100) async throws -> LiteLLMPage<LiteLLMTeam> {
        let query = [("page", "\(page)"), ("page_size", "\(size)")]
        let answer = try await perform(.get("/v2/team/list", query, about: .user), as: TeamPageAnswer.self)
        return LiteLLMPage(items: answer.teams, total: answer.total, totalPages: answer.totalPages)
    }
}

/// A page of `/user/list` with complete rows.
private struct UserPageAnswer: Decodable {
    let users: [LiteLLMUser]
    let total: Int
    let totalPages: Int

    init(from decoder: any Decoder) throws {
        let page = try decoder.container(keyedBy: AnyMember.self)
        users = try page.decode([UserRow].self, forKey: "users").map(\.user)
        (total, totalPages) = try page.totals()
    }
}

/// A page of `/v2/team/list`.
private struct TeamPageAnswer: Decodable {
    let teams: [LiteLLMTeam]
    let total: Int
    let totalPages: Int

    init(from decoder: any Decoder) throws {
        let page = try decoder.container(keyedBy: AnyMember.self)
        teams = try page.decode([TeamRow].self, forKey: "teams").map(\.team)
        (total, totalPages) = try page.totals()
    }
}

extension KeyedDecodingContainer<AnyMember> {
    /// Without these nobody knows whether the list was read to its end.
    fileprivate func totals() throws -> (Int, Int) {
        guard let total = integer("total"), let pages = integer("total_pages") else {
            throw DecodingError.dataCorrupted(.init(codingPath: codingPath, debugDescription: "no totals"))
        }
        return (total, pages)
    }
}
