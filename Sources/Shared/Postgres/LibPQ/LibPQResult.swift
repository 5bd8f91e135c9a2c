import CLibPQ
import Glibc

/// One result of libpq.
///
/// `@unchecked Sendable`: a `PGresult` is never changed once libpq has handed it out, and libpq documents that it may
/// be read by any thread and outlives its connection. It is cleared exactly once, here.
@safe
final class LibPQResult: @unchecked Sendable {
    /// What a result says, as far as it matters here.
    enum Status {
        /// A statement succeeded, with or without rows.
        case success
        /// A statement failed.
        case failure
        /// A statement of a pipeline was skipped, because one before it failed.
        case skipped
        /// The end of a pipeline.
        case sync
        /// The server waits for COPY data.
        case copyIn
        /// Anything that this layer never asks for.
        case unexpected
    }

    private let pointer: OpaquePointer

    /// Takes over the result.
    init(_ pointer: OpaquePointer) {
        unsafe self.pointer = pointer
    }

    deinit {
        unsafe PQclear(pointer)
    }

    var status: Status {
        switch unsafe PQresultStatus(pointer) {
        case PGRES_COMMAND_OK, PGRES_TUPLES_OK, PGRES_EMPTY_QUERY: .success
        case PGRES_FATAL_ERROR, PGRES_BAD_RESPONSE: .failure
        case PGRES_PIPELINE_ABORTED: .skipped
        case PGRES_PIPELINE_SYNC: .sync
        case PGRES_COPY_IN: .copyIn
        default: .unexpected
        }
    }

    var rowCount: Int { Int(unsafe PQntuples(pointer)) }
    var columnCount: Int { Int(unsafe PQnfields(pointer)) }

    /// The command tag's first word: `SELECT`, `COMMIT`, `ROLLBACK`.
    var command: String {
        guard let tag = unsafe PQcmdStatus(pointer) else { return "" }
        return unsafe String(cString: tag)
    }

    /// How many rows the command changed or returned; 0 where the tag has no number.
    var affectedRows: Int {
        guard let tuples = unsafe PQcmdTuples(pointer) else { return 0 }
        return Int(unsafe String(cString: tuples)) ?? 0
    }

    func columnName(_ column: Int) -> String {
        guard let name = unsafe PQfname(pointer, Int32(column)) else { return "?" }
        return unsafe String(cString: name)
    }

    /// The position of the column called exactly `name`. Scans: results have few columns.
    func columnIndex(_ name: String) -> Int? {
        unsafe name.withCString { wanted in
            for column in 0..<Int32(columnCount) {
                if let found = unsafe PQfname(pointer, column), unsafe strcmp(found, wanted) == 0 {
                    return Int(column)
                }
            }
            return nil
        }
    }

    /// The value at a position, which has to be inside the result.
    func cell(row: Int, column: Int) -> PostgresCell {
        let (row, column32) = (Int32(row), Int32(column))
        let type = PostgresType(unsafe PQftype(pointer, column32))
        guard unsafe PQgetisnull(pointer, row, column32) == 0, let value = unsafe PQgetvalue(pointer, row, column32)
        else {
            return unsafe PostgresCell(owner: self, column: column, type: type, bytes: nil)
        }
        let bytes = unsafe UnsafeRawBufferPointer(start: value, count: Int(PQgetlength(pointer, row, column32)))
        return unsafe PostgresCell(owner: self, column: column, type: type, bytes: bytes)
    }

    /// The error that this result stands for.
    var error: PostgresError {
        guard let sqlState = field(sqlStateField) else {
            let message = unsafe PQresultErrorMessage(pointer).map { unsafe String(cString: $0) } ?? ""
            return PostgresError(.connection, PostgresServerMessage.oneLine(message))
        }
        let message = field(primaryMessageField) ?? "no message"
        var error = PostgresError(
            .server, PostgresServerMessage.safe(message, sqlState: sqlState), sqlState: sqlState)
        error.constraint = field(constraintField)
        error.table = field(tableField)
        error.column = field(columnField)
        error.routine = field(routineField)
        return error
    }

    private func field(_ code: Character) -> String? {
        guard let ascii = code.asciiValue, let value = unsafe PQresultErrorField(pointer, Int32(ascii)) else {
            return nil
        }
        return unsafe String(cString: value)
    }
}

// The field codes of the protocol; libpq defines them in a header that is not meant for applications.
private let sqlStateField: Character = "C"
private let primaryMessageField: Character = "M"
private let tableField: Character = "t"
private let columnField: Character = "c"
private let constraintField: Character = "n"
private let routineField: Character = "R"
