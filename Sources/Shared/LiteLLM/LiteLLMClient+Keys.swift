package import Foundation

extension LiteLLMClient {
    /// The key with this hash. Nil only when there is none for certain; one that was deleted may still be answered,
    /// with the status `deleted`.
    package func keyInfo(hash: String) async throws -> LiteLLMKey? {
        let call = LiteLLMCall.get("/key/info", [("key", hash)], about: .key)
        let answer = try await performOrNil(call, as: KeyInfoAnswer.self, nilFor: LiteLLMError.Code.keyNotFound)
        guard let row = answer?.row else { return nil }
        let key = row.key(hash: hash, now: now())
        guard key.hash == hash else { throw LiteLLMClassifier.badResponse(200, call) }
        return key
    }

    /// Makes a key with a secret chosen beforehand, at least 16 characters beginning with `sk-`. A return proves
    /// nothing yet: read the key back and compare.
    /// - Throws: ``LiteLLMError``; `.conflict` `alias_exists` also when an earlier attempt of ours succeeded.
    package func generateKey(_ spec: LiteLLMKeySpec, secret: Secret) async throws {
        let call = try LiteLLMCall.send(
            .post, "/key/generate", GenerateKeyBody(spec: spec, secret: secret), about: .key)
        let answer = try await perform(call, as: GeneratedKeyAnswer.self)
        guard answer.key == nil || Secret(answer.key ?? "") == secret else {
            // A key nobody knows is alive now; its alias, which is ours, leads to it.
            throw LiteLLMError(
                .permanent, code: LiteLLMError.Code.customKeysDisabled, httpStatus: 200,
                message: "POST /key/generate: LiteLLM made another key than the one chosen", outcomeUnknown: true)
        }
    }

    /// Blocks the key; it is refused at once. Blocking a blocked one does nothing.
    /// - Throws: ``LiteLLMError``; `.permanent` `key_not_found` when there is none.
    package func blockKey(hash: String) async throws {
        let call = try LiteLLMCall.send(.post, "/key/block", ["key": hash], about: .key)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Unblocks the key.
    /// - Throws: ``LiteLLMError``; `.permanent` `key_not_found` when there is none.
    package func unblockKey(hash: String) async throws {
        let call = try LiteLLMCall.send(.post, "/key/unblock", ["key": hash], about: .key)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Deletes the key. False when it was not there.
    package func deleteKey(hash: String) async throws -> Bool {
        let call = try LiteLLMCall.send(.post, "/key/delete", ["keys": [hash]], about: .key)
        return try await performOrNil(call, as: JSONObject.self, nilFor: LiteLLMError.Code.keyNotFound) != nil
    }

    /// Changes the key. Metadata is replaced as a whole; LiteLLM keeps the limits by model in there, so send these
    /// along with a marker.
    /// - Throws: ``LiteLLMError``; `.permanent` `key_not_found`, `.conflict` `alias_exists`.
    package func updateKey(hash: String, _ change: LiteLLMKeyChange) async throws {
        let call = try LiteLLMCall.send(
            .post, "/key/update", UpdateKeyBody(hash: hash, change: change), about: .key)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Sets what the key has spent, 0 to reset it. Takes effect at once, but LiteLLM's batched writer may still add
    /// what was spent just before.
    /// - Throws: ``LiteLLMError``; `.permanent` `key_not_found`.
    package func resetKeySpend(hash: String, to amount: Decimal = 0) async throws {
        let call = try LiteLLMCall.send(
            .post, "/key/{}/reset_spend", value: hash, ["reset_to": amount], about: .key)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// A page of keys, newest first.
    /// - Parameters:
    ///   - page: From 1.
    ///   - size: 1 to 100.
    ///   - userId: Only those of this owner.
    ///   - teamId: Only those of this team.
    ///   - alias: Only the one of exactly this alias.
    package func listKeys(
        page: Int = 1, size: Int = 100, userId: String? = nil, teamId: String? = nil, alias: String? = nil
    ) async throws -> LiteLLMKeyPage {
        var query = [("page", "\(page)"), ("size", "\(size)"), ("return_full_object", "true")]
        if let userId { query.append(("user_id", userId)) }
        if let teamId { query.append(("team_id", teamId)) }
        if let alias { query.append(("key_alias", alias)) }
        let answer = try await perform(.get("/key/list", query, about: .key), as: KeyListAnswer.self)
        let now = now()
        return LiteLLMKeyPage(
            keys: answer.rows.map { $0.key(hash: nil, now: now) }, totalCount: answer.totalCount, page: answer.page,
            totalPages: answer.totalPages)
    }
}

/// A JSON object of no further interest.
struct JSONObject: Decodable, Sendable {
    init(from decoder: any Decoder) throws {
        _ = try decoder.container(keyedBy: AnyMember.self)
    }
}

/// The echo of `/key/generate`: only that there is a key in it counts, as the rest echoes the request.
struct GeneratedKeyAnswer: Decodable {
    let key: String?

    init(from decoder: any Decoder) throws {
        let answer = try decoder.container(keyedBy: AnyMember.self)
        key = answer.name("key")
        guard key != nil || answer.name("token") != nil || answer.name("token_id") != nil else {
            throw DecodingError.dataCorrupted(.init(codingPath: [], debugDescription: "no key"))
        }
    }
}
