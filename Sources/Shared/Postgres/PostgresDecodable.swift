package import Foundation

/// A value that can be read from a result.
package protocol PostgresDecodable: Sendable {
    /// Reads a value; throws `PostgresError` with code `decode`, naming column and type, when the column is NULL, of
    /// another type, or does not fit.
    static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Self
}

extension Optional: PostgresDecodable where Wrapped: PostgresDecodable {
    /// NULL is nil.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Wrapped? {
        cell.isNull ? nil : try Wrapped.postgresDecode(cell)
    }
}

/// An enum with raw values is read as its raw value: `extension State: PostgresDecodable {}` is all it needs.
extension PostgresDecodable where Self: RawRepresentable, RawValue: PostgresDecodable {
    /// Reads the raw value; one without a case is a decode error.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Self {
        guard let value = Self(rawValue: try RawValue.postgresDecode(cell)) else {
            throw cell.malformed("it is none of the values of \(Self.self)")
        }
        return value
    }
}

extension PostgresCell {
    /// An integer of any width as the width asked for; one that does not fit is a decode error.
    fileprivate func anyInteger<T: FixedWidthInteger>(_ expected: String) throws(PostgresError) -> T {
        guard !isNull else { throw mismatch(expected: expected) }
        let wide: Int64
        switch type {
        case .int8: wide = try integer()
        case .int4: wide = Int64(try integer(as: Int32.self))
        case .int2: wide = Int64(try integer(as: Int16.self))
        case .oid: wide = Int64(try integer(as: UInt32.self))
        default: throw mismatch(expected: expected)
        }
        guard let value = T(exactly: wide) else { throw malformed("it does not fit \(T.self)") }
        return value
    }

    /// The bytes of a json or jsonb document; jsonb's binary form starts with a version.
    fileprivate func jsonStart(expected: String) throws(PostgresError) -> Int {
        switch type {
        case .json where !isNull: return 0
        case .jsonb where !isNull:
            guard try integer(as: UInt8.self) == 1 else { throw malformed("unknown version of jsonb") }
            return 1
        default: throw mismatch(expected: expected)
        }
    }
}

extension Int: PostgresDecodable {
    /// From int2, int4, int8 and oid.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Int {
        try cell.anyInteger("Int")
    }
}

extension Int64: PostgresDecodable {
    /// From int2, int4, int8 and oid.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Int64 {
        try cell.anyInteger("Int64")
    }
}

extension Int32: PostgresDecodable {
    /// From int2 and int4, and from int8 and oid where the value fits.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Int32 {
        try cell.anyInteger("Int32")
    }
}

extension Int16: PostgresDecodable {
    /// From int2, and from wider integers where the value fits.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Int16 {
        try cell.anyInteger("Int16")
    }
}

extension Bool: PostgresDecodable {
    /// From bool.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Bool {
        guard cell.type == .bool, !cell.isNull else { throw cell.mismatch(expected: "Bool") }
        return try cell.integer(as: UInt8.self) != 0
    }
}

extension Double: PostgresDecodable {
    /// From float4, float8, numeric and the integers; numeric and int8 are rounded to the nearest double.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Double {
        guard !cell.isNull else { throw cell.mismatch(expected: "Double") }
        switch cell.type {
        case .float8: return Double(bitPattern: try cell.integer())
        case .float4: return Double(Float(bitPattern: try cell.integer()))
        case .numeric:
            guard let value = Double(try PostgresNumeric.text(cell)) else { throw cell.malformed() }
            return value
        case .int2, .int4, .int8: return Double(try Int64.postgresDecode(cell))
        default: throw cell.mismatch(expected: "Double")
        }
    }
}

extension String: PostgresDecodable {
    /// From text, varchar, char(n), name, enums and other types of extensions that are text on the wire, from json and
    /// jsonb (the document), date (`YYYY-MM-DD`), inet and cidr, uuid (lower case) and numeric.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> String {
        guard !cell.isNull else { throw cell.mismatch(expected: "String") }
        switch cell.type {
        case .text, .varchar, .bpchar, .name, .unknown, .char, .xml: return try cell.string()
        case .json, .jsonb: return try cell.string(from: try cell.jsonStart(expected: "String"))
        case .date: return PostgresDate.text(days: try cell.integer())
        case .inet, .cidr: return try PostgresAddress.text(cell)
        case .uuid: return try UUID.postgresDecode(cell).uuidString.lowercased()
        case .numeric: return try PostgresNumeric.text(cell)
        default:
            guard cell.type.isUserDefined else { throw cell.mismatch(expected: "String") }
            return try cell.string()
        }
    }
}

extension UUID: PostgresDecodable {
    /// From uuid.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> UUID {
        guard cell.type == .uuid, !cell.isNull else { throw cell.mismatch(expected: "UUID") }
        let bits = (try cell.integer(at: 0, as: UInt64.self), try cell.integer(at: 8, as: UInt64.self))
        func byte(_ index: Int) -> UInt8 {
            UInt8(truncatingIfNeeded: (index < 8 ? bits.0 : bits.1) >> UInt64(56 - 8 * (index % 8)))
        }
        return UUID(
            uuid: (
                byte(0), byte(1), byte(2), byte(3), byte(4), byte(5), byte(6), byte(7),
                byte(8), byte(9), byte(10), byte(11), byte(12), byte(13), byte(14), byte(15)
            ))
    }
}

extension Date: PostgresDecodable {
    /// From timestamptz, and from timestamp taken as UTC. `infinity` is a decode error.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Date {
        guard cell.type == .timestamptz || cell.type == .timestamp, !cell.isNull else {
            throw cell.mismatch(expected: "Date")
        }
        let microseconds: Int64 = try cell.integer()
        guard microseconds != .max, microseconds != .min else { throw cell.malformed("it is infinite") }
        return Date(timeIntervalSince1970: Double(microseconds) / 1_000_000 + PostgresTime.epoch)
    }
}

extension Decimal: PostgresDecodable {
    /// From numeric and the integers. More than 38 significant digits, NaN and infinity are decode errors.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Decimal {
        guard !cell.isNull else { throw cell.mismatch(expected: "Decimal") }
        switch cell.type {
        case .numeric: return try PostgresNumeric.decimal(cell)
        case .int2, .int4, .int8: return Decimal(try Int64.postgresDecode(cell))
        default: throw cell.mismatch(expected: "Decimal")
        }
    }
}

extension Data: PostgresDecodable {
    /// From bytea, and from json and jsonb (the document in UTF-8, ready for a JSON decoder).
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> Data {
        if cell.type == .bytea, !cell.isNull { return Data(try cell.array()) }
        return Data(try cell.array(from: try cell.jsonStart(expected: "Data")))
    }
}

extension JSONValue: PostgresDecodable {
    /// From json and jsonb.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> JSONValue {
        let document = try cell.array(from: try cell.jsonStart(expected: "JSONValue"))
        do {
            return try JSONParser.parse(document, depthLimit: 512)
        } catch {
            throw cell.malformed("it is not JSON that can be represented")
        }
    }
}

extension PostgresJSON: PostgresDecodable {
    /// From json and jsonb.
    package static func postgresDecode(_ cell: PostgresCell) throws(PostgresError) -> PostgresJSON {
        PostgresJSON(try cell.string(from: try cell.jsonStart(expected: "PostgresJSON")))
    }
}
