package import Foundation

/// A model as LiteLLM describes it; several deployments may serve it.
package struct ModelDescription: Sendable, Equatable {
    /// LiteLLM's public `model_name`: what keys and calls name.
    package var id: String
    /// Such as `openai`; `unknown` when LiteLLM does not say.
    package var provider: String
    /// The provider's own name of the model.
    package var backendModelName: String?
    /// Where the provider is reached; for admins only.
    package var apiBase: String?
    /// In tokens.
    package var contextLength: Int?
    /// In tokens.
    package var maxTokens: Int?
    /// Money for one token, 15 decimals at most.
    package var inputCostPerToken: Decimal?
    /// Money for one token, 15 decimals at most.
    package var outputCostPerToken: Decimal?
    /// Tokens a minute that the deployment takes.
    package var tpm: Int?
    /// Requests a minute that the deployment takes.
    package var rpm: Int?
    /// Takes images.
    package var supportsVision: Bool
    /// Calls functions.
    package var supportsFunctionCalling: Bool
    /// Calls several at once.
    package var supportsParallelFunctionCalling: Bool
    /// Lets the caller choose the function.
    package var supportsToolChoice: Bool
    /// Sorted: `chat`, `embeddings`, `convert`, `function_calling`, …
    package var features: [String]

    /// A model of which nothing is known but its name and provider, unless told otherwise.
    package init(
        id: String, provider: String, backendModelName: String? = nil, apiBase: String? = nil,
        contextLength: Int? = nil, maxTokens: Int? = nil, inputCostPerToken: Decimal? = nil,
        outputCostPerToken: Decimal? = nil, tpm: Int? = nil, rpm: Int? = nil, supportsVision: Bool = false,
        supportsFunctionCalling: Bool = false, supportsParallelFunctionCalling: Bool = false,
        supportsToolChoice: Bool = false, features: [String] = []
    ) {
        self.id = id
        self.provider = provider
        self.backendModelName = backendModelName
        self.apiBase = apiBase
        self.contextLength = contextLength
        self.maxTokens = maxTokens
        self.inputCostPerToken = inputCostPerToken
        self.outputCostPerToken = outputCostPerToken
        self.tpm = tpm
        self.rpm = rpm
        self.supportsVision = supportsVision
        self.supportsFunctionCalling = supportsFunctionCalling
        self.supportsParallelFunctionCalling = supportsParallelFunctionCalling
        self.supportsToolChoice = supportsToolChoice
        self.features = features
    }
}

/// Whether a model can be used.
package enum ModelAvailability: String, Sendable, Codable, CaseIterable, PostgresDecodable {
    /// LiteLLM lists it.
    case available
    /// Missing from two complete listings in a row, not there yet, or deleted.
    case unavailable
}

/// A model of our catalogue: what LiteLLM says of it and what is only ours.
package struct Model: Sendable, Equatable {
    /// LiteLLM's part.
    package var model: ModelDescription
    /// Ours: the synchronisation never touches it.
    package var description: String?
    /// Ours: keys for it need an approval.
    package var restrictedAccess: Bool
    /// Whether it can be used.
    package var availability: ModelAvailability
    /// Complete listings in a row that did not show it.
    package var absences: Int
    /// Always true as far as LiteLLM tells.
    package var supportsStreaming: Bool
    /// When somebody deleted it here; nil when it is there, or left by itself.
    package var deletedAt: Date?
    /// When it was first seen.
    package var createdAt: Date
    /// When it last changed.
    package var updatedAt: Date

    /// The public name.
    package var id: String { model.id }
}

/// One of the deployments that serve a model.
package struct ModelDeployment: Sendable, Equatable {
    /// LiteLLM's `model_info.id`.
    package var id: String
    /// The public name of the model.
    package var modelId: String
    /// Such as `openai`.
    package var provider: String
    /// The provider's own name of the model.
    package var backendModelName: String?
    /// Whether it lives in LiteLLM's database, and so can be changed there.
    package var isInDatabase: Bool

    /// A deployment.
    package init(id: String, modelId: String, provider: String, backendModelName: String?, isInDatabase: Bool) {
        self.id = id
        self.modelId = modelId
        self.provider = provider
        self.backendModelName = backendModelName
        self.isInDatabase = isInDatabase
    }
}

/// Which models a list shows.
package struct ModelFilter: Sendable {
    /// Part of the id or description, ignoring case.
    package var search: String?
    /// Such as `openai`.
    package var provider: String?
    /// One of the features.
    package var capability: String?
    /// Nil for both.
    package var availability: ModelAvailability?
    /// Which page.
    package var page = PageRequest()

    /// All models, first page.
    package init() {}
}

/// What one run of the synchronisation did.
package struct ModelSyncRecord: Sendable, Equatable {
    /// The job that ran it.
    package var jobId: Int64
    /// Whether everything was taken over.
    package var success: Bool
    /// Models that LiteLLM listed.
    package var total: Int
    /// Models that were new.
    package var added: Int
    /// Models that had changed.
    package var updated: Int
    /// Models that became unavailable.
    package var unavailable: Int
    /// Sentences that are safe to show.
    package var problems: [String]

    /// A record.
    package init(
        jobId: Int64, success: Bool, total: Int, added: Int, updated: Int, unavailable: Int, problems: [String]
    ) {
        self.jobId = jobId
        self.success = success
        self.total = total
        self.added = added
        self.updated = updated
        self.unavailable = unavailable
        self.problems = problems
    }
}
