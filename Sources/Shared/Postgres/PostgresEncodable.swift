package import Foundation

/// A value that can be bound to a statement.
package protocol PostgresEncodable: Sendable {
    /// The type under which the value is sent; the unspecified type lets the server infer it from the statement.
    static var postgresType: PostgresType { get }
    /// The value in wire form.
    var postgresBind: PostgresBind { get }
}

extension Optional: PostgresEncodable where Wrapped: PostgresEncodable {
    /// The type of the value inside.
    package static var postgresType: PostgresType { Wrapped.postgresType }
    /// The value, or NULL of its type.
    package var postgresBind: PostgresBind { self?.postgresBind ?? .null(Wrapped.postgresType) }
}

/// An enum with raw values binds as its raw value: `extension State: PostgresEncodable {}` is all it needs.
extension PostgresEncodable where Self: RawRepresentable, RawValue: PostgresEncodable {
    /// The type of the raw value.
    package static var postgresType: PostgresType { RawValue.postgresType }
    /// The raw value.
    package var postgresBind: PostgresBind { rawValue.postgresBind }
}

extension Int: PostgresEncodable {
    /// int8.
    package static var postgresType: PostgresType { .int8 }
    /// Eight bytes.
    package var postgresBind: PostgresBind { .int64(Int64(self), .int8) }
}

extension Int64: PostgresEncodable {
    /// int8.
    package static var postgresType: PostgresType { .int8 }
    /// Eight bytes.
    package var postgresBind: PostgresBind { .int64(self, .int8) }
}

extension Int32: PostgresEncodable {
    /// int4.
    package static var postgresType: PostgresType { .int4 }
    /// Four bytes.
    package var postgresBind: PostgresBind { .int32(self, .int4) }
}

extension Int16: PostgresEncodable {
    /// int2.
    package static var postgresType: PostgresType { .int2 }
    /// Two bytes.
    package var postgresBind: PostgresBind { .int16(self, .int2) }
}

extension Bool: PostgresEncodable {
    /// bool.
    package static var postgresType: PostgresType { .bool }
    /// One byte.
    package var postgresBind: PostgresBind { .byte(self ? 1 : 0, .bool) }
}

extension Double: PostgresEncodable {
    /// float8.
    package static var postgresType: PostgresType { .float8 }
    /// Eight bytes.
    package var postgresBind: PostgresBind { .int64(Int64(bitPattern: bitPattern), .float8) }
}

extension String: PostgresEncodable {
    /// Inferred by the server, so that text, uuid, jsonb, inet, enums and more take a string. Where it has nothing to
    /// infer from (`jsonb_build_object('a', $1)`), the statement needs a cast such as `::text`.
    package static var postgresType: PostgresType { .unspecified }
    /// Text form.
    package var postgresBind: PostgresBind { .text(self, .unspecified) }
}

extension UUID: PostgresEncodable {
    /// uuid.
    package static var postgresType: PostgresType { .uuid }
    /// 16 bytes.
    package var postgresBind: PostgresBind { .uuid(self) }
}

extension Date: PostgresEncodable {
    /// timestamptz, to the microsecond.
    package static var postgresType: PostgresType { .timestamptz }
    /// Microseconds since the start of the year 2000; invalid outside what a timestamptz holds.
    package var postgresBind: PostgresBind {
        let microseconds = (timeIntervalSince1970 - PostgresTime.epoch) * 1_000_000
        // 4714 BC to 294276 AD.
        guard microseconds > -211_813_488_000_000_000, microseconds < 9_223_371_331_200_000_000 else {
            return .invalid("is a date outside the range of timestamptz")
        }
        return .int64(Int64(microseconds.rounded()), .timestamptz)
    }
}

extension Decimal: PostgresEncodable {
    /// numeric.
    package static var postgresType: PostgresType { .numeric }
    /// Text form, which is exact.
    package var postgresBind: PostgresBind { .text(description, .numeric) }
}

extension Data: PostgresEncodable {
    /// bytea.
    package static var postgresType: PostgresType { .bytea }
    /// The bytes.
    package var postgresBind: PostgresBind { .binary([UInt8](self), .bytea) }
}

extension JSONValue: PostgresEncodable {
    /// jsonb.
    package static var postgresType: PostgresType { .jsonb }
    /// The document's text behind the format version that jsonb's binary form starts with.
    package var postgresBind: PostgresBind { PostgresJSON(encodedString()).postgresBind }
}

/// JSON that is text already: bound as jsonb without being parsed here, and read from json and jsonb as it stands.
package struct PostgresJSON: Sendable, Hashable {
    /// The document.
    package let text: String

    /// Wraps a document; the server refuses it if it is not JSON.
    package init(_ text: String) {
        self.text = text
    }
}

extension PostgresJSON: PostgresEncodable {
    /// jsonb.
    package static var postgresType: PostgresType { .jsonb }
    /// The document's text behind the format version that jsonb's binary form starts with.
    package var postgresBind: PostgresBind {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count + 1)
        bytes.append(1)
        bytes.append(contentsOf: text.utf8)
        return .binary(bytes, .jsonb)
    }
}

enum PostgresTime {
    /// Seconds from 1970 to 2000, where PostgreSQL counts from.
    static let epoch = 946_684_800.0
    /// Days from 1970 to 2000.
    static let epochDays = 10_957
}
