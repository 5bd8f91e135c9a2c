/// Why a text is no JSON, and where.
package struct JSONSyntaxError: Error, Equatable {
    /// Bytes before the fault.
    package let offset: Int
    /// What is wrong there, as the end of a sentence.
    package let reason: String
}

/// Reads a document (RFC 8259), such as a request body, in one pass.
///
/// Stricter than the coder where the database is: no NUL characters, which it cannot store; no unpaired surrogates;
/// no numbers beyond a double; a bounded depth. Of equal keys the last one counts.
package struct JSONParser {
    /// How deep a document from outside may be.
    private static let depthOfBodies = 32

    private let bytes: [UInt8]
    private var index = 0
    private let depthLimit: Int
    private var depth = 0

    /// Parses one document. Throws `JSONSyntaxError`.
    package static func parse(_ bytes: [UInt8]) throws(JSONSyntaxError) -> JSONValue {
        try parse(bytes, depthLimit: depthOfBodies)
    }

    /// The same with another limit of depth.
    package static func parse(_ bytes: [UInt8], depthLimit: Int) throws(JSONSyntaxError) -> JSONValue {
        var parser = JSONParser(bytes: bytes, depthLimit: depthLimit)
        let value = try parser.value()
        parser.skipSpace()
        guard parser.index == bytes.count else { throw parser.error("there is more text after the value") }
        return value
    }

    private init(bytes: [UInt8], depthLimit: Int) {
        self.bytes = bytes
        self.depthLimit = depthLimit
    }

    private func error(_ reason: String) -> JSONSyntaxError {
        JSONSyntaxError(offset: index, reason: reason)
    }

    private var current: UInt8? {
        index < bytes.count ? bytes[index] : nil
    }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0a || byte == 0x0d || byte == 0x09 {
            index += 1
        }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard current == UInt8(ascii: character) else { return false }
        index += 1
        return true
    }

    private mutating func value() throws(JSONSyntaxError) -> JSONValue {
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object()
        case UInt8(ascii: "["): return try array()
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        case nil: throw error("the text ends where a value should be")
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSONValue) throws(JSONSyntaxError) -> JSONValue {
        let expected = Array(word.description.utf8)
        guard bytes.dropFirst(index).starts(with: expected) else { throw error("this is no JSON word") }
        index += expected.count
        return value
    }

    private mutating func descend() throws(JSONSyntaxError) {
        index += 1
        depth += 1
        guard depth <= depthLimit else { throw error("it is nested more than \(depthLimit) levels deep") }
    }

    private mutating func object() throws(JSONSyntaxError) -> JSONValue {
        try descend()
        var members: [String: JSONValue] = [:]
        skipSpace()
        if !skip("}") {
            repeat {
                skipSpace()
                guard current == UInt8(ascii: "\"") else { throw error("a member's name in quotes is expected") }
                let name = try string()
                skipSpace()
                guard skip(":") else { throw error("a colon is expected after a member's name") }
                members[name] = try value()
                skipSpace()
            } while skip(",")
            guard skip("}") else { throw error("a comma or a closing brace is expected") }
        }
        depth -= 1
        return .object(members)
    }

    private mutating func array() throws(JSONSyntaxError) -> JSONValue {
        try descend()
        var elements: [JSONValue] = []
        skipSpace()
        if !skip("]") {
            repeat {
                elements.append(try value())
                skipSpace()
            } while skip(",")
            guard skip("]") else { throw error("a comma or a closing bracket is expected") }
        }
        depth -= 1
        return .array(elements)
    }

    private mutating func digits() -> Int {
        let start = index
        while let byte = current, (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) {
            index += 1
        }
        return index - start
    }

    private mutating func number() throws(JSONSyntaxError) -> JSONValue {
        let start = index
        var isWhole = true
        _ = skip("-")
        if skip("0") {
            if digits() > 0 { throw error("a number cannot start with a zero") }
        } else if digits() == 0 {
            throw error("this is no JSON value")
        }
        if skip(".") {
            isWhole = false
            if digits() == 0 { throw error("a digit is expected after the decimal point") }
        }
        if skip("e") || skip("E") {
            isWhole = false
            if !skip("+") { _ = skip("-") }
            if digits() == 0 { throw error("a digit is expected in the exponent") }
        }
        let text = String(decoding: bytes[start..<index], as: UTF8.self)
        if isWhole, let value = Int(text) { return .int(value) }
        guard let value = Double(text), value.isFinite else {
            throw JSONSyntaxError(offset: start, reason: "this number is too large")
        }
        return .double(value)
    }

    private mutating func string() throws(JSONSyntaxError) -> String {
        index += 1
        let start = index
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                defer { index += 1 }
                return try text(bytes[start..<index], at: start)
            case UInt8(ascii: "\\"):
                return try stringWithEscapes(from: start)
            case 0..<0x20:
                throw error("a control character inside a string must be escaped")
            default:
                index += 1
            }
        }
        throw error("a string is not closed")
    }

    private mutating func stringWithEscapes(from start: Int) throws(JSONSyntaxError) -> String {
        var decoded = Array(bytes[start..<index])
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                defer { index += 1 }
                return try text(decoded[...], at: start)
            case UInt8(ascii: "\\"):
                index += 1
                try escape(into: &decoded)
            case 0..<0x20:
                throw error("a control character inside a string must be escaped")
            default:
                decoded.append(byte)
                index += 1
            }
        }
        throw error("a string is not closed")
    }

    private mutating func escape(into decoded: inout [UInt8]) throws(JSONSyntaxError) {
        guard let byte = current else { throw error("a string is not closed") }
        index += 1
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): decoded.append(byte)
        case UInt8(ascii: "b"): decoded.append(0x08)
        case UInt8(ascii: "f"): decoded.append(0x0c)
        case UInt8(ascii: "n"): decoded.append(0x0a)
        case UInt8(ascii: "r"): decoded.append(0x0d)
        case UInt8(ascii: "t"): decoded.append(0x09)
        case UInt8(ascii: "u"): decoded.append(contentsOf: try String(unicodeEscape()).utf8)
        default: throw error("this escape sequence does not exist")
        }
    }

    private mutating func unicodeEscape() throws(JSONSyntaxError) -> Character {
        let first = try codeUnit()
        guard UTF16.isLeadSurrogate(first) else {
            guard first != 0 else { throw error("a NUL character cannot be stored") }
            guard let scalar = Unicode.Scalar(first) else { throw error("a surrogate stands alone") }
            return Character(scalar)
        }
        guard skip("\\"), skip("u") else { throw error("a surrogate stands alone") }
        let second = try codeUnit()
        guard UTF16.isTrailSurrogate(second),
            let scalar = Unicode.Scalar(0x10000 + (UInt32(first) - 0xd800) << 10 + (UInt32(second) - 0xdc00))
        else { throw error("a surrogate stands alone") }
        return Character(scalar)
    }

    private mutating func codeUnit() throws(JSONSyntaxError) -> UInt16 {
        guard index + 4 <= bytes.count, bytes[index..<index + 4].allSatisfy({ Self.isHexDigit($0) }),
            let unit = UInt16(String(decoding: bytes[index..<index + 4], as: UTF8.self), radix: 16)
        else { throw error("four hexadecimal digits are expected") }
        index += 4
        return unit
    }

    private static func isHexDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "a")...UInt8(ascii: "f"),
            UInt8(ascii: "A")...UInt8(ascii: "F"):
            true
        default: false
        }
    }

    private func text(_ slice: ArraySlice<UInt8>, at start: Int) throws(JSONSyntaxError) -> String {
        guard let text = String(validating: slice, as: UTF8.self) else {
            throw JSONSyntaxError(offset: start, reason: "a string is not valid UTF-8")
        }
        return text
    }
}
