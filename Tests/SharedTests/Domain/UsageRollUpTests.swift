import Foundation
import Shared
import TestSupport
import Testing

@Suite(.needsDatabase, .hangGuard)
struct UsageRollUpTests {
    /// Sums that differ from those of the days, in either direction.
    private static let differences: PostgresQuery = """
        with weeks as (
            select day - extract(isodow from day)::integer + 1 as week, user_id, api_key_id, model_id, provider,
                count(*)::integer as entries, sum(spend)::numeric(24, 12) as spend,
                sum(prompt_tokens)::bigint as prompt_tokens, sum(completion_tokens)::bigint as completion_tokens,
                sum(total_tokens)::bigint as total_tokens, sum(requests)::bigint as requests,
                sum(successful_requests)::bigint as successful_requests, sum(failed_requests)::bigint as failed_requests
            from usage_daily group by 1, 2, 3, 4, 5
        ), models as (
            select day, model_id, provider, count(*)::integer as entries, sum(spend)::numeric(24, 12) as spend,
                sum(prompt_tokens)::bigint as prompt_tokens, sum(completion_tokens)::bigint as completion_tokens,
                sum(total_tokens)::bigint as total_tokens, sum(requests)::bigint as requests,
                sum(successful_requests)::bigint as successful_requests, sum(failed_requests)::bigint as failed_requests
            from usage_daily group by 1, 2, 3
        )
        select (select count(*) from (table weeks except table usage_weeks) d)
            + (select count(*) from (table usage_weeks except table weeks) d)
            + (select count(*) from (table models except table usage_day_models) d)
            + (select count(*) from (table usage_day_models except table models) d)
        """

    private static func day(_ number: Int, _ round: Int) throws -> UsageDay {
        let day = try #require(UTCDay("2026-03-02")).advanced(by: number)
        let entries = (0..<6).map { index in
            UsageEntry(
                keyHash: "key-\((index + round) % 4)", modelId: "model-\(index % 3)", provider: "openai", keyAlias: nil,
                totals: UsageTotals(
                    spend: Decimal(string: "0.\(number + 1)\(round + 1)\(index)000001") ?? 0, promptTokens: index,
                    completionTokens: round, totalTokens: index + round, requests: number + 1,
                    successfulRequests: number, failedRequests: 1))
        }
        return UsageDay(day: day, fetchedAt: Date(), isComplete: true, totals: .zero, entries: entries)
    }

    @Test func followWhateverHappensToTheDays() async throws {
        try await withTestDatabase { database in
            let client = database.client
            // Days of three weeks, those of one week at the same time, each several times.
            try await withThrowingTaskGroup(of: Void.self) { group in
                for number in 0..<16 {
                    group.addTask {
                        for round in 0..<4 {
                            let usage = try Self.day(number, round)
                            try await client.withTransaction { transaction in
                                _ = try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
                            }
                        }
                    }
                }
                try await group.waitForAll()
            }
            #expect(try await client.query("select count(*) from usage_daily").one(Int.self) == 96)
            #expect(try await client.query("select count(distinct week) from usage_weeks").one(Int.self) == 3)
            #expect(try await client.query(Self.differences).one(Int.self) == 0)
            // A key becomes somebody's, days are forgotten.
            try await client.query(
                "update usage_daily set user_id = gen_random_uuid() where key_hash = 'key-1' and day > '2026-03-04'")
            #expect(try await client.query(Self.differences).one(Int.self) == 0)
            try await client.query("delete from usage_days where day < '2026-03-10' or day = '2026-03-12'")
            #expect(try await client.query(Self.differences).one(Int.self) == 0)
            #expect(try await client.query("select count(distinct week) from usage_weeks").one(Int.self) == 2)
        }
    }

    @Test func weeksBeginOnMonday() throws {
        for (text, monday) in [
            ("2026-01-05", "2026-01-05"), ("2026-01-11", "2026-01-05"), ("2026-01-04", "2025-12-29"),
            ("1970-01-01", "1969-12-29"), ("1969-12-28", "1969-12-22"),
        ] {
            let day = try #require(UTCDay(text))
            #expect(day.startOfWeek.description == monday)
        }
    }

    /// Ranges of every length and beginning, of weeks and of edges, have the sums of their days.
    @Test func sumsOfRangesAreThoseOfTheirDays() async throws {
        try await withTestDatabase { database in
            let client = database.client
            for number in 0..<16 {
                let usage = try Self.day(number, 0)
                try await client.withTransaction { transaction in
                    _ = try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
                }
            }
            let first = try #require(UTCDay("2026-03-02"))
            for from in stride(from: -1, through: 15, by: 2) {
                for to in from...16 {
                    let filter = UsageFilter(from: first.advanced(by: from), to: first.advanced(by: to))
                    let found = try await PostgresUsageStore().analytics(filter, in: client)
                    let days = max(from, 0)..<max(min(to + 1, 16), max(from, 0))
                    let expected = try days.reduce(UsageTotals.zero) { totals, number in
                        try Self.day(number, 0).entries.reduce(totals) { $0 + $1.totals }
                    }
                    #expect(found.totals == expected, "\(filter.from) to \(filter.to)")
                    #expect(found.days.reduce(.zero) { $0 + $1.totals } == expected, "\(filter.from) to \(filter.to)")
                }
            }
        }
    }
}
