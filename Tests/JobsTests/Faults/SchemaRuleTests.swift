import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Properties of the tables that keep whole families of trouble away.
@Suite("Rules of the schema", .hangGuard)
struct SchemaRuleTests {
    @Test("the live table is not partitioned, and partitions hang on times that never change")
    func partitionKeys() async throws {
        try await withTestDatabase { database in
            let rows = try await database.client.query(
                """
                select c.relname::text, pg_get_partkeydef(c.oid) from pg_partitioned_table p
                join pg_class c on c.oid = p.partrelid where c.relname like 'job%' order by 1
                """)
            let keys = try rows.map { row in
                let (table, key) = try row.decode(String.self, String.self)
                return "\(table) \(key)"
            }
            #expect(keys == ["job_attempts RANGE (ended_at)", "job_history RANGE (finished_at)"])
        }
    }

    @Test("autovacuum comes early to the live table, and is not slowed down there")
    func autovacuum() async throws {
        try await withTestDatabase { database in
            let options = try await database.client.query(
                "select unnest(reloptions)::text from pg_class where relname = 'jobs'"
            ).map { try $0.decode(String.self) }
            let values = Dictionary(
                uniqueKeysWithValues: options.map { option in
                    let parts = option.split(separator: "=")
                    return (String(parts[0]), Double(parts[1]) ?? -1)
                })
            #expect(try #require(values["autovacuum_vacuum_scale_factor"]) <= 0.05)
            #expect(try #require(values["autovacuum_vacuum_cost_delay"]) == 0)
        }
    }

    @Test("rows that wait for a person, a time or another job are in no index that a claim reads")
    func claimIndex() async throws {
        try await withTestDatabase { database in
            let definition = try await database.client.query(
                "select indexdef from pg_indexes where indexname = 'jobs_claim'"
            ).one(String.self)
            #expect(definition.hasSuffix("WHERE (state = 0)"))
        }
    }

    @Test("all indexes of the live table are valid")
    func validIndexes() async throws {
        try await withTestDatabase { database in
            let invalid = try await database.client.query(
                """
                select indexrelid::regclass::text from pg_index
                where indrelid = 'jobs'::regclass and not (indisvalid and indisready)
                """)
            #expect(invalid.isEmpty)
        }
    }

    @Test("no lease, due time or deadline is judged by a worker's clock, and no ownership rests on a session")
    func clocksAndSessions() throws {
        let jobs = TestDatabaseServer.migrations.deletingLastPathComponent().appending(path: "Sources/Jobs")
        let files = try #require(
            FileManager.default.enumerator(at: jobs, includingPropertiesForKeys: nil)?.compactMap { $0 as? URL })
        let swift = files.filter { $0.pathExtension == "swift" }
        #expect(swift.count > 30)
        // The schedules work out times of day; what is due is compared in SQL all the same.
        for file in swift
        where ["Engine", "Store", "Breaker"].contains(file.deletingLastPathComponent().lastPathComponent) {
            let text = try String(contentsOf: file, encoding: .utf8)
            #expect(!text.contains("Date()") && !text.contains("Date.now"), "\(file.lastPathComponent)")
            #expect(!text.contains(/pg_(try_)?advisory_lock/), "\(file.lastPathComponent)")
            #expect(!text.contains(/\btemp(orary)? table\b/), "\(file.lastPathComponent)")
        }
    }
}
