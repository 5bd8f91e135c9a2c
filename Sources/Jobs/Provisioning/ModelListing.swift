import Foundation
import Shared

/// LiteLLM's list of deployments as our catalogue sees it: one model for each public name.
struct ModelListing: Sendable {
    /// Sorted by id.
    private(set) var models: [ModelDescription] = []
    /// Sorted by id.
    private(set) var deployments: [ModelDeployment] = []
    /// Names that LiteLLM lists, those with a problem included.
    private(set) var names: Set<String> = []
    /// Sentences about deployments that could not be taken over.
    private(set) var problems: [String] = []

    init(_ all: [LiteLLMDeployment]) {
        // Switched-off deployments serve nobody.
        let byName = Dictionary(grouping: all.filter { !$0.blocked }, by: \.name)
        for (name, group) in byName.sorted(by: { $0.key < $1.key }) {
            names.insert(name)
            // The smallest id speaks for all of them: LiteLLM's order is not stable, and the row must not flap.
            let sorted = group.sorted { $0.id < $1.id }
            do throws(Problem) {
                let description = try Self.describe(sorted[0])
                models.append(description)
                deployments += sorted.map { deployment in
                    ModelDeployment(
                        id: deployment.id, modelId: name, provider: deployment.provider ?? "unknown",
                        backendModelName: deployment.backendModel, isInDatabase: deployment.isInDatabase)
                }
            } catch {
                problems.append("Model \(name): \(error.sentence)")
            }
        }
        deployments.sort { $0.id < $1.id }
    }

    private struct Problem: Error {
        let sentence: String
    }

    private static func describe(_ deployment: LiteLLMDeployment) throws(Problem) -> ModelDescription {
        let length = try tokens(deployment.maxTokens ?? deployment.maxInputTokens)
        let features = features(of: deployment)
        return ModelDescription(
            id: deployment.name, provider: deployment.provider ?? "unknown",
            backendModelName: deployment.backendModel, apiBase: deployment.apiBase, contextLength: length,
            maxTokens: length, inputCostPerToken: try price(deployment.inputCostPerToken),
            outputCostPerToken: try price(deployment.outputCostPerToken), tpm: deployment.tpm, rpm: deployment.rpm,
            supportsVision: features.contains("vision"),
            supportsFunctionCalling: features.contains("function_calling"),
            supportsParallelFunctionCalling: features.contains("parallel_function_calling"),
            supportsToolChoice: features.contains("tool_choice"), features: features.sorted())
    }

    private static func features(of deployment: LiteLLMDeployment) -> Set<String> {
        var features = deployment.capabilities.intersection([
            "chat", "embeddings", "convert", "function_calling", "parallel_function_calling", "tool_choice", "vision",
            "tokenize",
        ])
        switch deployment.mode {
        case "embedding": features.insert("embeddings")
        case "chat", "completion", "responses": features.insert("chat")
        case nil where features.isDisjoint(with: ["chat", "embeddings", "convert"]):
            features.insert(deployment.provider == "docling" ? "convert" : "chat")
        default: break
        }
        return features
    }

    /// As the column takes it: 15 decimals, less than a thousand million.
    private static func price(_ value: Decimal?) throws(Problem) -> Decimal? {
        guard let value else { return nil }
        guard !value.isNaN, value >= 0, value < 1_000_000_000 else {
            throw Problem(sentence: "its price is out of range.")
        }
        return NSDecimalNumber(decimal: value).rounding(accordingToBehavior: fifteenDecimals).decimalValue
    }

    private static let fifteenDecimals = NSDecimalNumberHandler(
        roundingMode: .plain, scale: 15, raiseOnExactness: false, raiseOnOverflow: false, raiseOnUnderflow: false,
        raiseOnDivideByZero: false)

    private static func tokens(_ value: Int?) throws(Problem) -> Int? {
        guard let value else { return nil }
        guard value >= 0, value <= Int(Int32.max) else {
            throw Problem(sentence: "its context length is out of range.")
        }
        return value
    }
}

/// What a listing changes in the catalogue.
struct ModelChanges: Sendable {
    /// Not known before.
    var added: [ModelDescription] = []
    /// Known, but described differently or thought unavailable.
    var updated: [ModelDescription] = []
    /// Those of them that were unavailable.
    var back: [String] = []
    /// Known and listed.
    var seen: [String] = []
    /// Known as available, or on the way out, and not listed.
    var missing: [String] = []

    init(from known: [Model], to listing: ModelListing, forced: Bool) {
        let byId = Dictionary(known.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        for model in listing.models {
            guard let old = byId[model.id] else {
                added.append(model)
                continue
            }
            if forced || old.model != model || old.availability == .unavailable {
                updated.append(model)
            }
            if old.availability == .unavailable { back.append(model.id) }
        }
        seen = known.map(\.id).filter(listing.names.contains)
        missing = known.filter { $0.availability == .available && !listing.names.contains($0.id) }.map(\.id)
    }

    /// Whether so many models are gone that the listing, rather than LiteLLM, is to be doubted.
    func isDoubtful(limit: Double, known: [Model]) -> Bool {
        let available = known.count { $0.availability == .available }
        return Double(missing.count) > Double(available) * limit
    }
}
