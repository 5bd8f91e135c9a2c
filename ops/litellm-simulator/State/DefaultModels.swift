/// The five models every simulator starts with. They answer by themselves; between them they cover a dear model,
/// a cheap one with limits, a free one, one whose first call breaks any budget, and embeddings.
enum DefaultModels {
    /// The rows, in the order in which they are listed.
    static func rows(at now: Moment) -> [ModelRow] {
        [
            row(
                "mock-gpt-4o", now,
                info: [
                    "mode": "chat", "max_tokens": 128_000, "max_input_tokens": 128_000, "max_output_tokens": 16_384,
                    "input_cost_per_token": 2.5e-06, "output_cost_per_token": 1e-05, "supports_vision": true,
                    "supports_function_calling": true, "supports_parallel_function_calling": true,
                ]),
            row(
                "mock-llama-3-70b", now, parameters: ["tpm": 100_000, "rpm": 1000],
                info: [
                    "mode": "chat", "max_tokens": 8192, "max_input_tokens": 8192, "max_output_tokens": 4096,
                    "input_cost_per_token": 6e-07, "output_cost_per_token": 8e-07, "supports_vision": false,
                    "supports_function_calling": true,
                ]),
            row(
                "mock-free", now,
                info: [
                    "mode": "chat", "max_tokens": 4096, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0,
                    "supports_vision": false,
                ]),
            row(
                "mock-expensive", now,
                info: [
                    "mode": "chat", "max_tokens": 4096, "input_cost_per_token": 0.01, "output_cost_per_token": 0.02,
                    "supports_vision": false,
                ]),
            row(
                "mock-embedding", now, reply: [0.1, 0.2, 0.3],
                info: [
                    "mode": "embedding", "max_tokens": 8192, "input_cost_per_token": 1e-07,
                    "output_cost_per_token": 0.0, "supports_vision": false,
                ]),
        ]
    }

    private static func row(
        _ name: String, _ now: Moment, reply: JSON? = nil, parameters: JSONObject = [:], info: JSONObject
    ) -> ModelRow {
        let reply = reply ?? .string("This is \(name), played by the simulator.")
        let own: JSONObject = ["model": .string("openai/\(name)"), "mock_response": reply]
        return ModelRow(
            id: "\(name)-id", deploymentID: "\(name)-id", name: name, parameters: own.merged(with: parameters),
            info: info, isStored: false,
            createdAt: now, updatedAt: now)
    }
}
