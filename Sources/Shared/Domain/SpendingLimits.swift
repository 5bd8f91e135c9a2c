package import Foundation

/// What a user, a team or a key may spend. Nil means no limit of that kind.
package struct SpendingLimits: Sendable, Equatable {
    /// In the operator's currency, as LiteLLM counts it.
    package var maxBudget: Decimal?
    /// When the budget starts anew, as the client wrote it: `monthly`, `30d`; nil for never.
    package var budgetDuration: String?
    /// Tokens a minute.
    package var tpmLimit: Int?
    /// Requests a minute.
    package var rpmLimit: Int?

    /// No limits unless told otherwise.
    package init(
        maxBudget: Decimal? = nil, budgetDuration: String? = nil, tpmLimit: Int? = nil, rpmLimit: Int? = nil
    ) {
        self.maxBudget = maxBudget
        self.budgetDuration = budgetDuration
        self.tpmLimit = tpmLimit
        self.rpmLimit = rpmLimit
    }

    init(row: PostgresRow) throws(PostgresError) {
        self.init(
            maxBudget: try row.get("max_budget"), budgetDuration: try row.get("budget_duration"),
            tpmLimit: try row.get("tpm_limit"), rpmLimit: try row.get("rpm_limit"))
    }
}

/// What somebody changes about limits; what is kept stays as it is.
package struct LimitsChange: Sendable, Equatable {
    /// In the operator's currency.
    package var maxBudget = FieldChange<Decimal>.keep
    /// When the budget starts anew.
    package var budgetDuration = FieldChange<String>.keep
    /// Tokens a minute.
    package var tpmLimit = FieldChange<Int>.keep
    /// Requests a minute.
    package var rpmLimit = FieldChange<Int>.keep

    /// Nothing.
    package init() {}

    /// The limits as they are to be.
    package func applied(to limits: SpendingLimits) -> SpendingLimits {
        SpendingLimits(
            maxBudget: maxBudget.applied(to: limits.maxBudget),
            budgetDuration: budgetDuration.applied(to: limits.budgetDuration),
            tpmLimit: tpmLimit.applied(to: limits.tpmLimit), rpmLimit: rpmLimit.applied(to: limits.rpmLimit))
    }
}

/// The spellings of a budget's period.
package enum BudgetDuration {
    /// How long it is, a month counted as 30 days; nil when `text` is no duration.
    package static func seconds(_ text: String) -> Int? {
        guard let known = litellm(text) else { return nil }
        let digits = known.prefix { $0.isNumber }
        let units = ["s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 7 * 86_400, "mo": 30 * 86_400]
        guard let count = Int(digits), let unit = units[String(known.dropFirst(digits.count))] else { return nil }
        return count * unit
    }

    /// The forms of a period, in words.
    package static let form = "daily, weekly, monthly, yearly or a number with s, m, h, d, w or mo"

    /// The spelling that LiteLLM understands; nil when `text` is no duration.
    ///
    /// Clients may say `daily`, `weekly`, `monthly`, `yearly` or a number with `s`, `m`, `h`, `d` or `mo`.
    package static func litellm(_ text: String) -> String? {
        switch text {
        case "daily": return "1d"
        case "weekly": return "7d"
        case "monthly": return "30d"
        case "yearly": return "365d"
        default:
            let digits = text.prefix { $0.isASCII && $0.isNumber }
            let unit = text.dropFirst(digits.count)
            guard (1...6).contains(digits.count), digits.contains(where: { $0 != "0" }),
                ["s", "m", "h", "d", "w", "mo"].contains(unit)
            else { return nil }
            return text
        }
    }
}
