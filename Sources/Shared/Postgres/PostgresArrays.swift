package import Foundation

/// A type whose arrays can be bound and read. Elements may be optional: NULL elements are nil.
package protocol PostgresArrayElement: PostgresEncodable, PostgresDecodable {
    /// The type of one element.
    static var postgresElementType: PostgresType { get }
    /// The type of the array.
    static var postgresArrayType: PostgresType { get }
    /// The array in wire form.
    static func postgresBindArray(_ elements: [Self]) -> PostgresBind
    /// Reads an array; throws `PostgresError` with code `decode`.
    static func postgresDecodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Self]
}

extension Array: PostgresEncodable where Element: PostgresArrayElement {
    /// The array type of the elements.
    package static var postgresType: PostgresType { Element.postgresArrayType }
    /// The whole array in binary form, in one buffer.
    package var postgresBind: PostgresBind { Element.postgresBindArray(self) }
}

extension Array: PostgresDecodable where Element: PostgresArrayElement {
    /// From an array of at most one dimension.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> [Element] {
        try Element.postgresDecodeArray(cell)
    }
}

extension PostgresArrayElement {
    /// Dimensions, whether there are NULLs, element type, length and lower bound, then each element with its length.
    package static func postgresBindArray(_ elements: [Self]) -> PostgresBind {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(20 + elements.count * 12)
        bytes.appendInteger(Int32(elements.isEmpty ? 0 : 1))
        bytes.appendInteger(Int32(0))
        bytes.appendInteger(postgresElementType.rawValue)
        guard !elements.isEmpty else { return .binary(bytes, postgresArrayType) }
        bytes.appendInteger(Int32(truncatingIfNeeded: elements.count))
        bytes.appendInteger(Int32(1))
        var hasNull = false
        for element in elements {
            let bind = element.postgresBind
            let start = bytes.count
            switch bind {
            case .null:
                hasNull = true
                bytes.appendInteger(Int32(-1))
                continue
            case .invalid(let reason):
                return .invalid(reason)
            case .text(let text, _) where text.utf8.contains(0):
                return .invalid("is an array with a NUL character in a text")
            default:
                bytes.appendInteger(Int32(0))
                bytes.append(bind)
                bytes.replaceInt32(at: start, with: Int32(truncatingIfNeeded: bytes.count - start - 4))
            }
        }
        if hasNull { bytes.replaceInt32(at: 4, with: 1) }
        return .binary(bytes, postgresArrayType)
    }

    /// From an array of at most one dimension.
    package static func postgresDecodeArray(_ cell: PostgresCell) throws(PostgresError) -> [Self] {
        guard !cell.isNull else { throw cell.mismatch(expected: "[\(Self.self)]") }
        // Other values than arrays must not be taken for one: the type of the elements stands inside.
        guard cell.type.isArray || cell.type.isUserDefined else { throw cell.mismatch(expected: "[\(Self.self)]") }
        let dimensions: Int32 = try cell.integer(at: 0)
        let type = PostgresType(try cell.integer(at: 8, as: UInt32.self))
        if dimensions == 0 { return [] }
        guard dimensions == 1 else { throw cell.malformed("it has \(dimensions) dimensions") }
        let count = Int(try cell.integer(at: 12, as: Int32.self))
        guard count >= 0, count <= cell.count / 4 else { throw cell.malformed() }
        var elements: [Self] = []
        elements.reserveCapacity(count)
        var offset = 20
        for _ in 0..<count {
            let length = Int(try cell.integer(at: offset, as: Int32.self))
            offset += 4
            let element = try cell.part(at: offset, length: length < 0 ? nil : length, type: type)
            elements.append(try postgresDecode(element))
            offset += max(length, 0)
        }
        return elements
    }
}

extension Optional: PostgresArrayElement where Wrapped: PostgresArrayElement {
    /// The type of the value inside.
    package static var postgresElementType: PostgresType { Wrapped.postgresElementType }
    /// The array type of the value inside.
    package static var postgresArrayType: PostgresType { Wrapped.postgresArrayType }
}

extension Int: PostgresArrayElement {
    /// int8.
    package static var postgresElementType: PostgresType { .int8 }
    /// int8[].
    package static var postgresArrayType: PostgresType { .int8Array }
}

extension Int64: PostgresArrayElement {
    /// int8.
    package static var postgresElementType: PostgresType { .int8 }
    /// int8[].
    package static var postgresArrayType: PostgresType { .int8Array }
}

extension Int32: PostgresArrayElement {
    /// int4.
    package static var postgresElementType: PostgresType { .int4 }
    /// int4[].
    package static var postgresArrayType: PostgresType { .int4Array }
}

extension Int16: PostgresArrayElement {
    /// int2.
    package static var postgresElementType: PostgresType { .int2 }
    /// int2[].
    package static var postgresArrayType: PostgresType { .int2Array }
}

extension Bool: PostgresArrayElement {
    /// bool.
    package static var postgresElementType: PostgresType { .bool }
    /// bool[].
    package static var postgresArrayType: PostgresType { .boolArray }
}

extension Double: PostgresArrayElement {
    /// float8.
    package static var postgresElementType: PostgresType { .float8 }
    /// float8[].
    package static var postgresArrayType: PostgresType { .float8Array }
}

extension String: PostgresArrayElement {
    /// text.
    package static var postgresElementType: PostgresType { .text }
    /// text[]; for other types cast in the statement: `$1::uuid[]`.
    package static var postgresArrayType: PostgresType { .textArray }
}

extension UUID: PostgresArrayElement {
    /// uuid.
    package static var postgresElementType: PostgresType { .uuid }
    /// uuid[].
    package static var postgresArrayType: PostgresType { .uuidArray }
}

extension Date: PostgresArrayElement {
    /// timestamptz.
    package static var postgresElementType: PostgresType { .timestamptz }
    /// timestamptz[].
    package static var postgresArrayType: PostgresType { .timestamptzArray }
}

extension JSONValue: PostgresArrayElement {
    /// jsonb.
    package static var postgresElementType: PostgresType { .jsonb }
    /// jsonb[].
    package static var postgresArrayType: PostgresType { .jsonbArray }
}

extension PostgresJSON: PostgresArrayElement {
    /// jsonb.
    package static var postgresElementType: PostgresType { .jsonb }
    /// jsonb[].
    package static var postgresArrayType: PostgresType { .jsonbArray }
}

extension Data: PostgresArrayElement {
    /// bytea.
    package static var postgresElementType: PostgresType { .bytea }
    /// bytea[].
    package static var postgresArrayType: PostgresType { .byteaArray }
}

// `[UInt8]` is bytea and not an array of numbers; this is what makes it so. `[[UInt8]]` is bytea[].
extension UInt8: PostgresArrayElement {
    /// int2: PostgreSQL has no one-byte integer.
    package static var postgresType: PostgresType { .int2 }
    /// int2.
    package static var postgresElementType: PostgresType { .int2 }
    /// bytea.
    package static var postgresArrayType: PostgresType { .bytea }
    /// Two bytes.
    package var postgresBind: PostgresBind { .int16(Int16(self), .int2) }

    /// The bytes.
    package static func postgresBindArray(_ elements: [UInt8]) -> PostgresBind {
        .binary(elements, .bytea)
    }

    /// From int2, where the value fits.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> UInt8 {
        guard let value = UInt8(exactly: try Int16.postgresDecode(cell)) else {
            throw cell.malformed("it does not fit UInt8")
        }
        return value
    }

    /// From bytea.
    package static func postgresDecodeArray(_ cell: PostgresCell) throws(PostgresError) -> [UInt8] {
        guard cell.type == .bytea, !cell.isNull else { throw cell.mismatch(expected: "[UInt8]") }
        return try cell.array()
    }
}

extension [UInt8]: PostgresArrayElement {
    /// bytea.
    package static var postgresElementType: PostgresType { .bytea }
    /// bytea[].
    package static var postgresArrayType: PostgresType { .byteaArray }
}
