/// A JSON object; the order of its members means nothing.
typealias JSONObject = [String: JSON]

/// A JSON value as it stands on the wire. The two kinds of number are kept apart, because LiteLLM writes `10`
/// for a count and `10.0` for money.
enum JSON: Sendable, Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case double(Double)
    case string(String)
    case array([JSON])
    case object(JSONObject)
}

extension JSON {
    /// The string, or nil for any other kind of value.
    var string: String? { if case .string(let value) = self { value } else { nil } }

    /// The boolean, or nil for any other kind of value.
    var boolean: Bool? { if case .bool(let value) = self { value } else { nil } }

    /// Either kind of number as a double.
    var number: Double? {
        switch self {
        case .integer(let value): Double(value)
        case .double(let value): value
        default: nil
        }
    }

    /// A whole number, also when it is written with a fraction of zero.
    var wholeNumber: Int? {
        switch self {
        case .integer(let value): value
        case .double(let value): Int(exactly: value)
        default: nil
        }
    }

    /// The elements, or nil when this is no array.
    var elements: [JSON]? { if case .array(let value) = self { value } else { nil } }

    /// The members, or nil when this is no object.
    var members: JSONObject? { if case .object(let value) = self { value } else { nil } }

    /// The strings of an array; elements of another kind are left out.
    var strings: [String] { elements?.compactMap(\.string) ?? [] }

    var isNull: Bool { self == .null }

    /// The member `name` of an object; nil when absent or when this is no object.
    subscript(name: String) -> JSON? { members?[name] }

    /// A string, or null for nil.
    init(_ value: String?) { self = value.map(JSON.string) ?? .null }

    /// An array of strings.
    init(_ values: [String]) { self = .array(values.map(JSON.string)) }

    /// A number with a fraction, or null for nil.
    init(_ value: Double?) { self = value.map(JSON.double) ?? .null }

    /// A whole number, or null for nil.
    init(_ value: Int?) { self = value.map(JSON.integer) ?? .null }
}

extension JSON: ExpressibleByStringLiteral, ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral,
    ExpressibleByFloatLiteral, ExpressibleByArrayLiteral, ExpressibleByDictionaryLiteral, ExpressibleByNilLiteral
{
    init(stringLiteral value: String) { self = .string(value) }
    init(booleanLiteral value: Bool) { self = .bool(value) }
    init(integerLiteral value: Int) { self = .integer(value) }
    init(floatLiteral value: Double) { self = .double(value) }
    init(arrayLiteral elements: JSON...) { self = .array(elements) }
    init(nilLiteral: ()) { self = .null }

    init(dictionaryLiteral elements: (String, JSON)...) {
        self = .object(JSONObject(elements, uniquingKeysWith: { _, last in last }))
    }
}

extension JSONObject {
    /// This object with the members of `other` put over its own.
    func merged(with other: JSONObject) -> JSONObject { merging(other) { _, new in new } }
}
