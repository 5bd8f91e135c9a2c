import Foundation

/// Reads members whose spelling differs between versions of LiteLLM: absent, null, a number as text, a whole number
/// with a fraction. What cannot be read counts as absent.
extension KeyedDecodingContainer {
    // Each `try?` here asks "is it of this type?"; the coder has no other way to ask.

    func text(_ key: Key) -> String? {
        if let value = try? decodeIfPresent(String.self, forKey: key) { return value }
        return integer(key).map(String.init)
    }

    /// `text` without the empty string and Python's "None".
    func name(_ key: Key) -> String? {
        text(key).flatMap { $0.isEmpty || $0 == "None" ? nil : $0 }
    }

    func integer(_ key: Key) -> Int? {
        if let value = try? decodeIfPresent(Int.self, forKey: key) { return value }
        guard let value = decimal(key) else { return nil }
        return Int(exactly: NSDecimalNumber(decimal: value).doubleValue.rounded())
    }

    /// Exact: taken from the digits of the document, not by way of a double.
    func decimal(_ key: Key) -> Decimal? {
        if let value = try? decodeIfPresent(Decimal.self, forKey: key) { return value }
        // Doubles too small for a decimal, such as 5e-324.
        if let value = try? decodeIfPresent(Double.self, forKey: key) { return abs(value) < 1e-100 ? 0 : nil }
        guard let text = try? decodeIfPresent(String.self, forKey: key) else { return nil }
        return Decimal(string: text, locale: Locale(identifier: "en_US_POSIX"))
    }

    func flag(_ key: Key) -> Bool? {
        if let value = try? decodeIfPresent(Bool.self, forKey: key) { return value }
        switch text(key)?.lowercased() {
        case "true", "1": return true
        case "false", "0": return false
        default: return nil
        }
    }

    func date(_ key: Key) -> Date? {
        guard let text = try? decodeIfPresent(String.self, forKey: key) else { return nil }
        return ISO8601.date(from: text)
    }

    func strings(_ key: Key) -> [String] {
        guard let value = try? decodeIfPresent([JSONValue].self, forKey: key) else { return [] }
        return value.compactMap(\.textValue)
    }

    /// An object; LiteLLM sometimes stores one as its JSON text.
    func json(_ key: Key) -> JSONValue? {
        guard let value = try? decodeIfPresent(JSONValue.self, forKey: key), !value.isNull else { return nil }
        guard let text = value.stringValue, text.hasPrefix("{") else { return value }
        return (try? JSON.decoder.decode(JSONValue.self, from: Data(text.utf8))) ?? value
    }

    func counts(_ key: Key) -> [String: Int] {
        guard let value = try? decodeIfPresent([String: JSONValue].self, forKey: key) else { return [:] }
        return value.compactMapValues(\.intValue)
    }

    func object<Value: Decodable>(_ key: Key, as type: Value.Type = Value.self) -> Value? {
        try? decodeIfPresent(type, forKey: key)
    }
}

/// A member name that need not be known beforehand.
struct AnyMember: CodingKey, ExpressibleByStringLiteral {
    let stringValue: String
    var intValue: Int? { nil }

    init(stringValue: String) { self.stringValue = stringValue }
    init(stringLiteral value: String) { stringValue = value }
    init?(intValue: Int) { nil }
}
