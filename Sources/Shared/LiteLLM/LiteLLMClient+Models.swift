extension LiteLLMClient {
    /// All deployments, read to the last page.
    /// - Throws: ``LiteLLMError``; `.retryable` `litellm_models_not_loaded` when LiteLLM has no list, and
    ///   `litellm_list_incomplete` when the pages do not add up to what LiteLLM says there is.
    package func models() async throws -> [LiteLLMDeployment] {
        var all: [LiteLLMDeployment] = []
        var page = 1
        while true {
            let query = [("page", "\(page)"), ("size", "\(settings.modelPageSize)")]
            let answer: DeploymentListAnswer
            do {
                answer = try await perform(
                    .get("/v2/model/info", query, about: .model), as: DeploymentListAnswer.self)
            } catch let error as LiteLLMError where page == 1 && [404, 405].contains(error.httpStatus) {
                // Releases without pages.
                return try await perform(
                    .get("/v1/model/info", about: .model), as: DeploymentListAnswer.self
                ).deployments
            }
            all += answer.deployments
            guard page < answer.totalPages ?? 1 else {
                guard answer.totalCount ?? all.count == all.count, Set(all.map(\.id)).count == all.count else {
                    throw LiteLLMError.listIncomplete("GET /v2/model/info")
                }
                return all
            }
            page += 1
            guard page <= settings.maxPages else { throw LiteLLMError.listIncomplete("GET /v2/model/info") }
        }
    }

    /// The deployment with this id. Nil when LiteLLM's router knows none, which other replicas than the one that
    /// changed it learn with a delay.
    package func model(id: String) async throws -> LiteLLMDeployment? {
        let call = LiteLLMCall.get("/v1/model/info", [("litellm_model_id", id)], about: .model)
        let answer = try await performOrNil(
            call, as: DeploymentListAnswer.self, nilFor: LiteLLMError.Code.modelNotFound)
        return answer?.deployments.first { $0.id == id }
    }

    /// Makes a deployment. A return proves nothing yet: read it back.
    /// - Throws: ``LiteLLMError``; `.conflict` `model_exists` when the id is taken.
    package func createModel(_ spec: LiteLLMDeploymentSpec) async throws {
        let call = try LiteLLMCall.send(.post, "/model/new", DeploymentBody(spec: spec), about: .model)
        do {
            _ = try await perform(call, as: JSONObject.self)
        } catch let error as LiteLLMError where error.code == LiteLLMError.Code.modelNotAdded {
            // LiteLLM says the same of an id that exists and of a database out of reach.
            guard try await model(id: spec.id) != nil else { throw error }
            throw LiteLLMError(
                .conflict, code: LiteLLMError.Code.modelExists, httpStatus: error.httpStatus,
                message: "POST /model/new: a deployment of this id exists")
        }
    }

    /// Changes a deployment that lives in LiteLLM's database; what the spec leaves out stays.
    /// - Throws: ``LiteLLMError``; `.permanent` `model_not_found`, or `validation` for one of the configuration file.
    package func updateModel(_ spec: LiteLLMDeploymentSpec) async throws {
        let call = try LiteLLMCall.send(
            .patch, "/model/{}/update", value: spec.id, DeploymentBody(spec: spec), about: .model)
        _ = try await perform(call, as: JSONObject.self)
    }

    /// Deletes a deployment. False when LiteLLM's database has none of that id.
    package func deleteModel(id: String) async throws -> Bool {
        let call = try LiteLLMCall.send(.post, "/model/delete", ["id": id], about: .model)
        return try await performOrNil(call, as: JSONObject.self, nilFor: LiteLLMError.Code.modelNotFound) != nil
    }
}

extension LiteLLMError {
    static func listIncomplete(_ what: String) -> LiteLLMError {
        LiteLLMError(
            .retryable, code: Code.listIncomplete, httpStatus: 200, message: "\(what): the pages do not add up")
    }
}
