package import Foundation

/// What LiteLLM's deployment of a model should be. What is nil is left as LiteLLM has it.
package struct ModelSpec: Sendable, Codable, Equatable {
    /// `provider/backend`; nil for an adopted deployment of which nobody has asked for another one.
    package var target: String?
    /// Base URL of the provider.
    package var apiBase: String?
    /// Money for one token, 15 decimals at most.
    package var inputCostPerToken: Decimal?
    /// Money for one token, 15 decimals at most.
    package var outputCostPerToken: Decimal?
    /// Tokens a minute.
    package var tpm: Int?
    /// Requests a minute.
    package var rpm: Int?
    /// Context length in tokens.
    package var maxTokens: Int?
    /// `chat` or `embedding`.
    package var mode: String?
    /// By LiteLLM's name without `supports_`: `vision`, `function_calling`, `convert`, ...
    package var capabilities: [String: Bool] = [:]

    /// Nothing is wanted in particular.
    package init() {}

    /// The part of the target behind the provider.
    package var backendModelName: String? {
        target.map { $0.split(separator: "/", maxSplits: 1).last.map(String.init) ?? $0 }
    }
}

/// Whether LiteLLM should have a model.
package enum ModelWish: String, Sendable, Codable, PostgresDecodable {
    /// With its specification.
    case present
    /// Not at all.
    case absent
}

/// A model that administrators keep here.
package struct ManagedModel: Sendable, Equatable {
    /// The public name.
    package var modelId: String
    /// LiteLLM's `model_info.id`.
    package var deploymentId: String
    /// Whether the deployment was made in LiteLLM.
    package var isAdopted: Bool
    /// Other deployments of the name that are to go with it.
    package var furtherIds: [String]
    /// Whether LiteLLM should have it.
    package var wanted: ModelWish
    /// Nil only when it is to be absent.
    package var spec: ModelSpec?
    /// The version that brought the provider's key; 0 when we have none.
    package var keyVersion: Int64
    /// The version whose key LiteLLM was sent.
    package var keyApplied: Int64
    /// How far LiteLLM agrees.
    package var sync: SyncState
    /// When it was put under our care.
    package var createdAt: Date
    /// When it last changed.
    package var updatedAt: Date

    /// Whether the provider's key rests here, sealed.
    package var hasKey: Bool { keyVersion > 0 }
    /// Whether LiteLLM does not have the newest key yet.
    package var isKeyPending: Bool { keyVersion > keyApplied }
}

/// The job that takes a model out of subscriptions and keys.
package struct ModelRetirementPlan: Sendable, Equatable {
    /// A `model.cascade` job.
    package var jobId: Int64
    /// When it is due.
    package var dueAt: Date
}
