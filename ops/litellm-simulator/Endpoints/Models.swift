/// The model endpoints.
enum Models {
    /// Names in a list of models that stand for all of them.
    private static let everything: Set<String> = ["*", "all-proxy-models", "all-team-models"]

    /// True when `allowed`, a key's or a team's list, lets `model` through; an empty list lets everything through.
    static func allows(_ allowed: [String], _ model: String) -> Bool {
        allowed.isEmpty || allowed.contains(model) || allowed.contains(where: everything.contains)
    }

    /// GET /models: what the caller may use, in the order of the list that says so.
    static func names(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let visible = visible(state, question)
        let team = question.caller.key?.teamID.flatMap { state.teams[$0] }
        let listed = [question.caller.key?.models, team?.models].compactMap(\.self).first { !$0.isEmpty } ?? []
        let inOrder = listed.flatMap { name in visible.filter { $0.name == name } }
        return Answer([
            "data": .array((inOrder.isEmpty ? visible : inOrder).map(ModelViews.entry)), "object": "list",
        ])
    }

    /// GET /model/info and /v1/model/info: all deployments, or the one with `litellm_model_id`.
    static func info(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        var models = visible(state, question)
        if let id = question.parameter("litellm_model_id") {
            models = models.filter { $0.deploymentID == id }
            if models.isEmpty { throw .detail(400, "Model id = \(id) not found on litellm proxy") }
        }
        return Answer(["data": .array(models.map { ModelViews.deployment($0, teams: teams(using: $0, state)) })])
    }

    /// GET /v2/model/info: the same in pages, without the teams.
    static func pages(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let number = try question.whole("page", default: 1, in: 1...Int.max)
        let size = try question.whole("size", default: 50, in: 1...Int.max)
        let models = visible(state, question).filter { model in
            if let id = question.parameter("modelId"), model.deploymentID != id { return false }
            if let name = question.parameter("model"), model.name != name { return false }
            guard let part = question.parameter("search") else { return true }
            return model.name.lowercased().contains(part.lowercased())
        }
        let page = Page(of: models, number: number, size: size)
        return Answer([
            "data": .array(page.elements.map { ModelViews.deployment($0, teams: nil) }),
            "total_count": .integer(page.total), "current_page": .integer(number),
            "total_pages": .integer(page.pages), "size": .integer(size),
        ])
    }

    /// GET /model_group/info: one entry per public name.
    static func groups(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        var seen: Set<String> = []
        let models = visible(state, question).filter { seen.insert($0.name).inserted }
        return Answer(["data": .array(models.map(ModelViews.group))])
    }

    /// POST /model/new.
    static func new(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let body = question.body
        guard let name = question.text("model_name"), let parameters = body["litellm_params"]?.members else {
            throw .uncaught
        }
        var info = body["model_info"]?.members ?? [:]
        let id = info.removeValue(forKey: "id")?.string ?? Identifier.uuid()
        if state.models.contains(where: { $0.id == id }) {
            throw .dictionary(
                500, "Failed to add model to db. Check your server logs for more details.", type: "auth_error",
                param: "None")
        }
        let now = state.now
        let model = ModelRow(
            id: id, deploymentID: id, name: name, parameters: parameters, info: info, isStored: true,
            blocked: body["blocked"]?.boolean ?? false, createdAt: now, updatedAt: now)
        state.models.append(model)
        return Answer(ModelViews.stored(model))
    }

    /// POST /model/update: members are merged into what is stored.
    static func update(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let id = question.body["model_info"]?["id"]?.string ?? ""
        return try change(id, &state, question)
    }

    /// PATCH /model/{id}/update. When `model_info` comes without an id the stored one becomes a new UUID.
    static func patch(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let id = question.variables["id"] ?? ""
        let info = question.body["model_info"]?.members
        return try change(id, &state, question, newID: info != nil && info?["id"] == nil ? Identifier.uuid() : id)
    }

    /// POST /model/delete: only what was added with /model/new.
    static func delete(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let id = question.text("id") ?? ""
        guard let index = state.models.firstIndex(where: { $0.id == id && $0.isStored }) else {
            throw .dictionary(400, "Model with id=\(id) not found in db", type: "auth_error", param: "None")
        }
        state.models.remove(at: index)
        return Answer(["message": .string("Model: \(id) deleted successfully")])
    }

    private static func change(
        _ id: String, _ state: inout State, _ question: Question, newID: String? = nil
    ) throws(Refusal) -> Answer {
        guard let index = state.models.firstIndex(where: { $0.id == id }) else {
            throw .error(400, "Authentication Error, model not found", type: "auth_error", param: "None")
        }
        let old = state.models[index]
        guard old.isStored else {
            throw .dictionary(
                400, "Can't edit model. Model in config. Store model in db via `/model/new`. to edit.",
                type: "auth_error", param: "None")
        }
        var info = question.body["model_info"]?.members ?? [:]
        info["id"] = nil
        var model = old
        model.deploymentID = newID ?? id
        model.name = question.text("model_name") ?? old.name
        model.parameters = old.parameters.merged(with: question.body["litellm_params"]?.members ?? [:])
        model.info = old.info.merged(with: info)
        model.blocked = question.body["blocked"]?.boolean ?? old.blocked
        model.updatedAt = state.now
        state.models[index] = model
        return Answer(ModelViews.stored(model))
    }

    /// The deployments the caller may use, in their order.
    private static func visible(_ state: State, _ question: Question) -> [ModelRow] {
        guard let key = question.caller.key else { return state.models }
        let team = key.teamID.flatMap { state.teams[$0] }?.models ?? []
        return state.models.filter { allows(key.models, $0.name) && allows(team, $0.name) }
    }

    private static func teams(using model: ModelRow, _ state: State) -> [String] {
        state.teams.values.filter { allows($0.models, model.name) }.map(\.id).sorted()
    }
}
