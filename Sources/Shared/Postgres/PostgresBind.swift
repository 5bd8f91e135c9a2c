package import Foundation

/// One value on its way to the server, with its type.
package enum PostgresBind: Sendable {
    /// NULL of a type; the unspecified type leaves it to the server to infer one.
    case null(PostgresType)
    /// A one-byte binary value.
    case byte(UInt8, PostgresType)
    /// A two-byte binary value.
    case int16(Int16, PostgresType)
    /// A four-byte binary value.
    case int32(Int32, PostgresType)
    /// An eight-byte binary value; also floating point and timestamps.
    case int64(Int64, PostgresType)
    /// 16 bytes.
    case uuid(UUID)
    /// A value in text form.
    case text(String, PostgresType)
    /// A value in binary form.
    case binary([UInt8], PostgresType)
    /// A value that cannot be sent; the statement fails with this reason before anything is sent.
    case invalid(String)
}

/// The values bound by one statement, serialised into one buffer as they come.
struct PostgresParameters: Sendable {
    struct Parameter: Sendable {
        let type: PostgresType
        let isText: Bool
        /// Where the value starts in the buffer.
        let offset: Int
        /// The length in bytes; -1 is NULL.
        let length: Int
    }

    private(set) var list: [Parameter] = []
    private(set) var buffer: [UInt8] = []
    /// Why the first value that cannot be sent cannot be sent.
    private(set) var problem: String?

    /// The protocol counts parameters in 16 bits.
    static let limit = 65_535

    mutating func reserve(_ count: Int) {
        list.reserveCapacity(count)
        buffer.reserveCapacity(count * 16)
    }

    mutating func append(_ bind: PostgresBind) {
        let offset = buffer.count
        let type: PostgresType
        var isText = false
        switch bind {
        case .null(let nullType):
            list.append(Parameter(type: nullType, isText: false, offset: offset, length: -1))
            return
        case .text(let text, let textType):
            // Text is handed to libpq as a C string, so a NUL would cut it; no type can hold one anyway.
            if text.utf8.contains(0) { note("parameter $\(list.count + 1) is text with a NUL character") }
            (type, isText) = (textType, true)
        case .invalid(let reason):
            note("parameter $\(list.count + 1) \(reason)")
            type = .unspecified
        case .byte(_, let valueType), .int16(_, let valueType), .int32(_, let valueType), .int64(_, let valueType),
            .binary(_, let valueType):
            type = valueType
        case .uuid:
            type = .uuid
        }
        buffer.append(bind)
        list.append(Parameter(type: type, isText: isText, offset: offset, length: buffer.count - offset))
        if isText { buffer.append(0) }
        if list.count > Self.limit { note("more than \(Self.limit) parameters") }
    }

    private mutating func note(_ reason: String) {
        if problem == nil { problem = reason }
    }
}

extension [UInt8] {
    /// Appends the value's bytes; nothing for NULL and values that cannot be sent.
    mutating func append(_ bind: PostgresBind) {
        switch bind {
        case .null, .invalid: break
        case .byte(let value, _): append(value)
        case .int16(let value, _): appendInteger(value)
        case .int32(let value, _): appendInteger(value)
        case .int64(let value, _): appendInteger(value)
        case .uuid(let uuid): append(uuid)
        case .text(let text, _): append(contentsOf: text.utf8)
        case .binary(let bytes, _): append(contentsOf: bytes)
        }
    }

    private mutating func append(_ uuid: UUID) {
        let (a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p) = uuid.uuid
        append(contentsOf: [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p])
    }
}
