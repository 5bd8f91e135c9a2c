import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Files of usage that jobs write.
@Suite(.needsDatabase) struct UsageExportTests {
    private static let store = PostgresUsageExportStore()

    private static func request(_ format: UsageExportRequest.Format = .csv) throws -> UsageExportRequest {
        let day = try #require(UTCDay("2026-01-15"))
        return UsageExportRequest(scope: .admin, format: format, from: day.previous, to: day)
    }

    /// Users with one call each, and what belongs to nobody.
    private func addUsage(_ bench: KindBench, users: Int) async throws {
        try await bench.database.query(
            """
            insert into users (username, email, oauth_provider, oauth_id)
            select case when n = 1 then '=cmd|'' /C calc''!A1' else 'user ' || n end, n || '@example.com', 'test', n::text
            from generate_series(1, \(users)) as n
            """)
        try await bench.database.query(
            """
            insert into usage_days select '2026-01-15'::date - n, now(), true, 0, 0, 0, 0, 0, 0, 0, 1
            from generate_series(0, 1) as n
            """)
        try await bench.database.query(
            """
            insert into usage_daily (day, key_hash, model_id, provider, user_id, spend, prompt_tokens, completion_tokens,
                total_tokens, requests, successful_requests, failed_requests)
            select d.day, 'h' || u.oauth_id, 'gpt', 'openai', u.id, 0.25, 2, 1, 3, 4, 3, 1
            from users u cross join usage_days d where u.oauth_provider = 'test'
            union all select '2026-01-15', 'foreign', 'gpt', 'openai', null, 1, 2, 1, 3, 4, 3, 1
            """)
    }

    private func start(_ bench: KindBench, _ request: UsageExportRequest) async throws -> (id: UUID, jobId: Int64) {
        let id = UUID()
        let exports = UsageExports(queue: bench.services.queue)
        let job = try await bench.database.withTransaction { transaction in
            try await exports.start(request, id: id, ownerId: nil, by: bench.actor, in: transaction).job
        }
        return (id, job.id)
    }

    /// Makes the stored job read and write smaller parts.
    private func shrink(_ bench: KindBench, _ jobId: Int64, pageSize: Int, chunkSize: Int) async throws {
        try await bench.database.query(
            """
            update jobs set args = args || jsonb_build_object('pageSize', \(pageSize)::int, 'chunkSize', \(chunkSize)::int)
            where id = \(jobId)
            """)
    }

    private func chunks(_ bench: KindBench, _ id: UUID) async throws -> [Data] {
        var chunks: [Data] = []
        while let chunk = try await Self.store.chunk(chunks.count, of: id, in: bench.database) { chunks.append(chunk) }
        return chunks
    }

    @Test("pages and parts make the file that one look makes", arguments: UsageExportRequest.Format.allCases)
    func parts(_ format: UsageExportRequest.Format) async throws {
        try await KindBench.run { bench in
            try await addUsage(bench, users: 120)
            let request = try Self.request(format)
            let page = try await Self.store.page(request, after: nil, limit: 1000, in: bench.database)
            var writer = UsageExportWriter(request)
            writer.append(page.rows)
            writer.end()
            let bytes = writer.take(.max, isLast: true)
            let whole = try #require(bytes)

            let (id, jobId) = try await start(bench, request)
            // 120 is a multiple of 40: the last page of users is empty.
            try await shrink(bench, jobId, pageSize: 40, chunkSize: 1000)
            let output = try #require(try await bench.attempt(jobId) as? UsageExport.Output)
            #expect(output == UsageExport.Output(rows: 121, bytes: whole.count))
            let chunks = try await chunks(bench, id)
            #expect(chunks.count == (whole.count + 999) / 1000)
            #expect(chunks.dropLast().allSatisfy { $0.count == 1000 })
            #expect(chunks.reduce(Data(), +) == Data(whole))
            let file = try #require(try await Self.store.find(id, in: bench.database))
            #expect(file.status == .ready && file.rowCount == 121 && file.byteCount == whole.count)
            // As after a crash behind the commit.
            let again = try #require(try await bench.attempt(jobId) as? UsageExport.Output)
            #expect(again == output)
            #expect(try await self.chunks(bench, id) == chunks)
        }
    }

    @Test("CSV has LiteMaaS's columns, quotes what it must, and holds no formula; JSON says the same")
    func content() async throws {
        try await KindBench.run { bench in
            try await addUsage(bench, users: 2)
            var request = try Self.request()
            request.currency = "EUR"
            let page = try await Self.store.page(request, after: nil, limit: 10, in: bench.database)
            func text(_ format: UsageExportRequest.Format) -> String {
                request.format = format
                var writer = UsageExportWriter(request)
                writer.append(page.rows)
                writer.end()
                return String(decoding: writer.take(.max, isLast: true) ?? [], as: UTF8.self)
            }
            let lines = text(.csv).split(separator: "\r\n").map(String.init)
            #expect(
                lines[0]
                    == "User ID,Username,Email,Total Requests,Total Tokens,Prompt Tokens,Completion Tokens,Total Cost (EUR)"
            )
            #expect(lines.count == 4)
            #expect(lines.contains { $0.hasSuffix(",'=cmd|' /C calc'!A1,1@example.com,8,6,4,2,0.5") })
            #expect(lines[3] == ",Unknown User,,4,3,2,1,1")
            let rows = try JSON.decoder.decode([JSONValue].self, from: Data(text(.json).utf8))
            #expect(rows.map { $0["totalCost"] } == [0.5, 0.5, 1])
            #expect(rows.contains { $0["username"] == "=cmd|' /C calc'!A1" })
        }
    }

    @Test("filters hold for users, models, providers and keys")
    func filters() async throws {
        try await KindBench.run { bench in
            try await addUsage(bench, users: 3)
            try await bench.database.query("update usage_daily set key_alias = key_hash, provider = key_hash")
            let user = try await bench.database.query("select id from users where oauth_id = '2'").one(UUID.self)
            func rows(_ change: (inout UsageExportRequest) -> Void) async throws -> Int {
                var request = try Self.request()
                change(&request)
                return try await Self.store.page(request, after: nil, limit: 10, in: bench.database).rows.count
            }
            #expect(try await rows { _ in } == 4)
            #expect(try await rows { $0.userIds = [user] } == 1)
            #expect(try await rows { $0.modelIds = ["other"] } == 0)
            #expect(try await rows { $0.apiKeyIds = [] } == 0)
            #expect(try await rows { $0.providers = ["h3"] } == 1)
            #expect(try await rows { $0.to = $0.from } == 3)
        }
    }

    @Test("an attempt that is stopped half way leaves nothing, and the next one writes it all")
    func stopped() async throws {
        try await KindBench.run { bench in
            try await addUsage(bench, users: 30)
            let (id, jobId) = try await start(bench, try Self.request())
            try await shrink(bench, jobId, pageSize: 5, chunkSize: 100)
            // Refuses the tenth part, as a full disk would.
            try await bench.database.query(
                "alter table usage_export_chunks add constraint full_disk check (number < 10)")
            await #expect(throws: PostgresError.self) { try await bench.attempt(jobId) }
            #expect(try await chunks(bench, id).isEmpty)
            #expect(try await Self.store.find(id, in: bench.database)?.status == .pending)
            try await bench.database.query("alter table usage_export_chunks drop constraint full_disk")
            let output = try #require(try await bench.attempt(jobId) as? UsageExport.Output)
            #expect(output.rows == 31)
            #expect(try await chunks(bench, id).reduce(0) { $0 + $1.count } == output.bytes)
        }
    }

    @Test("a file shows that its job was given up; it and its parts go when its time is over")
    func endsAndGoes() async throws {
        try await KindBench.run { bench in
            try await addUsage(bench, users: 2)
            let (failed, failedJob) = try await start(bench, try Self.request())
            try await bench.end(failedJob, as: .failed, code: "tired")
            let file = try await Self.store.find(failed, in: bench.database)
            #expect(file?.status == .failed && file?.error?["code"] == "tired")
            let (kept, jobId) = try await start(bench, try Self.request())
            try await bench.attempt(jobId)
            try await bench.database.query("update usage_exports set expires_at = now() where id = \(failed)")
            #expect(try await Self.store.find(failed, in: bench.database) == nil)
            let purge = try await bench.services.queue.enqueue(UsagePurge(requestDays: 30))
            let output = try #require(try await bench.attempt(purge.id) as? UsagePurge.Output)
            #expect(output == UsagePurge.Output(exports: 1, requests: 0))
            #expect(try await chunks(bench, kept).count == 1)
            try await bench.database.query("update usage_exports set expires_at = now()")
            let gone = await #expect(throws: JobFailure.self) { try await bench.attempt(jobId) }
            #expect(gone?.info.code == "export_gone")
            try await bench.attempt(purge.id)
            #expect(try await bench.database.query("select 1 from usage_export_chunks").isEmpty)
        }
    }
}
