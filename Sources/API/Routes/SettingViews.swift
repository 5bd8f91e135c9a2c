import Foundation
import Shared

/// Defaults and maximums of keys; what is not set is null.
struct APIKeyDefaultsView: ResourceBody, JSONRepresentable {
    let settings: APIKeyDefaults

    func write(to json: inout JSONWriter) {
        json.object { writeMembers(to: &$0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        let (defaults, maximums) = (settings.defaults, settings.maximums)
        json.member("defaults") { json in
            json.nullable("maxBudget", defaults.maxBudget)
            json.nullable("tpmLimit", defaults.tpmLimit)
            json.nullable("rpmLimit", defaults.rpmLimit)
            json.nullable("budgetDuration", defaults.budgetDuration)
            json.nullable("softBudget", defaults.softBudget)
            json.nullable("expirationDays", defaults.expirationDays)
        }
        json.member("maximums") { json in
            json.nullable("maxBudget", maximums.maxBudget)
            json.nullable("tpmLimit", maximums.tpmLimit)
            json.nullable("rpmLimit", maximums.rpmLimit)
            json.nullable("expirationDays", maximums.expirationDays)
        }
    }
}

/// Limits of new users; what is not set is null.
struct NewUserLimitsView: ResourceBody {
    let limits: NewUserLimits

    func writeMembers(to json: inout JSONWriter) {
        json.nullable("maxBudget", limits.maxBudget)
        json.nullable("tpmLimit", limits.tpmLimit)
        json.nullable("rpmLimit", limits.rpmLimit)
    }
}

/// A currency.
struct CurrencyView: ResourceBody, JSONRepresentable {
    let currency: Currency

    func write(to json: inout JSONWriter) {
        json.object { writeMembers(to: &$0) }
    }

    func writeMembers(to json: inout JSONWriter) {
        json.member("code", currency.code)
        json.member("symbol", currency.symbol)
        json.member("name", currency.name)
    }
}

/// How much one look at everybody's usage may show, in LiteMaaS's shape.
struct AnalyticsLimitsView: ResourceBody {
    let limits: AnalyticsLimits

    func writeMembers(to json: inout JSONWriter) {
        json.member("pagination") { json in
            json.member("defaultPageSize", limits.pageSizes.usual)
            json.member("maxPageSize", limits.pageSizes.largest)
            json.member("minPageSize", limits.pageSizes.smallest)
        }
        json.member("topLimits") { json in
            json.member("users", limits.topUsers)
            json.member("models", limits.topModels)
            json.member("providers", limits.topProviders)
        }
        json.member("dateRangeLimits") { json in
            json.member("maxAnalyticsDays", limits.maxDays)
            json.member("maxExportDays", limits.maxExportDays)
        }
        json.member("warnings") { json in json.member("largeDateRangeDays", limits.largeRangeDays) }
        json.member("trends") { json in json.member("calculationPrecision", limits.trendDigits) }
        json.member("export") { json in json.member("maxRows", limits.maxExportRows) }
    }
}

extension JSONWriter {
    /// A member that is null when there is no value.
    mutating func nullable(_ name: String, _ value: Decimal?) {
        if let value { member(name, value) } else { nullMember(name) }
    }

    /// A member that is null when there is no value.
    mutating func nullable(_ name: String, _ value: Int?) {
        if let value { member(name, value) } else { nullMember(name) }
    }

    /// A member that is null when there is no value.
    mutating func nullable(_ name: String, _ value: String?) {
        if let value { member(name, value) } else { nullMember(name) }
    }

    /// A member that is null when there is no value.
    mutating func nullable(_ name: String, _ value: Date?) {
        if let value { member(name, value) } else { nullMember(name) }
    }
}
