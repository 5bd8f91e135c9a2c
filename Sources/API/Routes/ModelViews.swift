import Foundation
import Shared

/// A model as clients see it. Where it is reached is for admins only.
struct ModelView: JSONRepresentable {
    let model: Model
    let showsBackend: Bool
    /// Made up, to be shown before LiteLLM was ever heard of.
    var isSample = false

    func write(to json: inout JSONWriter) {
        json.object { json in writeMembers(to: &json) }
    }

    func writeMembers(to json: inout JSONWriter) {
        writeSummary(to: &json)
        writeLimits(to: &json)
        writeFeatures(to: &json)
        json.member("createdAt", model.createdAt)
        json.member("updatedAt", model.updatedAt)
    }

    private func writeSummary(to json: inout JSONWriter) {
        json.member("id", model.id)
        json.member("name", model.id)
        json.member("provider", model.model.provider)
        json.member("description", model.description)
        json.member("capabilities", model.model.features)
        json.member("contextLength", model.model.contextLength)
        if let input = model.model.inputCostPerToken, let output = model.model.outputCostPerToken {
            json.member("pricing") { json in
                json.member("input", input)
                json.member("output", output)
                json.member("unit", "per_token")
            }
        }
        json.member("isActive", model.availability == .available)
        if isSample { json.member("isSample", true) }
        json.member("availability", model.availability.rawValue)
        json.member("restrictedAccess", model.restrictedAccess)
    }

    private func writeLimits(to json: inout JSONWriter) {
        json.member("inputCostPerToken", model.model.inputCostPerToken)
        json.member("outputCostPerToken", model.model.outputCostPerToken)
        json.member("maxTokens", model.model.maxTokens)
        guard showsBackend else { return }
        json.member("tpm", model.model.tpm)
        json.member("rpm", model.model.rpm)
        json.member("apiBase", model.model.apiBase)
        json.member("backendModelName", model.model.backendModelName)
    }

    private func writeFeatures(to json: inout JSONWriter) {
        json.member("supportsVision", model.model.supportsVision)
        json.member("supportsFunctionCalling", model.model.supportsFunctionCalling)
        json.member("supportsParallelFunctionCalling", model.model.supportsParallelFunctionCalling)
        json.member("supportsToolChoice", model.model.supportsToolChoice)
        json.member("supportsStreaming", model.supportsStreaming)
        json.member("supportsChat", model.model.features.contains("chat"))
        json.member("supportsEmbeddings", model.model.features.contains("embeddings"))
        json.member("supportsTokenize", model.model.features.contains("tokenize"))
        json.member("supportsConvert", model.model.features.contains("convert"))
    }
}

/// One model with what only its own page shows.
struct ModelDetailView: JSONRepresentable {
    let model: Model
    let deployments: [ModelDeployment]
    let showsBackend: Bool
    var isSample = false
    /// For admins: how far LiteLLM agrees; nil for a model that is not kept here.
    var managed: ManagedModel?

    func write(to json: inout JSONWriter) {
        json.object { json in
            ModelView(model: model, showsBackend: showsBackend, isSample: isSample).writeMembers(to: &json)
            json.member("metadata") { json in writeMetadata(to: &json) }
        }
    }

    private func writeMetadata(to json: inout JSONWriter) {
        json.member("litellmModelId", showsBackend ? deployments.first?.id : nil)
        json.member("deployments", deployments.count)
        json.member("maxTokens", model.model.maxTokens)
        json.member("supportsVision", model.model.supportsVision)
        json.member("supportsFunctionCalling", model.model.supportsFunctionCalling)
        json.member("supportsParallelFunctionCalling", model.model.supportsParallelFunctionCalling)
        json.member("supportsToolChoice", model.model.supportsToolChoice)
        guard showsBackend else { return }
        json.member("apiBase", model.model.apiBase)
        json.member("backendModelName", model.model.backendModelName)
        json.member("tpm", model.model.tpm)
        json.member("rpm", model.model.rpm)
        guard let managed else { return }
        json.member("isManaged", true)
        json.member("hasProviderKey", managed.hasKey)
        json.member("isBeingDeleted", managed.wanted == .absent)
        json.member("syncStatus", managed.sync.status.rawValue)
        json.member("syncError", managed.sync.error.map { SyncErrorView(error: $0) })
    }
}
