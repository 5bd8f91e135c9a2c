package import Foundation

/// What a statement returned. Values are read when asked for, straight from libpq's buffer, which lives as long as any
/// of its rows.
package struct PostgresRows: Sendable, RandomAccessCollection {
    private let result: LibPQResult
    /// One past the last row.
    package let endIndex: Int

    init(_ result: LibPQResult) {
        self.result = result
        endIndex = result.rowCount
    }

    /// Always 0.
    package var startIndex: Int { 0 }

    /// The row at a position.
    package subscript(position: Int) -> PostgresRow {
        precondition(position >= 0 && position < endIndex, "row index out of range")
        return PostgresRow(result: result, index: position)
    }

    /// How many rows the statement inserted, updated, deleted, merged or returned.
    package var affectedRows: Int { result.affectedRows }

    /// The names of the columns.
    package var columns: [String] {
        (0..<result.columnCount).map { result.columnName($0) }
    }

    /// The first word of the command tag, such as `COMMIT`.
    var command: String { result.command }
}

extension PostgresRows {
    /// The first column of the only row, for queries that always give one row.
    ///
    /// Throws `PostgresError` with code `decode` when there is not exactly one row, or the value cannot be read.
    package func one<Column: PostgresDecodable>(_ type: Column.Type) throws(PostgresError) -> Column {
        try onlyRow().decode(type)
    }

    /// The first columns of the only row, for queries that always give one row.
    ///
    /// Throws `PostgresError` with code `decode` when there is not exactly one row, or a value cannot be read.
    package func one<each Column: PostgresDecodable>(
        _ types: repeat (each Column).Type
    ) throws(PostgresError) -> (repeat each Column) {
        try onlyRow().decode(repeat each types)
    }

    private func onlyRow() throws(PostgresError) -> PostgresRow {
        guard count == 1 else { throw PostgresError(.decode, "\(count) rows instead of one") }
        return self[0]
    }
}

/// One row of a result.
package struct PostgresRow: Sendable {
    private let result: LibPQResult
    private let index: Int

    init(result: LibPQResult, index: Int) {
        self.result = result
        self.index = index
    }

    /// Reads the first column. See the other `decode`; a pack of one type would not give a plain value.
    package func decode<Column: PostgresDecodable>(_ type: Column.Type) throws(PostgresError) -> Column {
        guard result.columnCount > 0 else { throw PostgresError(.decode, "the result has no columns") }
        return try Column.postgresDecode(result.cell(row: index, column: 0))
    }

    /// Reads the first columns in their order: `let (id, name) = try row.decode(Int64.self, String?.self)`.
    ///
    /// Throws `PostgresError` with code `decode` that names column and type when there are fewer columns, a value is
    /// NULL, of another type, or does not fit.
    package func decode<each Column: PostgresDecodable>(
        _ types: repeat (each Column).Type
    ) throws(PostgresError) -> (repeat each Column) {
        var column = 0
        let columns = result.columnCount
        func next<T: PostgresDecodable>(_ type: T.Type) throws(PostgresError) -> T {
            guard column < columns else {
                throw PostgresError(.decode, "column \(column + 1) was asked for, the result has \(columns)")
            }
            defer { column += 1 }
            return try T.postgresDecode(result.cell(row: index, column: column))
        }
        return (repeat try next(each types))
    }

    /// Reads the column called exactly `column`.
    ///
    /// Throws `PostgresError` with code `decode` that names column and type when there is no such column, or the value
    /// is NULL, of another type, or does not fit.
    package func get<T: PostgresDecodable>(_ column: String, as type: T.Type = T.self) throws(PostgresError) -> T {
        guard let position = result.columnIndex(column) else {
            var error = PostgresError(.decode, "the result has no column \(column)")
            error.column = column
            throw error
        }
        return try T.postgresDecode(result.cell(row: index, column: position))
    }
}

/// Single columns by their position, for results of many rows: no pack of types has to be taken apart for each row.
extension PostgresRow {
    /// An integer of any width.
    package func int64(_ column: Int) throws(PostgresError) -> Int64 { try Int64.postgresDecode(cell(column)) }

    /// An int2.
    package func int16(_ column: Int) throws(PostgresError) -> Int16 { try Int16.postgresDecode(cell(column)) }

    /// A bool.
    package func bool(_ column: Int) throws(PostgresError) -> Bool { try Bool.postgresDecode(cell(column)) }

    /// A text, or anything that is read as one.
    package func string(_ column: Int) throws(PostgresError) -> String { try String.postgresDecode(cell(column)) }

    /// A text that may be NULL.
    package func optionalString(_ column: Int) throws(PostgresError) -> String? {
        let cell = try cell(column)
        return cell.isNull ? nil : try String.postgresDecode(cell)
    }

    /// A timestamp.
    package func date(_ column: Int) throws(PostgresError) -> Date { try Date.postgresDecode(cell(column)) }

    /// A float8 that may be NULL.
    package func optionalDouble(_ column: Int) throws(PostgresError) -> Double? {
        let cell = try cell(column)
        return cell.isNull ? nil : try Double.postgresDecode(cell)
    }

    /// A json or jsonb document as its bytes, or the bytes of a bytea.
    package func data(_ column: Int) throws(PostgresError) -> Data { try Data.postgresDecode(cell(column)) }

    /// Any other value, of the type that is asked for.
    package func value<T: PostgresDecodable>(_ column: Int) throws(PostgresError) -> T {
        try T.postgresDecode(try cell(column))
    }

    private func cell(_ column: Int) throws(PostgresError) -> PostgresCell {
        guard column < result.columnCount else {
            throw PostgresError(.decode, "column \(column + 1) was asked for, the result has \(result.columnCount)")
        }
        return result.cell(row: index, column: column)
    }
}
