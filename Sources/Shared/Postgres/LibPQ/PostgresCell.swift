import Glibc

/// One value of a result, in PostgreSQL's binary format, read where libpq put it.
///
/// Safe: it keeps the result alive, and every read checks its bounds. A read outside, which a value of the right type
/// never asks for, is a decode error.
@safe
package struct PostgresCell: @unchecked Sendable {
    // Sendable: a view of an immutable `PGresult`, which `owner` keeps alive.
    private let owner: LibPQResult
    private let columnIndex: Int
    private let bytes: UnsafeRawBufferPointer?
    /// The PostgreSQL type of the column, or of the element when this is an element of an array.
    package let type: PostgresType

    @unsafe
    init(owner: LibPQResult, column: Int, type: PostgresType, bytes: UnsafeRawBufferPointer?) {
        self.owner = owner
        self.columnIndex = column
        self.type = type
        unsafe self.bytes = bytes
    }

    /// Whether the value is NULL.
    package var isNull: Bool { unsafe bytes == nil }

    /// The length in bytes; 0 for NULL.
    package var count: Int { unsafe bytes?.count ?? 0 }

    /// The column's name in the result.
    package var column: String { owner.columnName(columnIndex) }

    /// A big-endian integer at an offset.
    package func integer<T: FixedWidthInteger>(at offset: Int = 0, as: T.Type = T.self) throws(PostgresError) -> T {
        guard let bytes = unsafe bytes, offset >= 0, offset + MemoryLayout<T>.size <= bytes.count else {
            throw malformed()
        }
        return unsafe T(bigEndian: bytes.loadUnaligned(fromByteOffset: offset, as: T.self))
    }

    /// The bytes from an offset to the end.
    package func array(from offset: Int = 0) throws(PostgresError) -> [UInt8] {
        guard let bytes = unsafe bytes, offset >= 0, offset <= bytes.count else { throw malformed() }
        return unsafe Array(bytes[offset...])
    }

    /// The bytes from an offset to the end as text. Bytes that are not UTF-8 are a decode error.
    package func string(from offset: Int = 0) throws(PostgresError) -> String {
        guard let bytes = unsafe bytes, offset >= 0, offset <= bytes.count else { throw malformed() }
        guard let text = unsafe String(validating: bytes[offset...], as: UTF8.self) else { throw malformed() }
        return text
    }

    /// A part of the value as a value of its own; a nil length is NULL.
    package func part(at offset: Int, length: Int?, type: PostgresType) throws(PostgresError) -> PostgresCell {
        guard let length else {
            return unsafe PostgresCell(owner: owner, column: columnIndex, type: type, bytes: nil)
        }
        guard let bytes = unsafe bytes, offset >= 0, length >= 0, offset + length <= bytes.count else {
            throw malformed()
        }
        let slice = unsafe UnsafeRawBufferPointer(rebasing: bytes[offset..<offset + length])
        return unsafe PostgresCell(owner: owner, column: columnIndex, type: type, bytes: slice)
    }

    /// The textual form of an IPv4 (4 bytes) or IPv6 (16 bytes) address that starts at an offset.
    package func address(at offset: Int, length: Int) throws(PostgresError) -> String {
        let part = try part(at: offset, length: length, type: type)
        var text = [CChar](repeating: 0, count: 64)
        let capacity = socklen_t(text.count)
        guard length == 4 || length == 16, let source = unsafe part.bytes?.baseAddress,
            unsafe inet_ntop(length == 4 ? AF_INET : AF_INET6, source, &text, capacity) != nil
        else { throw malformed() }
        return String(decoding: text.prefix { $0 != 0 }.map { UInt8(bitPattern: $0) }, as: UTF8.self)
    }

    /// The error for a value that was asked for as `expected` but is of another type, or is NULL.
    package func mismatch(expected: String) -> PostgresError {
        let found = isNull ? "NULL" : type.description
        var error = PostgresError(.decode, "column \(column) is \(found), which cannot be read as \(expected)")
        error.column = column
        return error
    }

    /// The error for a value of the right type that does not fit or cannot be understood. Never quotes the value.
    package func malformed(_ reason: String = "its binary form is not as expected") -> PostgresError {
        var error = PostgresError(.decode, "the value of column \(column) (\(type)) cannot be read: \(reason)")
        error.column = column
        return error
    }
}
