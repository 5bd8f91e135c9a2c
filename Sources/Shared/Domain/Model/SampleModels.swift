import Foundation

/// A handful of made-up models: what the catalogue shows before LiteLLM was ever heard of, so that a front end has
/// something to show. They are in no table, so nobody can ask for them.
package enum SampleModels {
    /// Sorted by provider and name.
    package static let all: [Model] = [
        sample(
            "claude-sample", "anthropic", 200_000, "0.000003", "0.000015", ["chat", "function_calling", "vision"]),
        sample("granite-sample", "ibm", 8192, "0.0000002", "0.0000004", ["chat"]),
        sample(
            "gpt-sample", "openai", 128_000, "0.0000025", "0.00001",
            ["chat", "function_calling", "parallel_function_calling", "tool_choice", "vision"]),
        sample("text-embedding-sample", "openai", 8191, "0.00000002", "0", ["embeddings"]),
    ]

    /// The page of them that a filter asks for.
    package static func list(_ filter: ModelFilter) -> Page<Model> {
        let found = all.filter { model in
            let text = "\(model.id) \(model.description ?? "")".lowercased()
            return filter.provider.map { $0 == model.model.provider } ?? true
                && filter.capability.map(model.model.features.contains) ?? true
                && filter.search.map { text.contains($0.lowercased()) } ?? true
        }
        return Page(items: Array(found.dropFirst(filter.page.offset).prefix(filter.page.size)), total: found.count)
    }

    /// What their providers offer.
    package static var offers: [ModelOffer] {
        all.map { ModelOffer(provider: $0.model.provider, features: $0.model.features, count: 1) }
    }

    private static func sample(
        _ id: String, _ provider: String, _ length: Int, _ input: String, _ output: String, _ features: [String]
    ) -> Model {
        let time = Date(timeIntervalSince1970: 1_767_225_600)
        return Model(
            model: ModelDescription(
                id: id, provider: provider, contextLength: length, maxTokens: length,
                inputCostPerToken: Decimal(string: input), outputCostPerToken: Decimal(string: output),
                supportsVision: features.contains("vision"),
                supportsFunctionCalling: features.contains("function_calling"),
                supportsParallelFunctionCalling: features.contains("parallel_function_calling"),
                supportsToolChoice: features.contains("tool_choice"), features: features),
            description: "A sample, shown until models were read from LiteLLM.", restrictedAccess: false,
            availability: .unavailable, absences: 0, supportsStreaming: true, deletedAt: nil, createdAt: time,
            updatedAt: time)
    }
}
