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

    /// Ids of the users whose e-mail is exactly this, in any case: to see who holds an e-mail that is taken.
    package func userIds(email: String) async throws -> [String] {
        let answer = try await listUsers(email: email)
        return answer.items.filter { $0.email?.lowercased() == email.lowercased() }.map(\.id)
    }
}
