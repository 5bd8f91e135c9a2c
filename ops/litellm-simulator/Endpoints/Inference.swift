/// POST /chat/completions and /embeddings: models that answer by themselves, with tokens, prices and limits as if
/// they were real.
enum Inference {
    /// The LiteLLM version whose answers are imitated.
    static let version = "1.106.2"
    /// The completion tokens LiteLLM counts for every mocked answer.
    private static let completionTokens = 20

    /// The model a call uses, and the tokens it needs.
    struct Usage {
        let model: ModelRow
        let prompt: Int
        let completion: Int

        /// In dollars.
        var cost: Double {
            Double(prompt) * model.price("input_cost_per_token")
                + Double(completion) * model.price("output_cost_per_token")
        }
    }

    /// Writes the answer of a call that was let in: its usage, when it started, and its id.
    private typealias Writer = (Usage, Moment, String) -> Answer

    /// POST /chat/completions and /v1/chat/completions.
    static func chat(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        try serve(&state, question, endpoint: "/chat/completions") { model throws(Refusal) in
            guard let messages = question.body["messages"]?.elements else {
                throw .error(
                    400, "/chat/completions: Missing required parameter: 'messages'.", type: "invalid_request_error",
                    param: "messages")
            }
            let usage = Usage(model: model, prompt: promptTokens(messages), completion: completionTokens)
            return (usage, { ChatAnswers.answer(to: question.body, $0, at: $1, id: $2) })
        }
    }

    /// POST /embeddings and /v1/embeddings.
    static func embeddings(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        try serve(&state, question, endpoint: "/embeddings") { model throws(Refusal) in
            let input = question.body["input"].map { $0.elements ?? [$0] } ?? []
            let tokens = input.reduce(0) { $0 + tokenCount($1.string ?? $1.text) }
            let usage = Usage(model: model, prompt: max(1, tokens), completion: 0)
            return (usage, { usage, _, _ in ChatAnswers.embedding(usage) })
        }
    }

    /// Lets a call in, charges it and writes its answer; a refused one is logged as failed.
    private static func serve(
        _ state: inout State, _ question: Question, endpoint: String,
        _ plan: (ModelRow) throws(Refusal) -> (Usage, Writer)
    ) throws(Refusal) -> Answer {
        let now = state.now
        let name = question.body["model"]?.string
        let callID = Identifier.uuid()
        do throws(Refusal) {
            let limits = try Admission.admit(&state, question, model: name)
            guard let name, let model = state.deployment(of: name) else { throw unknownModel(name, endpoint) }
            let (usage, write) = try plan(model)
            let requestID = endpoint == "/embeddings" ? callID : "chatcmpl-\(Identifier.uuid())"
            charge(&state, question, usage, endpoint: endpoint, ids: (requestID, callID), now: now)
            state.limiter.add(tokens: usage.prompt + usage.completion, to: limits)
            var answer = write(usage, now, requestID)
            answer.headers += headers(state, question, usage, limits, callID: callID)
            return answer
        } catch {
            let reason = error.message
            let model = name.flatMap { state.deployment(of: $0) }
            state.ledger.record(
                entry(
                    question, model: model, endpoint: endpoint, ids: (callID, callID), tokens: (0, 0), cost: 0,
                    now: now, error: reason))
            guard error.answer.status == 400 || error.answer.status == 429 else { throw error }
            var refusal = error
            refusal.answer.headers += [
                ("x-litellm-call-id", callID), ("x-litellm-response-cost", "0"), ("x-litellm-key-spend", "0.0"),
            ]
            throw refusal
        }
    }

    private static func unknownModel(_ name: String?, _ endpoint: String) -> Refusal {
        let message =
            "\(endpoint): Invalid model name passed in model=\(name ?? "None"). "
            + "Call `/v1/models` to view available models for your key."
        let error: JSONObject = [
            "message": .string(message), "type": "invalid_request_error", "param": nil, "code": "400",
            "provider_specific_fields": ["error": .string(message)],
        ]
        return Refusal(answer: Answer(["error": .object(error)], status: 400))
    }

    /// Adds the cost to the key, its user, its team and the membership, and writes the log.
    private static func charge(
        _ state: inout State, _ question: Question, _ usage: Usage, endpoint: String,
        ids: (request: String, call: String), now: Moment
    ) {
        let cost = usage.cost
        state.ledger.record(
            entry(
                question, model: usage.model, endpoint: endpoint, ids: ids,
                tokens: (usage.prompt, usage.completion), cost: cost, now: now, error: nil))
        if let key = question.caller.key {
            state.keys.update(key.token) { row in
                row.spend += cost
                row.totalSpend += cost
                row.lastActive = now
                row.updatedAt = now
            }
        }
        if let user = question.caller.userID { state.users[user]?.spend += cost }
        guard let team = question.caller.key?.teamID else { return }
        state.teams[team]?.spend += cost
        let user = question.caller.userID
        if let index = state.teams[team]?.memberships.firstIndex(where: { $0.userID == user }) {
            state.teams[team]?.memberships[index].spend += cost
        }
    }

    private static func entry(
        _ question: Question, model: ModelRow?, endpoint: String, ids: (request: String, call: String),
        tokens: (prompt: Int, completion: Int), cost: Double, now: Moment, error: String?
    ) -> Ledger.Entry {
        let key = question.caller.key
        return Ledger.Entry(
            requestID: ids.request, callID: ids.call, token: key?.token ?? Ledger.masterKey, keyAlias: key?.alias,
            userID: question.caller.userID, teamID: key?.teamID, endUser: question.body["user"]?.string,
            endpoint: endpoint, model: model?.target ?? "unknown-model", modelID: model?.deploymentID ?? "",
            modelGroup: model?.name ?? "unknown-model", provider: model?.provider ?? "unknown",
            promptTokens: tokens.prompt, completionTokens: tokens.completion, spend: cost, started: now,
            milliseconds: 1, error: error)
    }

    private static func headers(
        _ state: State, _ question: Question, _ usage: Usage, _ limits: [RateLimiter.Limits], callID: String
    ) -> [(name: String, value: String)] {
        let key = question.caller.key.flatMap { state.keys[$0.token] }
        var headers: [(name: String, value: String)] = [
            ("x-litellm-call-id", callID), ("x-litellm-model-id", usage.model.deploymentID),
            ("x-litellm-version", version), ("x-litellm-model-group", usage.model.name),
            ("x-litellm-key-spend", "\(key?.spend ?? usage.cost)"),
        ]
        if question.body["stream"]?.boolean == true { return headers }
        if usage.cost > 0 { headers.append(("x-litellm-response-cost", "\(usage.cost)")) }
        if let budget = key?.maxBudget { headers.append(("x-litellm-key-max-budget", "\(budget)")) }
        if let limit = key?.requestsPerMinute { headers.append(("x-litellm-key-rpm-limit", "\(limit)")) }
        if let limit = key?.tokensPerMinute { headers.append(("x-litellm-key-tpm-limit", "\(limit)")) }
        for limit in limits {
            let left = state.limiter.remaining(limit)
            let owner = "x-ratelimit-\(limit.subject.owner.rawValue)"
            for (kind, most, rest) in [
                ("requests", limit.requests, left.requests), ("tokens", limit.tokens, left.tokens),
            ] {
                guard let most, let rest else { continue }
                headers.append(("\(owner)-limit-\(kind)", "\(most)"))
                headers.append(("\(owner)-remaining-\(kind)", "\(rest)"))
            }
        }
        return headers
    }

    /// About what a tokenizer gives for a chat: four characters a token, a few tokens around each message.
    private static func promptTokens(_ messages: [JSON]) -> Int {
        messages.reduce(3) { sum, message in
            let content = message["content"] ?? .null
            return sum + 4 + tokenCount(content.string ?? content.text)
        }
    }

    private static func tokenCount(_ text: String) -> Int { (text.count + 3) / 4 }
}

extension Refusal {
    /// The message for the log: that of the common envelope, or the whole body.
    var message: String {
        let text = String(decoding: answer.body, as: UTF8.self)
        guard let json = JSON(parsing: answer.body) else { return text }
        return json["error"]?["message"]?.string ?? text
    }
}
