extension LiteLLMClient {
    /// The user with this id. Nil only when there is none for certain.
    package func user(id: String) async throws -> LiteLLMUser? {
        let call = LiteLLMCall.get("/user/info", [("user_id", id)], about: .user)
        let answer = try await performOrNil(call, as: UserInfoAnswer.self, nilFor: LiteLLMError.Code.userNotFound)
        guard let user = answer?.user else { return nil }
        guard user.id == id else { throw LiteLLMClassifier.badResponse(200, call) }
        return user
    }

    /// Makes a user, without a key. A return proves nothing yet: read the user back and compare.
    /// - Throws: ``LiteLLMError``; `.conflict` `user_exists` when the id or the e-mail, in any case, is taken.
    package func createUser(_ spec: LiteLLMUserSpec) async throws {
        let call = try LiteLLMCall.send(.post, "/user/new", CreateUserBody(spec: spec), about: .user)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Changes the user. **Creates** an unknown one, so make sure that it exists first.
    package func updateUser(id: String, _ change: LiteLLMUserChange) async throws {
        let call = try LiteLLMCall.send(.post, "/user/update", UpdateUserBody(id: id, change: change), about: .user)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Deletes the user and all of its keys. False when it was not there.
    package func deleteUser(id: String) async throws -> Bool {
        let call = try LiteLLMCall.send(.post, "/user/delete", ["user_ids": [id]], about: .user)
        return try await performOrNil(call, as: JSONValue.self, nilFor: LiteLLMError.Code.userNotFound) != nil
    }

    /// A page of users.
    /// - Parameters:
    ///   - page: From 1.
    ///   - size: 1 to 100.
    ///   - email: Only those whose e-mail contains this, in any case.
    package func listUsers(page: Int = 1, size: Int = 100, email: String? = nil) async throws -> LiteLLMUserPage {
        var query = [("page", "\(page)"), ("page_size", "\(size)")]
        if let email { query.append(("user_email", email)) }
        return try await perform(.get("/user/list", query, about: .user), as: LiteLLMUserPage.self)
    }

    /// Ids of the users whose e-mail is exactly this, in any case: to see who holds an e-mail that is taken.
    package func userIds(email: String) async throws -> [String] {
        let answer = try await listUsers(email: email)
        return answer.users.filter { $0.email?.lowercased() == email.lowercased() }.map(\.id)
    }
}

/// A page of `/user/list`.
package struct LiteLLMUserPage: Decodable, Sendable {
    package let users: [LiteLLMUser]
    /// On all pages.
    package let totalCount: Int
    package let totalPages: Int

    package init(from decoder: any Decoder) throws {
        let page = try decoder.container(keyedBy: AnyMember.self)
        users = try page.decode([Row].self, forKey: "users").map(\.user)
        totalCount = page.integer("total") ?? users.count
        totalPages = page.integer("total_pages") ?? 1
    }

    private struct Row: Decodable {
        let user: LiteLLMUser

        init(from decoder: any Decoder) throws {
            let row = try decoder.container(keyedBy: AnyMember.self)
            user = LiteLLMUser(id: try row.decode(String.self, forKey: "user_id"), row: row)
        }
    }
}
