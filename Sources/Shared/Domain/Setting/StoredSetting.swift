package import Foundation

/// Something that administrators set while the system runs. One row of `system_settings`.
package protocol StoredSetting: Codable, Sendable, Equatable {
    /// The row's key.
    static var key: String { get }
}

/// What new users may spend, where administrators have set it; nil leaves it to the configuration.
package struct NewUserLimits: StoredSetting {
    package static let key = "user_defaults"

    /// In the operator's currency.
    package var maxBudget: Decimal?
    /// Tokens a minute.
    package var tpmLimit: Int?
    /// Requests a minute.
    package var rpmLimit: Int?

    /// Nothing set.
    package init(maxBudget: Decimal? = nil, tpmLimit: Int? = nil, rpmLimit: Int? = nil) {
        self.maxBudget = maxBudget
        self.tpmLimit = tpmLimit
        self.rpmLimit = rpmLimit
    }

    /// The limits of a new user, with the configuration's where nothing is set.
    package func limits(otherwise configured: SpendingLimits) -> SpendingLimits {
        var limits = configured
        limits.maxBudget = maxBudget ?? configured.maxBudget
        limits.tpmLimit = tpmLimit ?? configured.tpmLimit
        limits.rpmLimit = rpmLimit ?? configured.rpmLimit
        return limits
    }
}

/// How money is shown to people; nothing is converted.
package struct Currency: StoredSetting {
    package static let key = "currency"

    /// As ISO 4217 has it.
    package var code: String
    /// Beside amounts.
    package var symbol: String
    /// In English.
    package var name: String

    /// A currency.
    package init(code: String, symbol: String, name: String) {
        self.code = code
        self.symbol = symbol
        self.name = name
    }

    /// What LiteLLM counts in.
    package static let usDollar = Currency(code: "USD", symbol: "$", name: "US Dollar")

    /// Those that can be set, by code.
    package static let supported: [Currency] = [
        Currency(code: "AED", symbol: "د.إ", name: "UAE Dirham"),
        Currency(code: "AUD", symbol: "A$", name: "Australian Dollar"),
        Currency(code: "BRL", symbol: "R$", name: "Brazilian Real"),
        Currency(code: "CAD", symbol: "C$", name: "Canadian Dollar"),
        Currency(code: "CHF", symbol: "CHF", name: "Swiss Franc"),
        Currency(code: "CNY", symbol: "CN¥", name: "Chinese Yuan"),
        Currency(code: "CZK", symbol: "Kč", name: "Czech Koruna"),
        Currency(code: "DKK", symbol: "kr", name: "Danish Krone"),
        Currency(code: "EUR", symbol: "€", name: "Euro"),
        Currency(code: "GBP", symbol: "£", name: "British Pound"),
        Currency(code: "HKD", symbol: "HK$", name: "Hong Kong Dollar"),
        Currency(code: "HUF", symbol: "Ft", name: "Hungarian Forint"),
        Currency(code: "ILS", symbol: "₪", name: "Israeli New Shekel"),
        Currency(code: "INR", symbol: "₹", name: "Indian Rupee"),
        Currency(code: "JPY", symbol: "¥", name: "Japanese Yen"),
        Currency(code: "KRW", symbol: "₩", name: "South Korean Won"),
        Currency(code: "MXN", symbol: "MX$", name: "Mexican Peso"),
        Currency(code: "NOK", symbol: "kr", name: "Norwegian Krone"),
        Currency(code: "NZD", symbol: "NZ$", name: "New Zealand Dollar"),
        Currency(code: "PLN", symbol: "zł", name: "Polish Złoty"),
        Currency(code: "SEK", symbol: "kr", name: "Swedish Krona"),
        Currency(code: "SGD", symbol: "S$", name: "Singapore Dollar"),
        Currency(code: "TRY", symbol: "₺", name: "Turkish Lira"),
        usDollar,
        Currency(code: "ZAR", symbol: "R", name: "South African Rand"),
    ]
}
