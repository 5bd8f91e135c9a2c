import Synchronization

extension PostgresClient {
    /// Sends rows to the server by COPY and gives the number of rows stored.
    ///
    /// - Parameters:
    ///   - statement: `copy table (columns) from stdin`, with the format in which the rows come; binds nothing.
    ///   - rows: pieces of the data, cut anywhere. See `PostgresCopyText` for the text format.
    ///   - timeout: the limit for all of it; nil is no limit on this side.
    ///
    /// Throws `PostgresError`, or what `rows` throws; nothing is stored then.
    @discardableResult
    package func copyIn<Rows: AsyncSequence>(
        _ statement: PostgresQuery, rows: Rows, timeout: Duration? = nil
    ) async throws -> Int where Rows.Element == [UInt8] {
        var iterator = rows.makeAsyncIterator()
        return try await copyIn(statement, timeout) { try await iterator.next() }
    }

    /// Sends rows that are there already. See the other `copyIn`.
    @discardableResult
    package func copyIn(
        _ statement: PostgresQuery, rows: some Sequence<[UInt8]>, timeout: Duration? = nil
    ) async throws -> Int {
        var iterator = rows.makeIterator()
        return try await copyIn(statement, timeout) { iterator.next() }
    }

    private func copyIn(
        _ statement: PostgresQuery, _ timeout: Duration?, next: () async throws -> [UInt8]?
    ) async throws -> Int {
        let lease = PostgresLease(try await pool.lease(), settings)
        defer { pool.release(lease.session, lease.end()) }
        return try await lease.copyIn(statement, timeout: timeout ?? settings.statementTimeout, next: next)
    }
}

extension PostgresTransaction {
    /// Sends rows by COPY as a part of the transaction. See `PostgresClient.copyIn`.
    @discardableResult
    package func copyIn(
        _ statement: PostgresQuery, rows: some Sequence<[UInt8]>, timeout: Duration? = nil
    ) async throws -> Int {
        var iterator = rows.makeIterator()
        return try await lease.copyIn(statement, timeout: timeout ?? lease.settings.statementTimeout) {
            iterator.next()
        }
    }
}

extension PostgresLease {
    /// Small rows are sent together.
    private static let chunkSize = 64 * 1024

    fileprivate func copyIn(
        _ statement: PostgresQuery, timeout: Duration?, next: () async throws -> [UInt8]?
    ) async throws -> Int {
        guard statement.parameters.list.isEmpty else { throw PostgresError(.misuse, "COPY cannot bind values") }
        // COPY cannot travel together with what begins the transaction.
        if let opening, !opening.isSent.load(ordering: .relaxed) { _ = try await run(["select 1"], timeout: timeout) }
        let request = try await startCopy(statement.sql, timeout: timeout)
        do {
            var chunk: [UInt8] = []
            while let row = try await next() {
                chunk.append(contentsOf: row)
                guard chunk.count >= Self.chunkSize else { continue }
                try Task.checkCancellation()
                try await copyData(chunk, request)
                chunk.removeAll(keepingCapacity: true)
            }
            if !chunk.isEmpty { try await copyData(chunk, request) }
            try Task.checkCancellation()
        } catch {
            await abortCopy(request)
            throw error is CancellationError ? PostgresCancelReason.task.error(limit: nil) : error
        }
        return try await endCopy(request)
    }
}

/// Rows in COPY's text format: columns separated by tabs, `\N` for NULL, a line for each row.
package enum PostgresCopyText {
    /// One row, escaped, with its line end.
    package static func row(_ columns: [String?]) -> [UInt8] {
        var bytes: [UInt8] = []
        for (index, column) in columns.enumerated() {
            if index > 0 { bytes.append(UInt8(ascii: "\t")) }
            guard let column else {
                bytes.append(contentsOf: #"\N"#.utf8)
                continue
            }
            for byte in column.utf8 {
                switch byte {
                case UInt8(ascii: "\\"): bytes.append(contentsOf: #"\\"#.utf8)
                case UInt8(ascii: "\t"): bytes.append(contentsOf: #"\t"#.utf8)
                case UInt8(ascii: "\n"): bytes.append(contentsOf: #"\n"#.utf8)
                case UInt8(ascii: "\r"): bytes.append(contentsOf: #"\r"#.utf8)
                default: bytes.append(byte)
                }
            }
        }
        bytes.append(UInt8(ascii: "\n"))
        return bytes
    }
}
