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

/// The spellings of a budget's period.
package enum BudgetDuration {
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
