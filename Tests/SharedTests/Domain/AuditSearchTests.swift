import Foundation
import Shared
import TestSupport
import Testing

@Suite("Audit search", .needsDatabase, .hangGuard)
struct AuditSearchTests {
    private let audit = PostgresAuditStore()

    private func fill(_ count: Int, _ database: TestDatabase) async throws {
        try await database.client.query(
            """
            insert into audit_logs (created_at, actor, action, resource_type)
            select now() - n * interval '1 millisecond', 'system', 'A', 'user' from generate_series(1, \(Int32(count))) as n
            """)
        try await database.client.query("vacuum analyze audit_logs")
    }

    @Test("a page looks at a bounded number of entries, and says so")
    func bounded() async throws {
        try await withTestDatabase { test in
            try await fill(PostgresAuditStore.scanLimit + 10, test)
            let all = try await audit.page(AuditFilter(), PageRequest(), in: test.client)
            #expect(all.isPartial && all.total == PostgresAuditStore.scanLimit && all.records.count == 20)
            var filter = AuditFilter()
            filter.search = "nobody"
            let none = try await audit.page(filter, PageRequest(), in: test.client)
            #expect(none.isPartial && none.total == 0 && none.records.isEmpty)
            filter = AuditFilter()
            filter.from = try await test.client.query("select now() - interval '5 seconds'").one(Date.self)
            let some = try await audit.page(filter, PageRequest(), in: test.client)
            #expect(!some.isPartial && some.total < PostgresAuditStore.scanLimit)
        }
    }

    @Test("an export that would be cut is known beforehand")
    func cut() async throws {
        try await withTestDatabase { test in
            try await fill(PostgresAuditStore.exportLimit, test)
            #expect(try await !audit.exceedsExport(AuditFilter(), in: test.client))
            try await fill(1, test)
            #expect(try await audit.exceedsExport(AuditFilter(), in: test.client))
        }
    }

    @Test("what an index finds is found by it", arguments: ["action", "request", "resource", "user"])
    func plans(by column: String) async throws {
        try await withTestDatabase { test in
            try await fill(20_000, test)
            var filter = AuditFilter()
            switch column {
            case "action": filter.action = "RARE"
            case "request": filter.requestId = "rare"
            case "resource": (filter.resourceType, filter.resourceId) = ("user", "rare")
            default: filter.userId = UUID()
            }
            let asked = filter
            let blocks = try await test.client.withTransaction { transaction in
                let before = try await Self.reads(transaction)
                _ = try await audit.page(asked, PageRequest(), in: transaction)
                return try await Self.reads(transaction) - before
            }
            // A walk through the table reads every row.
            #expect(blocks < 1000, "\(column) read \(blocks) rows")
        }
    }

    /// Rows of the audit log that this transaction has read.
    private static func reads(_ transaction: PostgresTransaction) async throws -> Int {
        try await transaction.query(
            """
            select coalesce(sum(seq_tup_read) + sum(coalesce(idx_tup_fetch, 0)), 0)::bigint
            from pg_stat_xact_all_tables where relname like 'audit_logs%'
            """
        ).one(Int.self)
    }
}
