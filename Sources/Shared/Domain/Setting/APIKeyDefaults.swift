package import Foundation

/// What people who make keys for themselves get unless they say otherwise, and the most that they may ask for.
package struct APIKeyDefaults: StoredSetting {
    package static let key = "api_key_defaults"

    /// What a field gets that is not set; nil for nothing.
    package var defaults = Defaults()
    /// The most that a field may be set to; nil for no maximum.
    package var maximums = Maximums()

    /// Neither defaults nor maximums.
    package init() {}

    /// Values for fields that are not set.
    package struct Defaults: Codable, Sendable, Equatable {
        /// In the operator's currency.
        package var maxBudget: Decimal?
        /// Tokens a minute.
        package var tpmLimit: Int?
        /// Requests a minute.
        package var rpmLimit: Int?
        /// When the budget starts anew: `monthly`, `30d`.
        package var budgetDuration: String?
        /// From which spend on the owner is warned.
        package var softBudget: Decimal?
        /// How long a key lives.
        package var expirationDays: Int?

        /// None.
        package init() {}
    }

    /// Upper bounds.
    package struct Maximums: Codable, Sendable, Equatable {
        /// In the operator's currency.
        package var maxBudget: Decimal?
        /// Tokens a minute.
        package var tpmLimit: Int?
        /// Requests a minute.
        package var rpmLimit: Int?
        /// How long a key may live.
        package var expirationDays: Int?

        /// None.
        package init() {}
    }
}

/// What a key may spend and how long it lives, as somebody wishes it.
package struct KeyAllowance: Sendable, Equatable {
    /// Nil fields are not set.
    package var limits: SpendingLimits
    /// In the operator's currency; nil when it is not set.
    package var softBudget: Decimal?
    /// Nil when it is not set.
    package var expiresAt: Date?

    /// What is not named is not set.
    package init(limits: SpendingLimits = SpendingLimits(), softBudget: Decimal? = nil, expiresAt: Date? = nil) {
        self.limits = limits
        self.softBudget = softBudget
        self.expiresAt = expiresAt
    }
}

/// One value that a setting does not allow.
package struct SettingViolation: Error, Sendable, Equatable {
    /// The field, in the API's spelling.
    package let field: String
    /// What would be right, to be read after the field's name.
    package let message: String

    /// A violation.
    package init(field: String, message: String) {
        self.field = field
        self.message = message
    }
}

extension APIKeyDefaults {
    private static let day: TimeInterval = 86_400
    /// How far a client's clock may run ahead of ours.
    private static let clockTolerance: TimeInterval = 60

    /// The allowance with every field set that is not: to its default, else to its maximum, as a key without a limit
    /// would exceed any. Where there is neither, the field stays unset.
    package func filled(_ wish: KeyAllowance, now: Date) -> KeyAllowance {
        var filled = wish
        filled.limits.maxBudget = wish.limits.maxBudget ?? defaults.maxBudget ?? maximums.maxBudget
        filled.limits.tpmLimit = wish.limits.tpmLimit ?? defaults.tpmLimit ?? maximums.tpmLimit
        filled.limits.rpmLimit = wish.limits.rpmLimit ?? defaults.rpmLimit ?? maximums.rpmLimit
        filled.limits.budgetDuration = wish.limits.budgetDuration ?? defaults.budgetDuration
        if wish.softBudget == nil, let soft = defaults.softBudget {
            // A warning above the budget would never come.
            filled.softBudget = filled.limits.maxBudget.map { min(soft, $0) } ?? soft
        }
        if wish.expiresAt == nil, let days = defaults.expirationDays ?? maximums.expirationDays {
            filled.expiresAt = now.addingTimeInterval(TimeInterval(days) * Self.day)
        }
        return filled
    }

    /// Every field that exceeds its maximum. A field that is not set has no limit and so exceeds any maximum: fill the
    /// allowance of a new key first, and of a key that is changed pass all fields as they are to be.
    package func violations(of wish: KeyAllowance, now: Date) -> [SettingViolation] {
        var violations: [SettingViolation] = []
        func check<Value: Comparable>(_ field: String, _ value: Value?, _ maximum: Value?) {
            guard let maximum else { return }
            if let value {
                guard value > maximum else { return }
                violations.append(SettingViolation(field: field, message: "must be at most \(maximum)"))
            } else {
                violations.append(SettingViolation(field: field, message: "must be set, to at most \(maximum)"))
            }
        }
        check("maxBudget", wish.limits.maxBudget, maximums.maxBudget)
        check("tpmLimit", wish.limits.tpmLimit, maximums.tpmLimit)
        check("rpmLimit", wish.limits.rpmLimit, maximums.rpmLimit)
        if maximums.maxBudget != nil, let period = wish.limits.budgetDuration {
            // A budget that starts anew every second has no maximum.
            let shortest = defaults.budgetDuration ?? "monthly"
            if let seconds = BudgetDuration.seconds(period), let least = BudgetDuration.seconds(shortest),
                seconds < least
            {
                violations.append(
                    SettingViolation(field: "budgetDuration", message: "must not be shorter than \(shortest)"))
            }
        }
        if let days = maximums.expirationDays {
            let latest = now.addingTimeInterval(TimeInterval(days) * Self.day + Self.clockTolerance)
            switch wish.expiresAt {
            case nil:
                violations.append(
                    SettingViolation(
                        field: "expiresAt", message: "must be set: a key may live for at most \(days) days"))
            case .some(let date) where date > latest:
                violations.append(
                    SettingViolation(field: "expiresAt", message: "must be at most \(days) days from now"))
            case .some: break
            }
        }
        return violations
    }

    /// Every default that exceeds its maximum, that is malformed, or that contradicts another one.
    package var contradictions: [SettingViolation] {
        var violations: [SettingViolation] = []
        func check<Value: Comparable>(_ field: String, _ value: Value?, _ maximum: Value?, _ maximumField: String) {
            guard let value, let maximum, value > maximum else { return }
            violations.append(
                SettingViolation(
                    field: "defaults.\(field)", message: "must be at most \(maximum), which is \(maximumField)"))
        }
        check("maxBudget", defaults.maxBudget, maximums.maxBudget, "maximums.maxBudget")
        check("tpmLimit", defaults.tpmLimit, maximums.tpmLimit, "maximums.tpmLimit")
        check("rpmLimit", defaults.rpmLimit, maximums.rpmLimit, "maximums.rpmLimit")
        check("expirationDays", defaults.expirationDays, maximums.expirationDays, "maximums.expirationDays")
        check("softBudget", defaults.softBudget, defaults.maxBudget, "defaults.maxBudget")
        check("softBudget", defaults.softBudget, maximums.maxBudget, "maximums.maxBudget")
        if let period = defaults.budgetDuration, BudgetDuration.litellm(period) == nil {
            violations.append(
                SettingViolation(field: "defaults.budgetDuration", message: "must be \(BudgetDuration.form)"))
        }
        return violations
    }
}
