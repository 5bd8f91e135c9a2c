import Foundation
import Shared

extension Team {
    /// What to create in LiteLLM.
    func litellmSpec(intent jobId: Int64) -> LiteLLMTeamSpec {
        var spec = LiteLLMTeamSpec(id: id.text, alias: litellmAlias, marker: marker(intent: jobId))
        spec.models = allowedModels
        spec.maxBudget = limits.maxBudget
        spec.budgetDuration = limits.budgetDuration.flatMap(BudgetDuration.litellm)
        spec.tpmLimit = limits.tpmLimit
        spec.rpmLimit = limits.rpmLimit
        return spec
    }

    /// What to change in LiteLLM, and the names of the fields; nil when nothing differs.
    func litellmChange(of team: LiteLLMTeam, intent jobId: Int64) -> (change: LiteLLMTeamChange, fields: [String])? {
        var change = LiteLLMTeamChange()
        var fields: [String] = []
        if team.alias != litellmAlias {
            change.alias = litellmAlias
            fields.append("alias")
        }
        if Set(team.models) != Set(allowedModels) {
            change.models = allowedModels
            fields.append("allowedModels")
        }
        let differing = LimitChanges(
            from: limits, to: team.maxBudget, team.budgetDuration, team.tpmLimit, team.rpmLimit)
        change.maxBudget = differing.maxBudget
        change.budgetDuration = differing.budgetDuration
        change.tpmLimit = differing.tpmLimit
        change.rpmLimit = differing.rpmLimit
        fields += differing.fields
        if team.metadata.lacks(marker(intent: jobId)) {
            change.marker = marker(intent: jobId)
            fields.append("marker")
        }
        return fields.isEmpty ? nil : (change, fields)
    }

    private func marker(intent jobId: Int64) -> LiteLLMMarker {
        LiteLLMMarker(.team, id: id.text, intentId: String(jobId), version: Int(sync.versionWanted))
    }
}

extension User {
    /// LiteLLM's role of the user.
    private var litellmRole: String { roles.contains(.admin) ? "proxy_admin" : "internal_user" }

    /// The address of LiteLLM's user: the person's own, or one that reaches them and is nobody else's.
    var litellmEmail: String {
        hasSeparateEmail ? PlusAddress.make(email, tag: "litemaas-\(id.text.prefix(8))") : email
    }

    /// What to create in LiteLLM.
    func litellmSpec(intent jobId: Int64) -> LiteLLMUserSpec {
        var spec = LiteLLMUserSpec(id: id.text, marker: marker(intent: jobId), email: litellmEmail, role: litellmRole)
        spec.alias = fullName ?? username
        spec.maxBudget = limits.maxBudget
        spec.budgetDuration = limits.budgetDuration.flatMap(BudgetDuration.litellm)
        spec.tpmLimit = limits.tpmLimit
        spec.rpmLimit = limits.rpmLimit
        return spec
    }

    /// What to change in LiteLLM, and the names of the fields; nil when nothing differs.
    func litellmChange(of user: LiteLLMUser, intent jobId: Int64) -> (change: LiteLLMUserChange, fields: [String])? {
        var change = LiteLLMUserChange()
        var fields: [String] = []
        if user.email?.lowercased() != litellmEmail.lowercased() {
            change.email = litellmEmail
            fields.append("email")
        }
        if user.alias != fullName ?? username {
            change.alias = fullName ?? username
            fields.append("fullName")
        }
        if user.role != litellmRole {
            change.role = litellmRole
            fields.append("roles")
        }
        let differing = LimitChanges(
            from: limits, to: user.maxBudget, user.budgetDuration, user.tpmLimit, user.rpmLimit)
        change.maxBudget = differing.maxBudget
        change.budgetDuration = differing.budgetDuration
        change.tpmLimit = differing.tpmLimit
        change.rpmLimit = differing.rpmLimit
        fields += differing.fields
        if user.metadata.lacks(marker(intent: jobId)) {
            change.marker = marker(intent: jobId)
            fields.append("marker")
        }
        return fields.isEmpty ? nil : (change, fields)
    }

    private func marker(intent jobId: Int64) -> LiteLLMMarker {
        LiteLLMMarker(.user, id: id.text, intentId: String(jobId), version: Int(sync.versionWanted))
    }
}

/// Addresses that differ from a person's own and still reach them.
enum PlusAddress {
    /// `alice+tag@example.com`; at the end of what is no address.
    static func make(_ email: String, tag: String) -> String {
        guard let at = email.lastIndex(of: "@") else { return "\(email)+\(tag)" }
        return "\(email[..<at])+\(tag)\(email[at...])"
    }
}

/// The limits that differ, and what sets them right.
private struct LimitChanges {
    var maxBudget = FieldChange<Decimal>.keep
    var budgetDuration = FieldChange<String>.keep
    var tpmLimit = FieldChange<Int>.keep
    var rpmLimit = FieldChange<Int>.keep
    var fields: [String] = []

    init(from wanted: SpendingLimits, to budget: Decimal?, _ duration: String?, _ tpm: Int?, _ rpm: Int?) {
        let period = wanted.budgetDuration.flatMap(BudgetDuration.litellm)
        if wanted.maxBudget != budget {
            maxBudget = FieldChange(desired: wanted.maxBudget)
            fields.append("maxBudget")
        }
        if period != duration {
            budgetDuration = FieldChange(desired: period)
            fields.append("budgetDuration")
        }
        if wanted.tpmLimit != tpm {
            tpmLimit = FieldChange(desired: wanted.tpmLimit)
            fields.append("tpmLimit")
        }
        if wanted.rpmLimit != rpm {
            rpmLimit = FieldChange(desired: wanted.rpmLimit)
            fields.append("rpmLimit")
        }
    }
}

extension JSONValue? {
    /// Whether the metadata does not say that the object is the marker's row, in its version or a newer one.
    fileprivate func lacks(_ marker: LiteLLMMarker) -> Bool {
        guard let found = LiteLLMMarker(metadata: self) else { return true }
        return found.resource != marker.resource || found.id != marker.id || found.version < marker.version
    }
}
