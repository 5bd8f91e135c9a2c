/// The health endpoints.
enum Health {
    /// GET /health/liveliness and /health/liveness.
    static func alive(_ state: inout State, _ question: Question) throws(Refusal) -> Answer { Answer("I'm alive!") }

    /// GET /health/readiness.
    static func ready(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        Answer(["status": "healthy", "db": "connected"])
    }

    /// GET /health/readiness/details.
    static func details(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        Answer([
            "status": "healthy", "db": "connected", "cache": nil, "litellm_version": .string(Inference.version),
            "success_callbacks": [], "log_level": "WARNING", "is_detailed_debug": false,
        ])
    }

    /// GET /health: every deployment answers.
    static func models(_ state: inout State, _ question: Question) throws(Refusal) -> Answer {
        let name = question.parameter("model")
        let healthy = state.models.filter { name == nil || $0.name == name }.map { model in
            var entry: JSONObject = ["model": .string(model.target), "model_id": .string(model.deploymentID)]
            for limit in ["tpm", "rpm"] { entry[limit] = model.parameters[limit] }
            return JSON.object(entry)
        }
        return Answer([
            "healthy_endpoints": .array(healthy), "unhealthy_endpoints": [],
            "healthy_count": .integer(healthy.count), "unhealthy_count": 0,
        ])
    }
}
