package import Foundation

/// A model deployment as LiteLLM lists it. Several may share one public name.
package struct LiteLLMDeployment: Sendable, Equatable {
    /// Id of the deployment.
    package var id: String
    /// Public name, by which keys and requests name it.
    package var name: String
    /// `provider/backend` as given to LiteLLM.
    package var model: String?
    /// `custom_llm_provider`, else the part of `model` before the slash, else LiteLLM's own finding.
    package var provider: String?
    /// The part of `model` after the first slash.
    package var backendModel: String?
    /// Base URL of the provider; LiteLLM may leave it out.
    package var apiBase: String?
    /// `chat`, `embedding`, ...
    package var mode: String?
    /// Whether it lives in LiteLLM's database, and so can be changed and deleted, rather than in its configuration.
    package var isInDatabase: Bool
    /// Whether it is switched off.
    package var blocked: Bool
    /// Context length in tokens.
    package var maxTokens: Int?
    /// Tokens.
    package var maxInputTokens: Int?
    /// Tokens.
    package var maxOutputTokens: Int?
    /// Dollars.
    package var inputCostPerToken: Decimal?
    /// Dollars.
    package var outputCostPerToken: Decimal?
    /// Tokens per minute of the deployment.
    package var tpm: Int?
    /// Requests per minute of the deployment.
    package var rpm: Int?
    /// The `supports_*` members that are true, without that prefix: `vision`, `function_calling`, ...
    package var capabilities: Set<String>
    /// Creation, for those in the database.
    package var createdAt: Date?
    /// Last change, for those in the database.
    package var updatedAt: Date?
    /// Our marker; nil when we did not make it.
    package var marker: LiteLLMMarker?
}

/// A deployment to be made.
package struct LiteLLMDeploymentSpec: Sendable {
    /// Always chosen by us: without an id a repeated call makes a second deployment.
    package var id: String
    /// Public name.
    package var name: String
    /// `provider/backend`; nil in an update leaves what is there.
    package var model: String?
    /// Marks the deployment as ours.
    package var marker: LiteLLMMarker
    /// Base URL of the provider.
    package var apiBase: String?
    /// The provider's key.
    package var apiKey: Secret?
    /// Overrides the part of `model` before the slash.
    package var provider: String?
    /// Dollars.
    package var inputCostPerToken: Decimal?
    /// Dollars.
    package var outputCostPerToken: Decimal?
    /// Tokens per minute.
    package var tpm: Int?
    /// Requests per minute.
    package var rpm: Int?
    /// Context length in tokens.
    package var maxTokens: Int?
    /// `chat`, `embedding`, ...
    package var mode: String?
    /// Capabilities by name without `supports_`; all of them are sent, false ones too.
    package var capabilities: [String: Bool]

    /// A deployment without prices and limits.
    package init(id: String, name: String, model: String?, marker: LiteLLMMarker) {
        self.id = id
        self.name = name
        self.model = model
        self.marker = marker
        capabilities = [:]
    }
}

/// The body of `/model/new` and of the update, which merges.
struct DeploymentBody: Encodable {
    let spec: LiteLLMDeploymentSpec

    func encode(to encoder: any Encoder) throws {
        var body = encoder.container(keyedBy: AnyMember.self)
        try body.encode(spec.name, forKey: "model_name")
        var params = body.nestedContainer(keyedBy: AnyMember.self, forKey: "litellm_params")
        try params.encodeIfPresent(spec.model, forKey: "model")
        try params.encodeIfPresent(spec.apiBase, forKey: "api_base")
        try params.encodeIfPresent(spec.apiKey?.reveal(), forKey: "api_key")
        try params.encodeIfPresent(spec.provider, forKey: "custom_llm_provider")
        try params.encodeIfPresent(spec.inputCostPerToken, forKey: "input_cost_per_token")
        try params.encodeIfPresent(spec.outputCostPerToken, forKey: "output_cost_per_token")
        try params.encodeIfPresent(spec.tpm, forKey: "tpm")
        try params.encodeIfPresent(spec.rpm, forKey: "rpm")
        // Without its id an update would give the deployment a new one.
        var info = body.nestedContainer(keyedBy: AnyMember.self, forKey: "model_info")
        try info.encode(spec.id, forKey: "id")
        try info.encode(true, forKey: "db_model")
        try info.encode(spec.marker.metadata, forKey: "litemaas")
        try info.encodeIfPresent(spec.maxTokens, forKey: "max_tokens")
        try info.encodeIfPresent(spec.mode, forKey: "mode")
        for (name, value) in spec.capabilities {
            try info.encode(value, forKey: AnyMember(stringValue: "supports_\(name)"))
        }
    }
}

/// One entry of a model list.
struct DeploymentRow: Decodable {
    let deployment: LiteLLMDeployment

    init(from decoder: any Decoder) throws {
        let row = try decoder.container(keyedBy: AnyMember.self)
        let params = try row.nestedContainer(keyedBy: AnyMember.self, forKey: "litellm_params")
        let info = try row.nestedContainer(keyedBy: AnyMember.self, forKey: "model_info")
        guard let name = row.name("model_name"), let id = info.name("id") else {
            throw DecodingError.dataCorrupted(
                .init(codingPath: decoder.codingPath, debugDescription: "no model_name or id"))
        }
        let model = params.name("model")
        let parts = model?.split(separator: "/", maxSplits: 1).map(String.init) ?? []
        deployment = LiteLLMDeployment(
            id: id, name: name, model: model,
            provider: params.name("custom_llm_provider") ?? (parts.count == 2 ? parts[0] : nil)
                ?? info.name("litellm_provider"),
            backendModel: parts.last, apiBase: params.name("api_base"), mode: info.name("mode"),
            isInDatabase: info.flag("db_model") ?? false, blocked: row.flag("blocked") ?? false,
            maxTokens: info.integer("max_tokens"), maxInputTokens: info.integer("max_input_tokens"),
            maxOutputTokens: info.integer("max_output_tokens"),
            inputCostPerToken: info.decimal("input_cost_per_token") ?? params.decimal("input_cost_per_token"),
            outputCostPerToken: info.decimal("output_cost_per_token") ?? params.decimal("output_cost_per_token"),
            tpm: params.integer("tpm"), rpm: params.integer("rpm"), capabilities: Self.capabilities(of: info),
            createdAt: info.date("created_at"), updatedAt: info.date("updated_at"),
            marker: LiteLLMMarker(metadata: info.json("litemaas")))
    }

    private static func capabilities(of info: KeyedDecodingContainer<AnyMember>) -> Set<String> {
        let prefix = "supports_"
        let supported = info.allKeys.filter { $0.stringValue.hasPrefix(prefix) && info.flag($0) == true }
        return Set(supported.map { String($0.stringValue.dropFirst(prefix.count)) })
    }
}

/// A page of `/v2/model/info`, or all of `/v1/model/info`, which has no page numbers.
struct DeploymentListAnswer: Decodable {
    let deployments: [LiteLLMDeployment]
    let totalCount: Int?
    let totalPages: Int?

    init(from decoder: any Decoder) throws {
        let page = try decoder.container(keyedBy: AnyMember.self)
        deployments = try page.decode([DeploymentRow].self, forKey: "data").map(\.deployment)
        totalCount = page.integer("total_count")
        totalPages = page.integer("total_pages")
    }
}
