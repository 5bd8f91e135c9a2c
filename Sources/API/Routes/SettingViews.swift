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
}
