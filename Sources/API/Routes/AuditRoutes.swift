import Foundation
import HTTPTypes
import Hummingbird
import Shared

/// Who did what: the audit log, page by page and as a file.
struct AuditRoutes: RouteGroup {
    /// Entries that are read and written at once.
    private static let chunk = 1000

    let database: PostgresClient
    private let audit = PostgresAuditStore()

    init(database: PostgresClient) {
        self.database = database
    }

    var routes: [Route] {
        [
            .permitted(.adminAudit, .get, "/api/v1/admin/audit", list),
            .permitted(.adminAudit, .get, "/api/v1/admin/audit/actions", actions),
            .permitted(.adminAudit, .get, "/api/v1/admin/audit/categories", categories),
            .permitted(.adminAudit, .get, "/api/v1/admin/audit/export", export),
        ]
    }

    private func list(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let page = query.auditPage()
        let filter = query.auditFilter()
        try query.check()
        let found = try await audit.page(filter, page, in: database)
        return .json(
            PagedAnswer(
                items: found.records.map { AuditRecordView(record: $0) }, page: page, total: found.total,
                isPartial: found.isPartial))
    }

    private func actions(_ call: AuthenticatedCall) async throws -> Response {
        let names = try await audit.actions(in: database)
        return .json(Members { $0.member("actions", names) })
    }

    private func categories(_ call: AuthenticatedCall) async throws -> Response {
        let names = try await audit.resourceTypes(in: database)
        return .json(Members { $0.member("categories", names) })
    }

    // MARK: Export

    private enum Format: String, CaseIterable {
        case csv
        case jsonl

        var contentType: String {
            switch self {
            case .csv: "text/csv; charset=utf-8"
            case .jsonl: "application/x-ndjson"
            }
        }
    }

    private func export(_ call: AuthenticatedCall) async throws -> Response {
        var query = try call.call.query()
        let formats = query.choices("format", of: Format.self)
        if formats.count > 1 { query.refuse("format", .choice, "must be csv or jsonl") }
        let filter = query.auditFilter()
        try query.check()
        let format = formats.first ?? .csv
        let isCut = try await audit.exceedsExport(filter, in: database)
        try await audit.append(
            AuditEntry(
                actor: call.actor, action: "AUDIT_EXPORT", resourceType: "audit_log", resourceId: nil,
                metadata: [
                    "format": .string(format.rawValue), "query": .string(call.request.uri.query ?? ""),
                    "isTruncated": .bool(isCut),
                ]),
            in: database)
        return Response(
            status: .ok,
            headers: [
                .contentType: format.contentType, .cacheControl: "no-store",
                .known("Content-Disposition"): "attachment; filename=\"audit-export.\(format.rawValue)\"",
                .known("X-Export-Limit"): String(PostgresAuditStore.exportLimit),
                .known("X-Export-Truncated"): isCut ? "true" : "false",
            ],
            body: ResponseBody { writer in
                if format == .csv { try await writer.write(ByteBuffer(string: AuditCSV.header)) }
                var cursor: AuditCursor?
                for _ in 0..<(PostgresAuditStore.exportLimit / Self.chunk) {
                    let (records, next) = try await audit.exportChunk(
                        filter, after: cursor, size: Self.chunk, in: database)
                    if !records.isEmpty { try await writer.write(Self.bytes(of: records, format)) }
                    cursor = next
                    if next == nil { break }
                }
                try await writer.finish(nil)
            })
    }

    private static func bytes(of records: [AuditRecord], _ format: Format) -> ByteBuffer {
        var buffer = ByteBuffer()
        for record in records {
            switch format {
            case .csv: buffer.writeString(AuditCSV.line(record))
            case .jsonl:
                buffer.writeBytes(JSONWriter.bytes(of: AuditRecordView(record: record)))
                buffer.writeString("\n")
            }
        }
        return buffer
    }
}

extension QueryFields {
    /// A page of the audit log, which is looked at only so far.
    mutating func auditPage() -> PageRequest {
        let page = page()
        if page.offset >= PostgresAuditStore.scanLimit {
            refuse(
                "page", .range,
                "must lie within the newest \(PostgresAuditStore.scanLimit) entries; narrow the time or use the export")
        }
        return page
    }

    /// Which entries of the audit log somebody wants to see.
    mutating func auditFilter() -> AuditFilter {
        var filter = AuditFilter()
        filter.action = string("action", limit: 100)
        filter.resourceType = string("resourceType", limit: 100)
        filter.resourceId = string("resourceId")
        filter.requestId = string("requestId")
        filter.userId = uuid("userId")
        filter.success = bool("success")
        filter.search = string("search")
        filter.excludedResourceTypes = strings("excludeResourceTypes", limit: 1000)
            .flatMap { $0.split(separator: ",").map { $0.trimmingCharacters(in: .whitespaces) } }
        filter.from = moment("startDate", isEnd: false)
        filter.before = moment("endDate", isEnd: true)
        if let from = filter.from, let before = filter.before, from >= before {
            refuse("startDate", .range, "must not be after endDate")
        }
        return filter
    }

    /// A day or a moment; as an end it is included itself.
    mutating func moment(_ name: String, isEnd: Bool) -> Date? {
        guard let text = string(name, limit: 40) else { return nil }
        if let day = UTCDay(text) { return isEnd ? day.end : day.start }
        // Entries are shown to the millisecond.
        if let date = ISO8601.date(from: text) { return isEnd ? date.addingTimeInterval(0.001) : date }
        refuse(name, .format, "must be a day such as 2026-01-31 or a time such as 2026-01-31T09:05:07Z")
        return nil
    }
}
