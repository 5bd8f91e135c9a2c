import Foundation
import NIOCore
import Shared

/// A response body that writes itself.
///
/// Answers are written straight into bytes, not through `Encodable`: on the read path the coder's containers cost
/// more than the rest of the request.
protocol JSONRepresentable: Sendable {
    /// Writes exactly one JSON value.
    func write(to json: inout JSONWriter)
}

/// Appends JSON tokens to a buffer. Members appear in the order in which they are written; what is nil is left out.
struct JSONWriter {
    private(set) var bytes: [UInt8] = []
    private var isFirst = true

    init(capacity: Int = 1024) {
        bytes.reserveCapacity(capacity)
    }

    /// The bytes of one value.
    static func bytes(of value: some JSONRepresentable) -> [UInt8] {
        var json = JSONWriter()
        value.write(to: &json)
        return json.bytes
    }

    /// An object whose members `body` writes.
    mutating func object(_ body: (inout JSONWriter) -> Void) {
        separate()
        bytes.append(UInt8(ascii: "{"))
        isFirst = true
        body(&self)
        bytes.append(UInt8(ascii: "}"))
        isFirst = false
    }

    /// An array with one value per element.
    mutating func array<Elements: Sequence>(
        _ elements: Elements, _ write: (inout JSONWriter, Elements.Element) -> Void
    ) {
        separate()
        bytes.append(UInt8(ascii: "["))
        isFirst = true
        for element in elements {
            write(&self, element)
        }
        bytes.append(UInt8(ascii: "]"))
        isFirst = false
    }

    mutating func value(_ value: String) {
        separate()
        appendQuoted(value)
    }

    mutating func value(_ value: Int) {
        separate()
        bytes.append(contentsOf: String(value).utf8)
    }

    mutating func value(_ value: Bool) {
        separate()
        bytes.append(contentsOf: (value ? "true" : "false").utf8)
    }

    /// What JSON cannot express (infinite, not a number) becomes null.
    mutating func value(_ value: Double) {
        separate()
        let text = Int64(exactly: value).map { String($0) } ?? (value.isFinite ? "\(value)" : "null")
        bytes.append(contentsOf: text.utf8)
    }

    mutating func value(_ value: Decimal) {
        separate()
        bytes.append(contentsOf: (value.isNaN ? "null" : value.description).utf8)
    }

    mutating func value(_ value: JSONValue) {
        separate()
        bytes.append(contentsOf: value.encodedString().utf8)
    }

    mutating func null() {
        separate()
        bytes.append(contentsOf: "null".utf8)
    }

    private mutating func separate() {
        if isFirst {
            isFirst = false
        } else {
            bytes.append(UInt8(ascii: ","))
        }
    }

    /// Starts a member; exactly one value must follow.
    mutating func name(_ name: String) {
        separate()
        appendQuoted(name)
        bytes.append(UInt8(ascii: ":"))
        isFirst = true
    }

    private mutating func appendQuoted(_ text: String) {
        bytes.append(UInt8(ascii: "\""))
        let needsEscape = text.utf8.contains { $0 < 0x20 || $0 == 0x22 || $0 == 0x5c || $0 == 0x7f }
        if needsEscape {
            for byte in text.utf8 {
                appendEscaped(byte)
            }
        } else {
            bytes.append(contentsOf: text.utf8)
        }
        bytes.append(UInt8(ascii: "\""))
    }

    private mutating func appendEscaped(_ byte: UInt8) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            bytes.append(UInt8(ascii: "\\"))
            bytes.append(byte)
        case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
        case UInt8(ascii: "\r"): bytes.append(contentsOf: #"\r"#.utf8)
        case UInt8(ascii: "\t"): bytes.append(contentsOf: #"\t"#.utf8)
        case 0..<0x20, 0x7f:
            bytes.append(contentsOf: #"\u00"#.utf8)
            bytes.append(contentsOf: hexString([byte]).utf8)
        default: bytes.append(byte)
        }
    }
}

extension JSONWriter {
    mutating func member(_ name: String, _ value: String?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Int?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Bool?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Double?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ value: Decimal?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    /// RFC 3339 in UTC with milliseconds.
    mutating func member(_ name: String, _ value: Date?) {
        guard let value else { return }
        self.name(name)
        self.value(ISO8601.string(from: value))
    }

    /// Lower case, as LiteMaaS spells ids.
    mutating func member(_ name: String, _ value: UUID?) {
        guard let value else { return }
        self.name(name)
        self.value(value.uuidString.lowercased())
    }

    mutating func member(_ name: String, _ value: JSONValue?) {
        guard let value else { return }
        self.name(name)
        self.value(value)
    }

    mutating func member(_ name: String, _ values: [String]?) {
        guard let values else { return }
        self.name(name)
        array(values) { json, value in json.value(value) }
    }

    mutating func member(_ name: String, _ value: (some JSONRepresentable)?) {
        guard let value else { return }
        self.name(name)
        value.write(to: &self)
    }

    mutating func member(_ name: String, _ values: [some JSONRepresentable]?) {
        guard let values else { return }
        self.name(name)
        array(values) { json, value in value.write(to: &json) }
    }

    mutating func member(_ name: String, _ body: (inout JSONWriter) -> Void) {
        self.name(name)
        object(body)
    }

    /// A member that clients expect even when there is nothing in it.
    mutating func nullMember(_ name: String) {
        self.name(name)
        null()
    }
}

/// An object whose members a closure writes; for answers that have no type of their own.
struct Members: JSONRepresentable {
    private let body: @Sendable (inout JSONWriter) -> Void

    init(_ body: @escaping @Sendable (inout JSONWriter) -> Void) {
        self.body = body
    }

    func write(to json: inout JSONWriter) {
        json.object(body)
    }
}

/// An array of values that write themselves.
struct Elements<Element: JSONRepresentable>: JSONRepresentable {
    let elements: [Element]

    func write(to json: inout JSONWriter) {
        json.array(elements) { json, element in element.write(to: &json) }
    }
}
