import Foundation
import Shared

extension ManagedModel {
    /// What to create or set in LiteLLM.
    func litellmSpec(_ spec: ModelSpec, key: Secret?, intent jobId: Int64) -> LiteLLMDeploymentSpec {
        var wanted = LiteLLMDeploymentSpec(
            id: deploymentId, name: modelId, model: spec.target,
            marker: LiteLLMMarker(
                .model, id: modelId, intentId: String(jobId), version: Int(sync.versionWanted)))
        wanted.apiBase = spec.apiBase
        wanted.apiKey = key
        wanted.inputCostPerToken = spec.inputCostPerToken
        wanted.outputCostPerToken = spec.outputCostPerToken
        wanted.tpm = spec.tpm
        wanted.rpm = spec.rpm
        wanted.maxTokens = spec.maxTokens
        wanted.mode = spec.mode
        wanted.capabilities = spec.capabilities
        return wanted
    }

    /// The fields in which LiteLLM's deployment is not as wanted, sorted; what nobody has set may be as it likes. The
    /// provider's key is never shown and so never among them.
    func differences(_ spec: ModelSpec, from found: LiteLLMDeployment) -> [String] {
        func differs<Value: Equatable>(_ wanted: Value?, _ found: Value?) -> Bool { wanted != nil && wanted != found }
        var fields: [String] = []
        if found.name != modelId { fields.append("model_name") }
        if differs(spec.target, found.model) { fields.append("backend_model_name") }
        if differs(spec.apiBase, found.apiBase) { fields.append("api_base") }
        if differs(spec.inputCostPerToken, found.inputCostPerToken) { fields.append("input_cost_per_token") }
        if differs(spec.outputCostPerToken, found.outputCostPerToken) { fields.append("output_cost_per_token") }
        if differs(spec.tpm, found.tpm) { fields.append("tpm") }
        if differs(spec.rpm, found.rpm) { fields.append("rpm") }
        if differs(spec.maxTokens, found.maxTokens) { fields.append("max_tokens") }
        if differs(spec.mode, found.mode) { fields.append("mode") }
        for (name, wanted) in spec.capabilities where wanted != found.capabilities.contains(name) {
            fields.append("supports_\(name)")
        }
        let marker = found.marker
        if marker?.resource != .model || marker?.id != modelId || (marker?.version ?? 0) < Int(sync.versionWanted) {
            fields.append("marker")
        }
        return fields.sorted()
    }
}
