import Foundation
import Shared

extension Fields {
    /// An amount that LiteLLM and the tables can hold.
    mutating func budget(_ name: String) -> Decimal? { amount(name, in: 0.0...9_999_999_999.0) }

    /// Tokens or requests a minute.
    mutating func rate(_ name: String) -> Int? { int(name, in: 0...Int(Int32.max)) }

    /// Something before and after one `@`, without spaces: whether it can be reached shows when mail is sent.
    mutating func requiredAddress(_ name: String) -> String {
        let text = requiredString(name, length: 3...255)
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        let isAddress =
            parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && !text.contains(where: \.isWhitespace)
        if !text.isEmpty, !isAddress { refuse(name, .format, "must be an e-mail address") }
        return text
    }

    /// Names of roles, each once; nil when there are none.
    mutating func roles(_ name: String = "roles") -> [Role]? {
        guard let names = strings(name, count: 1...10, length: 1...50) else { return nil }
        var roles: [Role] = []
        for (index, text) in names.enumerated() {
            if let role = Role(spelling: text) {
                if !roles.contains(role) { roles.append(role) }
            } else {
                let known = Role.allCases.map(\.rawValue).joined(separator: ", ")
                refuse("\(name)[\(index)]", .choice, "must be one of \(known)")
            }
        }
        return roles
    }
}

extension JSONBody {
    /// What a PATCH does to a member: `null` clears it, an absent one stays.
    func change<Value>(_ name: String, to value: Value?) -> FieldChange<Value> {
        members[name]?.isNull == true ? .clear : FieldChange(changed: value)
    }

    /// The limits that a body names, `null` for none; check the fields afterwards.
    func limitsChange(_ fields: inout Fields) -> LimitsChange {
        var wanted = LimitsChange()
        wanted.maxBudget = change("maxBudget", to: fields.budget("maxBudget"))
        wanted.tpmLimit = change("tpmLimit", to: fields.rate("tpmLimit"))
        wanted.rpmLimit = change("rpmLimit", to: fields.rate("rpmLimit"))
        wanted.budgetDuration = change("budgetDuration", to: fields.string("budgetDuration", length: 1...20))
        return wanted
    }

    /// The limits of a user that a body names, `null` for none.
    func limitChange() throws(APIError) -> UserChange {
        var fields = fields
        var wanted = UserChange()
        wanted.limits = limitsChange(&fields)
        try fields.check()
        guard wanted != UserChange() else {
            throw APIError.validation(
                "body", .required, "must name at least one of maxBudget, tpmLimit, rpmLimit, budgetDuration")
        }
        return wanted
    }
}
