import Foundation
import Shared

/// An API key as clients see it, without its secret.
///
/// `key` shows the wish at once: a key that was just asked for is active, one that was just deleted is gone.
struct KeyView: ResourceBody, JSONRepresentable {
    let key: APIKey
    /// The models of the key, as far as they are known.
    let models: [Model]
    let now: Date
    /// Adds what only the key's own page shows.
    var isDetailed = false

    func write(to json: inout JSONWriter) {
        json.object { json in writeMembers(to: &json) }
    }

    func writeMembers(to json: inout JSONWriter) {
        writeIdentity(to: &json)
        writeState(to: &json)
        writeLimits(to: &json)
        if isDetailed { writeDetail(to: &json) }
    }

    private func writeIdentity(to json: inout JSONWriter) {
        json.member("id", key.id)
        json.member("userId", key.userId)
        json.member("teamId", key.teamId)
        json.member("name", key.name)
        json.member("keyPrefix", key.prefix)
        json.member("prefix", key.prefix)
        json.member("keyPreview", "\(key.prefix)...")
        json.member("isLiteLLMKey", true)
        json.member("keyAlias", key.alias)
        json.member("subscriptionId", key.subscriptionId)
        json.member("models", models(of: key))
        let known = Dictionary(models.map { ($0.id, $0) }, uniquingKeysWith: { first, _ in first })
        json.name("modelDetails")
        json.array(models(of: key)) { json, id in
            json.object { json in
                json.member("id", id)
                json.member("name", id)
                json.member("provider", known[id]?.model.provider ?? "unknown")
                json.member("contextLength", known[id]?.model.contextLength)
            }
        }
        if key.metadata.objectValue?.isEmpty == false { json.member("metadata", key.metadata) }
        if key.permissions.objectValue?.isEmpty == false { json.member("permissions", key.permissions) }
        if !key.tags.isEmpty { json.member("tags", key.tags) }
        if !key.labels.isEmpty { json.member("labels", key.labels) }
    }

    /// What it can be used for: of a key that was taken away, what it could.
    private func models(of key: APIKey) -> [String] { key.isActive ? key.grantedModelIds : key.modelIds }

    private func writeState(to json: inout JSONWriter) {
        json.member("isActive", key.isUsable(at: now))
        json.member("createdAt", key.createdAt)
        json.member("updatedAt", key.updatedAt)
        json.member("expiresAt", key.expiresAt)
        json.member("lastUsedAt", key.lastUsedAt)
        json.member("revokedAt", key.revokedAt)
        json.member("rotatedAt", key.rotatedAt)
        let suspended = key.modelIds.filter { !key.grantedModelIds.contains($0) }
        if key.isActive, !suspended.isEmpty { json.member("suspendedModels", suspended) }
        json.member("syncStatus", key.sync.status.rawValue)
        json.member("syncError", key.sync.error.map { SyncErrorView(error: $0) })
        json.member("lastJobId", key.sync.lastJobId.map { String($0) })
        if !key.warnings.isEmpty {
            json.name("warnings")
            json.array(key.warnings) { json, warning in
                json.object { json in
                    json.member("code", warning.code)
                    json.member("field", warning.field)
                    json.member("message", warning.message)
                }
            }
        }
    }

    private func writeLimits(to json: inout JSONWriter) {
        json.member("maxBudget", key.limits.spending.maxBudget)
        json.member("softBudget", key.limits.softBudget)
        json.member("budgetDuration", key.limits.spending.budgetDuration)
        json.member("currentSpend", key.currentSpend)
        json.member("spendTakenAt", key.spendTakenAt)
        json.member("budgetResetAt", key.budgetResetAt)
        if let budget = key.limits.spending.maxBudget, let spend = key.currentSpend, budget > 0 {
            json.member("budgetUtilization", spend / budget * 100)
        }
        json.member("tpmLimit", key.limits.spending.tpmLimit)
        json.member("rpmLimit", key.limits.spending.rpmLimit)
        json.member("maxParallelRequests", key.limits.maxParallelRequests)
        json.member("modelMaxBudget", key.limits.modelMaxBudget)
        json.member("modelRpmLimit", key.limits.modelRpmLimit)
        json.member("modelTpmLimit", key.limits.modelTpmLimit)
    }

    private func writeDetail(to json: inout JSONWriter) {
        json.member("liteLLMKeyId", key.hash)
        // What LiteLLM was last seen to have.
        guard key.sync.versionApplied > 0 else { return }
        json.member("liteLLMInfo") { json in
            json.member("key_name", key.alias)
            json.member("max_budget", key.limits.spending.maxBudget)
            json.member("current_spend", key.currentSpend)
            json.member("models", key.modelIds)
            json.member("tpm_limit", key.limits.spending.tpmLimit)
            json.member("rpm_limit", key.limits.spending.rpmLimit)
        }
    }
}

/// A key that was deleted.
struct DeletedKeyView: ResourceBody {
    let key: APIKey

    func writeMembers(to json: inout JSONWriter) {
        json.member("message", "API key deleted")
        json.member("id", key.id)
        json.member("deletedAt", key.revokeRequestedAt)
        json.member("isActive", false)
        json.member("revokedAt", key.revokedAt)
        json.member("syncStatus", key.sync.status.rawValue)
        json.member("syncError", key.sync.error.map { SyncErrorView(error: $0) })
    }
}

/// Why LiteLLM could not be brought into line with a resource.
struct SyncErrorView: JSONRepresentable {
    let error: SyncError

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("class", error.errorClass)
            json.member("code", error.code)
            json.member("message", error.message)
            json.member("at", error.at)
        }
    }
}
