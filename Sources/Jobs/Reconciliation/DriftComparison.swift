import Foundation
package import Shared

/// An object and one way in which LiteLLM differs about it: what a decision is made for.
package struct DriftSubject: Codable, Hashable, Sendable {
    package var object: DriftObject
    /// Our id where there is a row here, otherwise LiteLLM's.
    package var id: String
    package var kind: DriftKind

    package init(object: DriftObject, id: String, kind: DriftKind) {
        self.object = object
        self.id = id
        self.kind = kind
    }
}

/// One difference that a look has shown.
struct DriftObservation: Sendable, Equatable {
    var kind: DriftKind
    var field = ""
    var wanted: String?
    var found: String?
    var litellmId: String?
    var name: String?

    init(
        _ kind: DriftKind, field: String = "", wanted: String? = nil, found: String? = nil, litellmId: String? = nil,
        name: String? = nil
    ) {
        self.kind = kind
        self.field = field
        self.wanted = wanted.map { String($0.prefix(500)) }
        self.found = found.map { String($0.prefix(500)) }
        self.litellmId = litellmId
        self.name = name
    }
}

extension ListedAPIKey {
    /// What LiteLLM's key is not as the row wants it.
    func observations(_ found: LiteLLMKey?) -> [DriftObservation] {
        func observation(_ kind: DriftKind, _ field: String = "", _ wanted: String? = nil, _ seen: String? = nil)
            -> DriftObservation
        {
            DriftObservation(
                kind, field: field, wanted: wanted, found: seen, litellmId: key.hash, name: found?.alias ?? key.alias)
        }
        let isLive = found.map { $0.status == .active } ?? false
        // Secrets that were rotated out are told from the key's own.
        let secret = token.role == .current ? "" : "secret \(token.hash.prefix(12))"
        guard isWanted else {
            return isLive && token.role != .next ? [observation(.alive, secret, "refused", "works")] : []
        }
        if isHeld, isLive { return [observation(.alive, secret, "blocked", "works")] }
        let isLost = key.sync.status == .failed && key.sync.error?.code == APIKey.lostCode
        guard token.role == .current, key.sync.isSynced || isLost else { return [] }
        guard let found, found.status != .deleted else {
            let isOver = key.expiresAt.map { $0 <= token.window.now } ?? false
            return isOver ? [] : [observation(.missing)]
        }
        var all = key.differences(from: found).map { field in
            let values = key.values(of: field, in: found)
            return observation(.differs, field, values.wanted, values.found)
        }
        if !isHeld, found.status == .blocked { all.append(observation(.differs, "blocked", "false", "true")) }
        if !key.owns(found) {
            all.append(observation(.differs, "marker", key.id.text, found.marker.map { $0.id } ?? "none"))
        }
        return all
    }
}

extension APIKey {
    /// The error of a key that LiteLLM does not have any more.
    static let lostCode = "key_lost"

    /// A field as it is wanted, and as LiteLLM has it.
    fileprivate func values(of field: String, in found: LiteLLMKey) -> (wanted: String?, found: String?) {
        let spending = limits.spending
        return switch field {
        case "alias": (alias, found.alias)
        case "userId": (userId.text, found.userId)
        case "teamId": (teamId?.text, found.teamId)
        case "models": (text(grantedModelIds), found.models.isEmpty ? "all models" : text(found.models))
        case "maxBudget": (text(spending.maxBudget), text(found.maxBudget))
        case "budgetDuration": (spending.budgetDuration.flatMap(BudgetDuration.litellm), found.budgetDuration)
        case "tpmLimit": (text(spending.tpmLimit), text(found.tpmLimit))
        case "rpmLimit": (text(spending.rpmLimit), text(found.rpmLimit))
        case "maxParallelRequests": (text(limits.maxParallelRequests), text(found.maxParallelRequests))
        case "modelRpmLimit": (text(APIKeyLimits.counts(limits.modelRpmLimit)), text(found.modelRpmLimit))
        case "modelTpmLimit": (text(APIKeyLimits.counts(limits.modelTpmLimit)), text(found.modelTpmLimit))
        case "expiresAt": (expiresAt.map(ISO8601.string(from:)), found.expires.map(ISO8601.string(from:)))
        case "permissions": ("none", found.permissions?.encodedString())
        case "allowedRoutes": (text(LiteLLMKey.routes), text(found.allowedRoutes))
        default: (nil, nil)
        }
    }
}

extension User {
    /// What LiteLLM's user is not as the row wants it.
    func observations(_ found: LiteLLMUser?) -> [DriftObservation] {
        guard sync.isSynced, sync.versionApplied > 0 else { return [] }
        guard let found else { return [DriftObservation(.missing, litellmId: id.text, name: litellmEmail)] }
        return (litellmChange(of: found, intent: 0)?.fields ?? []).map { field in
            let values: (String?, String?) =
                switch field {
                case "email": (litellmEmail, found.email)
                case "fullName": (fullName ?? username, found.alias)
                case "roles": (litellmSpec(intent: 0).role, found.role)
                case "marker": (id.text, found.marker?.id ?? "none")
                default:
                    limits.values(
                        of: field, found.maxBudget, found.budgetDuration, found.tpmLimit, found.rpmLimit)
                }
            return DriftObservation(
                .differs, field: field, wanted: values.0, found: values.1, litellmId: id.text, name: litellmEmail)
        }
    }
}

extension Team {
    /// What LiteLLM's team is not as the row wants it.
    ///
    /// - Parameters:
    ///   - present: members that are to be in it.
    ///   - departed: members that are not.
    func observations(_ found: LiteLLMTeam?, present: [UUID], departed: [UUID]) -> [DriftObservation] {
        func observation(
            _ kind: DriftKind, _ field: String = "", _ wanted: String? = nil, _ seen: String? = nil
        ) -> DriftObservation {
            DriftObservation(
                kind, field: field, wanted: wanted, found: seen, litellmId: id.text, name: litellmAlias)
        }
        guard sync.isSynced else { return [] }
        guard isActive else { return found == nil ? [] : [observation(.alive, "", "absent", "present")] }
        guard let found else { return [observation(.missing)] }
        var all = (litellmChange(of: found, intent: 0)?.fields ?? []).map { field in
            let values: (String?, String?) =
                switch field {
                case "alias": (litellmAlias, found.alias)
                case "allowedModels": (text(allowedModels), text(found.models))
                case "marker": (id.text, found.marker?.id ?? "none")
                default:
                    limits.values(
                        of: field, found.maxBudget, found.budgetDuration, found.tpmLimit, found.rpmLimit)
                }
            return observation(.differs, field, values.0, values.1)
        }
        // Everybody is in the default team, each by their own job.
        guard id != Team.defaultId else { return all }
        let members = Set(found.members)
        let lacking = present.filter { !members.contains($0.text) }.map { "lacks \($0.text)" }
        let surplus = departed.filter { members.contains($0.text) }.map { "has \($0.text)" }
        if !(lacking + surplus).isEmpty {
            all.append(observation(.differs, "members", "\(present.count) members", text(lacking + surplus)))
        }
        return all
    }
}

extension ManagedModel {
    /// What LiteLLM's deployment is not as the specification wants it.
    func observations(_ found: LiteLLMDeployment?) -> [DriftObservation] {
        guard wanted == .present, sync.isSynced, let spec else { return [] }
        guard let found else { return [DriftObservation(.missing, litellmId: deploymentId, name: modelId)] }
        return differences(spec, from: found).map { field in
            DriftObservation(.differs, field: field, litellmId: deploymentId, name: modelId)
        }
    }
}

extension SpendingLimits {
    fileprivate func values(
        of field: String, _ budget: Decimal?, _ duration: String?, _ tpm: Int?, _ rpm: Int?
    ) -> (String?, String?) {
        switch field {
        case "maxBudget": (text(maxBudget), text(budget))
        case "budgetDuration": (budgetDuration.flatMap(BudgetDuration.litellm), duration)
        case "tpmLimit": (text(tpmLimit), text(tpm))
        case "rpmLimit": (text(rpmLimit), text(rpm))
        default: (nil, nil)
        }
    }
}

private func text(_ names: [String]) -> String { names.sorted().joined(separator: ", ") }
private func text(_ amount: Decimal?) -> String? { amount.map { "\($0)" } }
private func text(_ count: Int?) -> String? { count.map { "\($0)" } }
private func text(_ counts: [String: Int]?) -> String? {
    counts?.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
}
