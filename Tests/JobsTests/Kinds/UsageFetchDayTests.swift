import Foundation
import TestSupport
import Testing

@testable import Jobs
@testable import Shared

@Suite(.needsDatabase) struct UsageFetchDayTests {
    private static let day = "2026-01-15"

    private static func metrics(_ spend: Double, _ requests: Int) -> JSONValue {
        [
            "spend": .double(spend), "prompt_tokens": .int(requests * 10), "completion_tokens": .int(requests * 5),
            "total_tokens": .int(requests * 15), "api_requests": .int(requests),
            "successful_requests": .int(requests - 1), "failed_requests": 1,
        ]
    }

    /// A page with one key's use of one model.
    static func page(
        _ hash: String, _ model: String, _ spend: Double, _ requests: Int, day: UTCDay? = nil
    ) -> JSONValue {
        let metrics = metrics(spend, requests)
        let byKey: JSONValue = .object([hash: ["metrics": metrics, "metadata": ["key_alias": "an-alias"]]])
        let entry: JSONValue = ["metrics": metrics, "metadata": [:], "api_key_breakdown": byKey]
        return [
            "date": .string(day?.description ?? Self.day), "metrics": metrics,
            "breakdown": [
                "models": .object(["openai/\(model)": entry]), "model_groups": .object([model: entry]),
                "providers": ["openai": entry], "entities": [:],
                "api_keys": .object([hash: ["metrics": metrics, "metadata": ["key_alias": "an-alias"]]]),
            ],
        ]
    }

    private func fetch(_ bench: KindBench, _ text: String = day) async throws -> UsageFetchDay.Output {
        let day = try #require(UTCDay(text))
        let job = try await bench.database.withTransaction { transaction in
            try await UsageCollection(queue: bench.services.queue).request(
                day, requester: JobRequester(id: nil), in: transaction)
        }
        let output = try #require(try await bench.attempt(job.id) as? UsageFetchDay.Output)
        try await bench.finish(job.id)
        return output
    }

    private func stored(_ bench: KindBench, _ text: String = day) async throws -> UsageDay? {
        try await PostgresUsageStore().day(try #require(UTCDay(text)), in: bench.database)
    }

    @Test func addsAllPagesUpExactly() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let key = try await bench.addKey(user)
            bench.litellm.change { state in
                state.activity[Self.day] = [
                    Self.page(key.key.hash, "gpt", 0.1, 2), Self.page(key.key.hash, "gpt", 0.2, 3),
                    Self.page("foreign", "gpt", 1e-9, 4), Self.page(key.key.hash, "other", 0.7, 1),
                ]
            }
            let output = try await fetch(bench)
            #expect(output.entries == 3)
            #expect(output.requests == 10)
            #expect(output.spend == "1.000000001")
            #expect(output.isComplete)
            let day = try #require(try await stored(bench))
            #expect(day.totals.spend == Decimal(string: "1.000000001"))
            #expect(day.totals.promptTokens == 100)
            #expect(day.totals.failedRequests == 4)
            let own = try #require(day.entries.first { $0.keyHash == key.key.hash && $0.modelId == "gpt" })
            #expect(own.totals.spend == Decimal(string: "0.3"))
            #expect(own.totals.requests == 5)
            #expect(own.provider == "openai")
            #expect(own.keyAlias == "an-alias")

            let range = UsageFilter(from: day.day, to: day.day, userId: user.id)
            let summary = try await PostgresUsageStore().summary(range, in: bench.database)
            #expect(summary.totals.spend == 1)
            #expect(summary.byModel.map(\.modelId) == ["other", "gpt"])
            #expect(summary.byDay.map(\.totals.requests) == [6])
            #expect(summary.freshness.missingDays.isEmpty)
            #expect(summary.freshness.incompleteDays.isEmpty)
            #expect(summary.freshness.takenAt == day.fetchedAt)
        }
    }

    @Test func replacesTheDayAsAWhole() async throws {
        try await KindBench.run { bench in
            bench.litellm.change { $0.activity[Self.day] = [Self.page("a", "gpt", 5, 2), Self.page("b", "gpt", 1, 2)] }
            _ = try await fetch(bench)
            bench.litellm.change { $0.activity[Self.day] = [Self.page("b", "gpt", 2, 3)] }
            _ = try await fetch(bench)
            let day = try #require(try await stored(bench))
            #expect(day.entries.map(\.keyHash) == ["b"])
            #expect(day.totals.spend == 2)
        }
    }

    @Test func aDayWithoutUseHasARow() async throws {
        try await KindBench.run { bench in
            let output = try await fetch(bench)
            #expect(output.entries == 0)
            #expect(output.spend == "0")
            #expect(try await stored(bench)?.totals == .zero)
        }
    }

    @Test func todayIsNotCompleteAndTomorrowIsRefused() async throws {
        try await KindBench.run { bench in
            let today = UTCDay(containing: Date())
            #expect(try await !fetch(bench, today.description).isComplete)
            let day = try #require(try await stored(bench, today.description))
            #expect(!day.isComplete)
            let summary = try await PostgresUsageStore().summary(
                UsageFilter(from: today.previous, to: today), in: bench.database)
            #expect(summary.freshness.missingDays == [today.previous])
            #expect(summary.freshness.incompleteDays == [today])
            let failure = await #expect(throws: JobFailure.self) { try await fetch(bench, today.next.next.description) }
            #expect(failure?.info.code == "day_in_future")
        }
    }

    @Test func aYesterdayWithinTheGraceIsNotComplete() {
        let day = UTCDay(containing: Date(timeIntervalSince1970: 1_000_000))
        let activity = LiteLLMDailyActivity(rows: [], total: LiteLLMUsageMetrics())
        func isComplete(after seconds: TimeInterval) -> Bool {
            UsageAggregation.day(
                day, from: activity, providers: [:], fetchedAt: day.end + seconds, grace: .seconds(300)
            ).isComplete
        }
        #expect(!isComplete(after: -1))
        #expect(!isComplete(after: 299))
        #expect(isComplete(after: 300))
    }

    @Test func survivesDeathOnAnyPage() async throws {
        // Two pages and LiteLLM's own sum of them.
        for call in 1...4 {
            try await KindBench.run { bench in
                bench.litellm.change { state in
                    state.activity[Self.day] = [Self.page("a", "gpt", 5, 2), Self.page("b", "gpt", 1, 2)]
                }
                let job = try await bench.services.queue.enqueue(UsageFetchDay(date: try #require(UTCDay(Self.day))))
                let died = try await bench.dies(job.id, atCall: call, afterEffect: true)
                #expect(died == (call < 4))
                #expect((try await stored(bench) == nil) == died)
                for _ in 1...2 { try await bench.attempt(job.id) }
                #expect(try await stored(bench)?.totals.spend == 6)
                #expect(try await stored(bench)?.entries.count == 2)
            }
        }
    }

    @Test func anOlderAnswerDoesNotReplaceANewerOne() async throws {
        try await KindBench.run { bench in
            let day = try #require(UTCDay(Self.day))
            let now = Date()
            @Sendable func usage(_ fetchedAt: Date, _ spend: Decimal) -> UsageDay {
                UsageDay(
                    day: day, fetchedAt: fetchedAt, isComplete: true, totals: UsageTotals(spend: spend), entries: [])
            }
            let store = PostgresUsageStore()
            let stored = try await bench.database.withTransaction { transaction in
                [
                    try await store.replace(usage(now, 2), jobId: 1, in: transaction),
                    try await store.replace(usage(now - 1, 1), jobId: 2, in: transaction),
                ]
            }
            #expect(stored == [true, false])
            #expect(try await store.day(day, in: bench.database)?.totals.spend == 2)
        }
    }
}

@Suite(.needsDatabase) struct SecretsPurgeTests {
    @Test func takesExpiredAndOrphanedSecretsOnly() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let live = try await bench.addKey(user)
            let failed = try await bench.addKey(user)
            let discarded = try await bench.addKey(user)
            let verified = try await bench.addKey(user)
            try await bench.attempt(verified.job.id)
            try await bench.finish(verified.job.id)
            try await bench.end(failed.job.id, as: .failed)
            try await bench.end(discarded.job.id, as: .failed)
            try await bench.database.query(
                "update job_dead_letters set discarded_at = now() where id = \(discarded.job.id)")
            try await bench.database.query("update sealed_secrets set created_at = now() - interval '1 day'")

            let purge = try await bench.services.queue.enqueue(SecretsPurge())
            var output = try #require(try await bench.attempt(purge.id) as? SecretsPurge.Output)
            #expect(output == SecretsPurge.Output(expired: 0, orphaned: 1, answers: 0))
            #expect(try await !bench.keepsSecret(discarded))
            for key in [live, failed, verified] { #expect(try await bench.keepsSecret(key)) }

            try await bench.database.query(
                "update sealed_secrets set delete_after = now() where delete_after is not null")
            output = try #require(try await bench.attempt(purge.id) as? SecretsPurge.Output)
            #expect(output == SecretsPurge.Output(expired: 1, orphaned: 0, answers: 0))
            #expect(try await !bench.keepsSecret(verified))
            #expect(try await bench.keepsSecret(live))
        }
    }
}
