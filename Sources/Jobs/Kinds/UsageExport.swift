package import Foundation
package import Shared

/// Writes a file of usage that is too large for one answer into the database, part by part.
package struct UsageExport: JobKind {
    /// What it reports.
    package struct Output: Codable, Sendable, Equatable {
        package var rows: Int
        package var bytes: Int
    }

    /// What one file may hold.
    private static let most = 256 << 20

    package static let name = "usage.export"
    package static let queue = "usage"
    package static let timeout: Duration = .seconds(900)

    package let exportId: UUID
    /// Users read at once, and bytes in one part; the usual ones when absent.
    var pageSize: Int?
    var chunkSize: Int?

    package init(exportId: UUID) {
        self.exportId = exportId
    }

    package var orderKey: String? { "usage-export:\(exportId.text)" }

    /// All pages are read in one snapshot, and written in the same transaction: a file is there as a whole or not at all,
    /// and does not mix a day with what replaced it.
    package func run(in context: JobContext) async throws -> Output {
        // No fence: the file's own row is locked first, and whoever comes second finds it ready or fails as the snapshot
        // is older than the row. To look at the job's row would fail whenever somebody watches the job.
        try await context.services.database.withTransaction(isolation: .repeatableRead) { transaction in
            let store = PostgresUsageExportStore()
            guard let file = try await store.lock(exportId, in: transaction) else {
                throw JobFailure.permanent(code: "export_gone", message: "The export has expired; ask for it again.")
            }
            if file.status == .ready { return Output(rows: file.rowCount ?? 0, bytes: file.byteCount ?? 0) }
            let output = try await write(file.request, in: transaction)
            try await store.finish(exportId, rows: output.rows, bytes: output.bytes, in: transaction)
            return output
        }
    }

    private func write(_ request: UsageExportRequest, in transaction: PostgresTransaction) async throws -> Output {
        let store = PostgresUsageExportStore()
        let size = min(max(chunkSize ?? 512 << 10, 1), 1 << 20)
        var writer = UsageExportWriter(request)
        var output = Output(rows: 0, bytes: 0)
        var number = 0
        var cursor: UUID?
        var isLast = false
        repeat {
            let page = try await store.page(request, after: cursor, limit: pageSize ?? 1000, in: transaction)
            writer.append(page.rows)
            cursor = page.next
            isLast = cursor == nil
            if isLast { writer.end() }
            while let chunk = writer.take(size, isLast: isLast) {
                output.bytes += chunk.count
                guard output.bytes <= Self.most else {
                    throw JobFailure.permanent(
                        code: "export_too_large",
                        message: "The file would exceed \(Self.most >> 20) MB; ask for fewer days or users.")
                }
                try await store.append(chunk, number: number, to: exportId, in: transaction)
                number += 1
            }
            try Task.checkCancellation()
        } while !isLast
        output.rows = writer.rowCount
        return output
    }

    package func ended(_ end: JobEnd, in transaction: PostgresTransaction) async throws {
        try await PostgresUsageExportStore().mark(
            exportId, failed: ["code": .string(end.error.code), "message": .string(end.error.message)], in: transaction)
    }

    package func retried(jobId: Int64, in transaction: PostgresTransaction) async throws {
        try await PostgresUsageExportStore().mark(exportId, failed: nil, in: transaction)
    }
}
