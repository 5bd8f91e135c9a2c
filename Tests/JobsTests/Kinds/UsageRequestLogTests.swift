import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Single calls from LiteLLM's spend log.
@Suite(.needsDatabase) struct UsageRequestLogTests {
    private static var settings: ProvisioningSettings {
        var settings = ProvisioningSettings()
        settings.keepsRequestLog = true
        return settings
    }

    private static func row(_ id: String, at time: Date, key: String = "foreign") -> FakeLiteLLM.Row {
        [
            "request_id": .string(id), "startTime": .string(ISO8601.string(from: time)),
            "endTime": .string(ISO8601.string(from: time + 1.5)), "api_key": .string(key), "model_group": "gpt",
            "model": "openai/gpt", "spend": 0.25, "prompt_tokens": 2, "completion_tokens": 3, "total_tokens": 5,
            "status": .string(id.hasPrefix("bad") ? "failure" : "success"), "messages": "a secret question",
        ]
    }

    private func run(_ bench: KindBench) async throws -> UsageRequestLog.Output {
        let job = try await bench.services.queue.enqueue(UsageRequestLog())
        let output = try #require(try await bench.attempt(job.id) as? UsageRequestLog.Output)
        try await bench.finish(job.id)
        return output
    }

    private func records(_ bench: KindBench) async throws -> [UsageLogRecord] {
        try await PostgresUsageLogStore().page(UsageLogFilter(), after: nil, limit: 100, in: bench.database).records
    }

    @Test("each call is one row, with its owner; what appears late is found by the next run")
    func takesOver() async throws {
        try await KindBench.run(settings: Self.settings) { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let key = try await bench.addKey(user)
            let now = Date()
            bench.litellm.change { state in
                state.spendLogs = [
                    Self.row("one", at: now - 7200, key: key.key.hash), Self.row("bad", at: now - 60),
                    Self.row("before all", at: now - 30 * 3600),
                ]
            }
            let first = try await run(bench)
            #expect(first.added == 2 && first.isCaughtUp)
            var records = try await records(bench)
            #expect(records.map(\.entry.requestId) == ["bad", "one"])
            #expect(records.map(\.userId) == [nil, user.id])
            #expect(records[1].apiKeyId == key.key.id && records[1].entry.durationMs == 1500)
            #expect(records.map(\.entry.status) == [.failure, .success])
            #expect(records[1].entry.spend == Decimal(string: "0.25"))

            bench.litellm.change { $0.spendLogs += [Self.row("late", at: now - 300), Self.row("far", at: now - 3600)] }
            let second = try await run(bench)
            #expect(second.added == 1)
            records = try await self.records(bench)
            #expect(records.map(\.entry.requestId) == ["bad", "late", "one"])
            #expect(try await run(bench).added == 0)
        }
    }

    @Test("a busy window is cut until it fits, and nothing is lost or there twice")
    func busy() async throws {
        try await KindBench.run(settings: Self.settings) { bench in
            let now = Date()
            // 500 on a page, 20 pages in a window.
            bench.litellm.change { state in
                state.spendLogs = (0..<12_000).map { Self.row("r\($0)", at: now - 3000 + Double($0) / 4.5) }
            }
            let output = try await run(bench)
            #expect(output.added == 12_000 && output.isCaughtUp)
            #expect(try await bench.database.query("select count(*) from usage_logs").one(Int.self) == 12_000)
        }
    }

    @Test("a run that dies at any call is taken over, and every call is there once")
    func deaths() async throws {
        try await KindBench.run(settings: Self.settings) { bench in
            let now = Date()
            bench.litellm.change { state in
                state.spendLogs = (0..<3).map { Self.row("r\($0)", at: now - 60 + Double($0)) }
            }
            try await bench.everyDeath(atLeast: 4) {
                for table: PostgresQuery in ["delete from usage_logs", "delete from usage_log_state"] {
                    try await bench.database.query(table)
                }
                return ((), try await bench.services.queue.enqueue(UsageRequestLog()).id)
            } check: { _, death in
                let ids = try await records(bench).map(\.entry.requestId)
                #expect(ids == ["r2", "r1", "r0"], "\(death)")
            }
        }
    }

    @Test("without the setting nothing is read, and what is too old goes")
    func offAndOld() async throws {
        try await KindBench.run { bench in
            let job = try await bench.services.queue.enqueue(UsageRequestLog())
            let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job.id) }
            #expect(failure?.info.code == "request_log_off")
            #expect(bench.litellm.state.calls.isEmpty)
            let entries = [10.0, 40].map { days in
                UsageLogEntry(
                    requestId: "\(days)", startedAt: Date() - days * 86_400, keyHash: "k", modelId: "m", spend: 0,
                    promptTokens: 0, completionTokens: 0, totalTokens: 0, status: .success, durationMs: nil)
            }
            _ = try await bench.database.withTransaction { try await PostgresUsageLogStore().store(entries, in: $0) }
            let purge = try await bench.services.queue.enqueue(UsagePurge(requestDays: 30))
            let output = try #require(try await bench.attempt(purge.id) as? UsagePurge.Output)
            #expect(output.requests == 1)
            #expect(try await records(bench).map(\.entry.requestId) == ["10.0"])
        }
    }

    @Test("pages follow each other without gaps, whatever shares a moment")
    func pages() async throws {
        try await KindBench.run { bench in
            let now = Date()
            let entries = (0..<7).map { index in
                UsageLogEntry(
                    requestId: "r\(index)", startedAt: now - Double(index / 3), keyHash: "k", modelId: "m\(index % 2)",
                    spend: 0, promptTokens: 0, completionTokens: 0, totalTokens: 0, status: .success, durationMs: nil)
            }
            let log = PostgresUsageLogStore()
            _ = try await bench.database.withTransaction { try await log.store(entries, in: $0) }
            var seen: [String] = []
            var cursor: UsageLogCursor?
            repeat {
                let page = try await log.page(UsageLogFilter(), after: cursor, limit: 2, in: bench.database)
                seen += page.records.map(\.entry.requestId)
                cursor = try page.next.map { try #require(UsageLogCursor($0.text)) }
            } while cursor != nil
            #expect(seen == ["r2", "r1", "r0", "r5", "r4", "r3", "r6"])
            var filter = UsageLogFilter()
            filter.modelId = "m1"
            #expect(try await log.page(filter, after: nil, limit: 10, in: bench.database).records.count == 3)
            #expect(UsageLogCursor("bm9uc2Vuc2U=") == nil)
        }
    }
}
