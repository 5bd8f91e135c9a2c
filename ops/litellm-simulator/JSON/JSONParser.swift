/// Text that is not JSON; `offset` is the index of the first byte that cannot be right.
struct JSONSyntaxError: Error, Equatable {
    let offset: Int
}

/// A strict parser of one JSON document in UTF-8.
struct JSONParser {
    private static let deepest = 64
    private let bytes: [UInt8]
    private var position = 0

    /// Parses the whole of `bytes`.
    static func parse(_ bytes: [UInt8]) throws(JSONSyntaxError) -> JSON {
        var parser = JSONParser(bytes: bytes)
        let value = try parser.value(depth: 0)
        parser.skipSpace()
        guard parser.position == bytes.count else { throw parser.error() }
        return value
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    private var current: UInt8? { position < bytes.count ? bytes[position] : nil }

    private func error() -> JSONSyntaxError { JSONSyntaxError(offset: position) }

    private mutating func skipSpace() {
        while let byte = current, byte == 0x20 || byte == 0x0A || byte == 0x0D || byte == 0x09 { position += 1 }
    }

    private mutating func take(_ byte: UInt8) -> Bool {
        guard current == byte else { return false }
        position += 1
        return true
    }

    private mutating func value(depth: Int) throws(JSONSyntaxError) -> JSON {
        guard depth < Self.deepest else { throw error() }
        skipSpace()
        switch current {
        case UInt8(ascii: "{"): return try object(depth: depth)
        case UInt8(ascii: "["): return try array(depth: depth)
        case UInt8(ascii: "\""): return .string(try text())
        case UInt8(ascii: "t"): return try word("true", .bool(true))
        case UInt8(ascii: "f"): return try word("false", .bool(false))
        case UInt8(ascii: "n"): return try word("null", .null)
        default: return try number()
        }
    }

    private mutating func word(_ word: StaticString, _ value: JSON) throws(JSONSyntaxError) -> JSON {
        for byte in word.description.utf8 {
            guard take(byte) else { throw error() }
        }
        return value
    }

    private mutating func object(depth: Int) throws(JSONSyntaxError) -> JSON {
        position += 1
        var members: JSONObject = [:]
        skipSpace()
        if take(UInt8(ascii: "}")) { return .object(members) }
        while true {
            skipSpace()
            guard current == UInt8(ascii: "\"") else { throw error() }
            let name = try text()
            skipSpace()
            guard take(UInt8(ascii: ":")) else { throw error() }
            members[name] = try value(depth: depth + 1)
            skipSpace()
            if take(UInt8(ascii: "}")) { return .object(members) }
            guard take(UInt8(ascii: ",")) else { throw error() }
        }
    }

    private mutating func array(depth: Int) throws(JSONSyntaxError) -> JSON {
        position += 1
        var elements: [JSON] = []
        skipSpace()
        if take(UInt8(ascii: "]")) { return .array(elements) }
        while true {
            elements.append(try value(depth: depth + 1))
            skipSpace()
            if take(UInt8(ascii: "]")) { return .array(elements) }
            guard take(UInt8(ascii: ",")) else { throw error() }
        }
    }

    private mutating func number() throws(JSONSyntaxError) -> JSON {
        let start = position
        _ = take(UInt8(ascii: "-"))
        var hasFraction = false
        while let byte = current {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): break
            case UInt8(ascii: "."), UInt8(ascii: "e"), UInt8(ascii: "E"), UInt8(ascii: "+"), UInt8(ascii: "-"):
                hasFraction = true
            default:
                return try number(from: start, hasFraction: hasFraction)
            }
            position += 1
        }
        return try number(from: start, hasFraction: hasFraction)
    }

    private func number(from start: Int, hasFraction: Bool) throws(JSONSyntaxError) -> JSON {
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if !hasFraction, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw JSONSyntaxError(offset: start) }
        return .double(value)
    }

    private mutating func text() throws(JSONSyntaxError) -> String {
        position += 1
        var scalars: [UInt8] = []
        while let byte = current {
            switch byte {
            case UInt8(ascii: "\""):
                position += 1
                return String(decoding: scalars, as: UTF8.self)
            case UInt8(ascii: "\\"):
                position += 1
                scalars.append(contentsOf: try escape())
            case 0..<0x20:
                throw error()
            default:
                scalars.append(byte)
                position += 1
            }
        }
        throw error()
    }

    private mutating func escape() throws(JSONSyntaxError) -> [UInt8] {
        guard let byte = current else { throw error() }
        position += 1
        switch byte {
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"): return [byte]
        case UInt8(ascii: "u"): return Array(String(try unicode()).utf8)
        default: throw JSONSyntaxError(offset: position - 1)
        }
    }

    private mutating func unicode() throws(JSONSyntaxError) -> Character {
        var code = try hex()
        if (0xD800..<0xDC00).contains(code) {
            guard take(UInt8(ascii: "\\")), take(UInt8(ascii: "u")) else { throw error() }
            let low = try hex()
            guard (0xDC00..<0xE000).contains(low) else { throw error() }
            code = 0x10000 + (code - 0xD800) << 10 + (low - 0xDC00)
        }
        guard let scalar = Unicode.Scalar(code) else { throw error() }
        return Character(scalar)
    }

    private mutating func hex() throws(JSONSyntaxError) -> UInt32 {
        guard position + 4 <= bytes.count else { throw error() }
        let digits = String(decoding: bytes[position..<position + 4], as: UTF8.self)
        guard let value = UInt32(digits, radix: 16) else { throw error() }
        position += 4
        return value
    }
}

extension JSON {
    /// The value of `bytes`, or nil when they are no JSON.
    init?(parsing bytes: [UInt8]) {
        do {
            self = try JSONParser.parse(bytes)
        } catch {
            return nil
        }
    }
}
