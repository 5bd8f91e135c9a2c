import Foundation
import Shared

/// Reads the members of one JSON object and collects everything that is wrong with them, so that a client learns
/// of all faults at once.
///
/// A reader of a required member gives a placeholder when it finds a fault; `check()` throws before anybody can use
/// it. Members that nobody reads are ignored, as in LiteMaaS. `null` counts as absent.
struct Fields {
    /// Faults in the elements of an array that are named one by one.
    static let namedLimit = 50

    private let members: [String: JSONValue]
    private let path: String
    private(set) var problems: [FieldProblem] = []

    init(_ members: [String: JSONValue], path: String = "") {
        self.members = members
        self.path = path
    }

    /// Throws 400 with every fault found so far.
    func check() throws(APIError) {
        guard problems.isEmpty else { throw APIError.validation(problems) }
    }

    /// Adds a fault that a caller found in a member it has read.
    mutating func refuse(_ name: String, _ code: FieldProblem.Code, _ message: String) {
        problems.append(FieldProblem(field: path + name, message: message, code: code))
    }

    /// Whether the member is there with a value.
    func has(_ name: String) -> Bool {
        value(name) != nil
    }

    private func value(_ name: String) -> JSONValue? {
        guard let value = members[name], !value.isNull else { return nil }
        return value
    }

    private mutating func required<Value>(_ name: String, _ value: Value?, placeholder: Value) -> Value {
        if let value { return value }
        if self.value(name) == nil {
            refuse(name, .required, "is required")
        }
        return placeholder
    }

    /// Text of `length` characters.
    mutating func string(_ name: String, length: ClosedRange<Int> = 0...1000) -> String? {
        guard let value = value(name) else { return nil }
        guard let text = value.stringValue else {
            refuse(name, .type, "must be a string")
            return nil
        }
        guard length.contains(text.count) else {
            refuse(name, .length, "must have \(length.lowerBound) to \(length.upperBound) characters")
            return nil
        }
        return text
    }

    /// Text of which an empty one counts as null.
    mutating func text(_ name: String, length: ClosedRange<Int>) -> String? {
        string(name, length: length).flatMap { $0.isEmpty ? nil : $0 }
    }

    mutating func requiredString(_ name: String, length: ClosedRange<Int>) -> String {
        let text = string(name, length: length)
        return required(name, text, placeholder: "")
    }

    mutating func bool(_ name: String) -> Bool? {
        guard let value = value(name) else { return nil }
        guard let flag = value.boolValue else {
            refuse(name, .type, "must be true or false")
            return nil
        }
        return flag
    }

    /// A whole number within `range`.
    mutating func int(_ name: String, in range: ClosedRange<Int>) -> Int? {
        guard let value = value(name) else { return nil }
        guard let number = value.intValue else {
            refuse(name, .type, "must be a whole number")
            return nil
        }
        guard range.contains(number) else {
            refuse(name, .range, Self.rangeMessage(range.lowerBound, range.upperBound, Int.max))
            return nil
        }
        return number
    }

    /// A number within `range`, as the amount it stands for.
    mutating func amount(_ name: String, in range: ClosedRange<Double>) -> Decimal? {
        guard let value = value(name) else { return nil }
        guard let number = value.doubleValue else {
            refuse(name, .type, "must be a number")
            return nil
        }
        guard range.contains(number), let amount = Decimal(string: "\(number)") else {
            refuse(name, .range, "must be from \(Self.plain(range.lowerBound)) to \(Self.plain(range.upperBound))")
            return nil
        }
        return amount
    }

    /// A moment as RFC 3339.
    mutating func date(_ name: String) -> Date? {
        guard let value = value(name) else { return nil }
        guard let text = value.stringValue else {
            refuse(name, .type, "must be a string such as 2026-01-31T09:05:07Z")
            return nil
        }
        guard let date = ISO8601.date(from: text) else {
            refuse(name, .format, "must be a date and time such as 2026-01-31T09:05:07Z")
            return nil
        }
        return date
    }

    mutating func uuid(_ name: String) -> UUID? {
        guard let value = value(name) else { return nil }
        guard let text = value.stringValue, let id = UUID(uuidString: text) else {
            refuse(name, .format, "must be a UUID")
            return nil
        }
        return id
    }

    mutating func requiredUUID(_ name: String) -> UUID {
        let id = uuid(name)
        return required(name, id, placeholder: UUID())
    }

    /// A list of texts; one text alone counts as a list of one.
    mutating func strings(
        _ name: String, count: ClosedRange<Int>, length: ClosedRange<Int>
    ) -> [String]? {
        guard let value = value(name) else { return nil }
        let elements = value.stringValue.map { [JSONValue.string($0)] } ?? value.arrayValue
        guard let elements else {
            refuse(name, .type, "must be an array of strings")
            return nil
        }
        guard count.contains(elements.count) else {
            refuse(name, .length, "must have \(count.lowerBound) to \(count.upperBound) elements")
            return nil
        }
        var texts: [String] = []
        for (index, element) in elements.enumerated() {
            guard let text = element.stringValue else {
                refuse("\(name)[\(index)]", .type, "must be a string")
                return nil
            }
            guard length.contains(text.count) else {
                refuse(
                    "\(name)[\(index)]", .length,
                    "must have \(length.lowerBound) to \(length.upperBound) characters")
                return nil
            }
            texts.append(text)
        }
        return texts
    }

    mutating func requiredStrings(_ name: String, count: ClosedRange<Int>, length: ClosedRange<Int>) -> [String] {
        let texts = strings(name, count: count, length: length)
        return required(name, texts, placeholder: [])
    }

    /// A free JSON object, no longer than `bytes` when written out.
    mutating func object(_ name: String, bytes limit: Int = 16 * 1024) -> [String: JSONValue]? {
        guard let value = value(name) else { return nil }
        guard let members = value.objectValue else {
            refuse(name, .type, "must be an object")
            return nil
        }
        guard value.encodedString().utf8.count <= limit else {
            refuse(name, .length, "must not be longer than \(limit) bytes")
            return nil
        }
        return members
    }

    /// Reads a nested object with `body`; its faults are named with their whole path.
    mutating func nested<Value>(_ name: String, _ body: (inout Fields) -> Value) -> Value? {
        guard let members = object(name) else { return nil }
        var fields = Fields(members, path: "\(path)\(name).")
        let value = body(&fields)
        problems += fields.problems
        return value
    }

    /// Reads the elements of an array with `body`; faults are named with their whole path. Ends after some faults.
    mutating func elements<Value>(
        _ name: String, count: ClosedRange<Int>, _ body: (JSONValue, _ index: Int, inout Fields) -> Value?
    ) -> [Value]? {
        guard let value = value(name) else { return nil }
        guard let elements = value.arrayValue else {
            refuse(name, .type, "must be an array")
            return nil
        }
        guard count.contains(elements.count) else {
            refuse(name, .length, "must have \(count.lowerBound) to \(count.upperBound) elements")
            return nil
        }
        var values: [Value] = []
        for (index, element) in elements.enumerated() where problems.count < Self.namedLimit {
            var fields = Fields(element.objectValue ?? [:], path: "\(path)\(name)[\(index)].")
            if let value = body(element, index, &fields) { values.append(value) }
            problems += fields.problems
        }
        return values
    }

    private static func rangeMessage(_ lower: Int, _ upper: Int, _ unbounded: Int) -> String {
        upper == unbounded ? "must be at least \(lower)" : "must be from \(lower) to \(upper)"
    }

    private static func plain(_ number: Double) -> String {
        Int(exactly: number).map(String.init) ?? "\(number)"
    }
}
