import Foundation
import Shared

extension APIKeyLimits {
    /// Budgets by model as LiteLLM wants them; empty for none, nil when what is stored has another form.
    var litellmModelBudgets: [String: LiteLLMModelBudget]? {
        guard let modelMaxBudget, !modelMaxBudget.isNull else { return [:] }
        guard let members = modelMaxBudget.objectValue else { return nil }
        var budgets: [String: LiteLLMModelBudget] = [:]
        for (model, value) in members {
            guard let limit = value["budgetLimit"]?.decimalValue else { return nil }
            var period: String?
            if let text = value["timePeriod"]?.stringValue {
                guard let known = BudgetDuration.litellm(text) else { return nil }
                period = known
            }
            budgets[model] = LiteLLMModelBudget(limit: limit, period: period)
        }
        return budgets
    }

    /// Whole numbers by model; empty for none, nil when what is stored has another form.
    static func counts(_ json: JSONValue?) -> [String: Int]? {
        guard let json, !json.isNull else { return [:] }
        guard let members = json.objectValue else { return nil }
        let counts = members.compactMapValues(\.intValue)
        return counts.count == members.count ? counts : nil
    }
}

extension JSONValue {
    /// A number, by way of its shortest text, so that 0.1 stays 0.1.
    fileprivate var decimalValue: Decimal? {
        switch self {
        case .int(let value): Decimal(value)
        case .double(let value) where value.isFinite: Decimal(string: "\(value)", locale: Locale(identifier: "C"))
        default: nil
        }
    }
}

extension APIKey {
    /// How far a stored expiry may be from the wanted one: LiteLLM counts from the moment it gets the request.
    private static let expiryTolerance: TimeInterval = 300

    /// What makes the key in LiteLLM ours.
    func marker(intent jobId: Int64) -> LiteLLMMarker {
        let hasOwn = metadata.objectValue.map { !$0.isEmpty } ?? false
        return LiteLLMMarker(
            .key, id: id.text, intentId: String(jobId), version: Int(sync.versionWanted),
            client: hasOwn ? metadata : nil)
    }

    /// Whether LiteLLM's key carries our marker for this row.
    func owns(_ key: LiteLLMKey) -> Bool {
        key.marker?.resource == .key && key.marker?.id == id.text
    }

    /// What to send to LiteLLM.
    ///
    /// - Throws: ``JobFailure`` when the row cannot be expressed there.
    /// - Parameter isKnown: whether LiteLLM has the key already: one whose time is over ends there at once.
    func litellmSpec(intent jobId: Int64, now: Date, isKnown: Bool = false) throws(JobFailure) -> LiteLLMKeySpec {
        // One that is blocked may name models that its owner may not use: LiteLLM takes no models for all of them.
        guard let models = LiteLLMModelNames(grantedModelIds) ?? LiteLLMModelNames(modelIds) else {
            throw .permanent(code: "no_models", message: "The key has no model left, and LiteLLM takes none for all.")
        }
        guard let budgets = limits.litellmModelBudgets, let rpm = APIKeyLimits.counts(limits.modelRpmLimit),
            let tpm = APIKeyLimits.counts(limits.modelTpmLimit)
        else {
            throw .permanent(code: "invalid_limit", message: "A limit by model has a form that LiteLLM does not know.")
        }
        var spec = LiteLLMKeySpec(alias: alias, marker: marker(intent: jobId), models: models)
        spec.userId = userId.text
        spec.teamId = teamId?.text
        spec.maxBudget = limits.spending.maxBudget
        spec.softBudget = limits.softBudget
        spec.budgetDuration = limits.spending.budgetDuration.flatMap(BudgetDuration.litellm)
        spec.tpmLimit = limits.spending.tpmLimit
        spec.rpmLimit = limits.spending.rpmLimit
        spec.maxParallelRequests = limits.maxParallelRequests
        spec.modelMaxBudget = budgets
        spec.modelRpmLimit = rpm
        spec.modelTpmLimit = tpm
        if let expiresAt {
            let seconds = Int(expiresAt.timeIntervalSince(now).rounded(.up))
            guard seconds > 0 || isKnown else {
                throw .permanent(code: "key_expired", message: "The key's time was over before it could be created.")
            }
            spec.duration = "\(max(seconds, 1))s"
        }
        return spec
    }

    /// A blocked key in the place of this one, without limits: all it has to do is to be there first.
    func litellmTombstone(intent jobId: Int64) -> LiteLLMKeySpec {
        // A key may have lost all of its models by now, and LiteLLM would take an empty list for every model.
        let models = LiteLLMModelNames(modelIds) ?? LiteLLMModelNames("none")
        var spec = LiteLLMKeySpec(alias: alias, marker: marker(intent: jobId), models: models)
        spec.userId = userId.text
        spec.teamId = teamId?.text
        spec.blocked = true
        return spec
    }

    /// What LiteLLM does not do for the key although it works, as read back.
    func warnings(about key: LiteLLMKey) -> [APIKeyWarning] {
        let wanted = limits.litellmModelBudgets ?? [:]
        let stored = key.modelMaxBudget?.objectValue ?? [:]
        var warnings: [APIKeyWarning] = []
        if !wanted.keys.allSatisfy({ stored[$0] != nil }) {
            warnings.append(
                APIKeyWarning(
                    code: LiteLLMError.Code.enterpriseOnly, field: "modelMaxBudget",
                    message: "LiteLLM has no licence for budgets by model; the key works without them."))
        }
        if permissions.objectValue?.contains(where: { $0.value.boolValue == false }) == true {
            warnings.append(
                APIKeyWarning(
                    code: "not_enforced", field: "permissions",
                    message: "LiteLLM has no such permissions: they are kept here, and the key works without them."))
        }
        return warnings
    }

    /// The fields in which LiteLLM's key is not what this row wants; empty when it is. Budgets by model are not among
    /// them, as they need a licence: see ``warnings(about:)``.
    func differences(from key: LiteLLMKey) -> [String] {
        var fields: [String] = []
        func check(_ field: String, _ isEqual: Bool) {
            if !isEqual { fields.append(field) }
        }
        check("alias", key.alias == alias)
        check("userId", key.userId == userId.text)
        check("teamId", key.teamId == teamId?.text)
        check("models", grantedModelIds.isEmpty || Set(key.models) == Set(grantedModelIds))
        check("maxBudget", key.maxBudget == limits.spending.maxBudget)
        check("budgetDuration", key.budgetDuration == limits.spending.budgetDuration.flatMap(BudgetDuration.litellm))
        check("tpmLimit", key.tpmLimit == limits.spending.tpmLimit)
        check("rpmLimit", key.rpmLimit == limits.spending.rpmLimit)
        check("maxParallelRequests", key.maxParallelRequests == limits.maxParallelRequests)
        check("modelRpmLimit", key.modelRpmLimit == APIKeyLimits.counts(limits.modelRpmLimit))
        check("modelTpmLimit", key.modelTpmLimit == APIKeyLimits.counts(limits.modelTpmLimit))
        check("expiresAt", isSameExpiry(key.expires))
        check("permissions", key.permissions?.objectValue?.isEmpty ?? true)
        check("allowedRoutes", key.allowedRoutes == LiteLLMKey.routes)
        return fields
    }

    private func isSameExpiry(_ other: Date?, within tolerance: TimeInterval = expiryTolerance) -> Bool {
        guard let expiresAt, let other else { return expiresAt == nil && other == nil }
        return abs(expiresAt.timeIntervalSince(other)) <= tolerance
    }

    /// What makes LiteLLM's key all that this row wants.
    func litellmChange(of key: LiteLLMKey, from spec: LiteLLMKeySpec) -> LiteLLMKeyChange {
        var change = LiteLLMKeyChange()
        // Some releases refuse a key's own alias.
        if key.alias != spec.alias { change.alias = spec.alias }
        if !grantedModelIds.isEmpty { change.models = spec.models }
        // Metadata is replaced as a whole, and LiteLLM keeps the limits by model in there.
        change.marker = spec.marker
        change.modelRpmLimit = .set(spec.modelRpmLimit)
        change.modelTpmLimit = .set(spec.modelTpmLimit)
        change.userId = spec.userId
        if key.teamId != spec.teamId { change.teamId = FieldChange(desired: spec.teamId) }
        change.maxBudget = FieldChange(desired: spec.maxBudget)
        if key.softBudget != spec.softBudget { change.softBudget = FieldChange(desired: spec.softBudget) }
        // Sent again, it would begin a new period.
        if key.budgetDuration != spec.budgetDuration {
            change.budgetDuration = FieldChange(desired: spec.budgetDuration)
        }
        change.tpmLimit = FieldChange(desired: spec.tpmLimit)
        change.rpmLimit = FieldChange(desired: spec.rpmLimit)
        change.maxParallelRequests = FieldChange(desired: spec.maxParallelRequests)
        let budgets = key.modelMaxBudget?.objectValue ?? [:]
        if !spec.modelMaxBudget.isEmpty || !budgets.isEmpty { change.modelMaxBudget = .set(spec.modelMaxBudget) }
        change.clearsPermissions = key.permissions?.objectValue?.isEmpty == false
        change.setsRoutes = key.allowedRoutes != LiteLLMKey.routes
        // LiteLLM counts the time left from when it gets the request.
        if !isSameExpiry(key.expires, within: 5) { change.duration = FieldChange(desired: spec.duration) }
        return change
    }

    /// What sets these fields right. Metadata stays: it holds LiteLLM's own limits by model too.
    func litellmChange(of fields: [String], from spec: LiteLLMKeySpec) -> LiteLLMKeyChange {
        var change = LiteLLMKeyChange()
        for field in fields {
            switch field {
            case "alias": change.alias = spec.alias
            case "userId": change.userId = spec.userId
            case "teamId": change.teamId = FieldChange(desired: spec.teamId)
            case "models": change.models = spec.models
            case "maxBudget": change.maxBudget = FieldChange(desired: spec.maxBudget)
            case "budgetDuration": change.budgetDuration = FieldChange(desired: spec.budgetDuration)
            case "tpmLimit": change.tpmLimit = FieldChange(desired: spec.tpmLimit)
            case "rpmLimit": change.rpmLimit = FieldChange(desired: spec.rpmLimit)
            case "maxParallelRequests": change.maxParallelRequests = FieldChange(desired: spec.maxParallelRequests)
            case "modelRpmLimit": change.modelRpmLimit = .set(spec.modelRpmLimit)
            case "modelTpmLimit": change.modelTpmLimit = .set(spec.modelTpmLimit)
            case "expiresAt": change.duration = FieldChange(desired: spec.duration)
            case "permissions": change.clearsPermissions = true
            case "allowedRoutes": change.setsRoutes = true
            default: break
            }
        }
        return change
    }
}
