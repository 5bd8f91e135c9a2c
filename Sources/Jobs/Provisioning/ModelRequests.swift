package import Foundation
package import Shared

/// A model that an administrator wants.
package struct NewModel: Sendable {
    /// The public name.
    package var modelId: String
    /// The provider's own name of it.
    package var backendModelName: String
    /// Ours, for people.
    package var description: String?
    /// Ours: needs an approval.
    package var restrictedAccess: Bool
    /// The provider's key; nil for one that wants none.
    package var apiKey: Secret?
    /// Prices, limits and capabilities.
    package var parameters: ModelParameters

    package init(
        modelId: String, backendModelName: String, parameters: ModelParameters, description: String? = nil,
        restrictedAccess: Bool = false, apiKey: Secret? = nil
    ) {
        self.modelId = modelId
        self.backendModelName = backendModelName
        self.parameters = parameters
        self.description = description
        self.restrictedAccess = restrictedAccess
        self.apiKey = apiKey
    }

    /// LiteLLM's name of what speaks to the endpoint.
    var provider: String { parameters.capabilities["convert"] == true ? ModelSpec.converter : "openai" }

    var spec: ModelSpec {
        var spec = ModelSpec()
        parameters.apply(to: &spec)
        spec.target = "\(provider)/\(backendModelName)"
        return spec
    }
}

/// What may be set of a model in LiteLLM; nil leaves it as it is.
package struct ModelParameters: Sendable, Equatable {
    package var apiBase: String?
    package var inputCostPerToken: Decimal?
    package var outputCostPerToken: Decimal?
    package var tpm: Int?
    package var rpm: Int?
    package var maxTokens: Int?
    /// By LiteLLM's name without `supports_`.
    package var capabilities: [String: Bool] = [:]

    package init() {}

    func apply(to spec: inout ModelSpec) {
        spec.apiBase = apiBase ?? spec.apiBase
        spec.inputCostPerToken = inputCostPerToken ?? spec.inputCostPerToken
        spec.outputCostPerToken = outputCostPerToken ?? spec.outputCostPerToken
        spec.tpm = tpm ?? spec.tpm
        spec.rpm = rpm ?? spec.rpm
        spec.maxTokens = maxTokens ?? spec.maxTokens
        spec.capabilities.merge(capabilities) { $1 }
        if let embeds = spec.capabilities["embeddings"] {
            spec.mode = embeds ? "embedding" : spec.capabilities["convert"] == true ? nil : "chat"
        }
    }
}

/// What an administrator changes about a model; what is nil stays.
package struct ModelChange: Sendable {
    package var backendModelName: String?
    package var description = FieldChange<String>.keep
    package var restrictedAccess: Bool?
    package var apiKey: Secret?
    package var parameters = ModelParameters()

    package init() {}

    /// Whether LiteLLM has to hear of it.
    package var reachesLiteLLM: Bool {
        backendModelName != nil || apiKey != nil || parameters != ModelParameters()
    }

    /// - Parameter adopted: the deployment that is taken over with this change; its provider and name stay.
    /// - Throws: ``ProvisioningError`` `invalidModel`.
    func apply(to spec: inout ModelSpec, adopted: ModelDeployment? = nil) throws {
        let converts = spec.capabilities["convert"] ?? false
        if let wanted = parameters.capabilities["convert"], wanted != converts, spec.target != nil {
            throw ProvisioningError(
                .invalidModel, "cannot be changed: another program serves such models; make a new one",
                field: "supports_convert")
        }
        parameters.apply(to: &spec)
        guard let backendModelName, adopted == nil || backendModelName != adopted?.backendModelName else { return }
        let provider = spec.target.flatMap { $0.split(separator: "/", maxSplits: 1).first.map(String.init) }
        let fallback = spec.capabilities["convert"] == true ? ModelSpec.converter : "openai"
        spec.target = "\(provider ?? adopted?.provider ?? fallback)/\(backendModelName)"
    }
}

extension ModelSpec {
    /// LiteLLM's provider for endpoints that convert documents.
    static let converter = "docling"
}
