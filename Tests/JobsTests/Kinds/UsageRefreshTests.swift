import Foundation
import Shared
import TestSupport
import Testing

@testable import Jobs

/// Which days are taken over, when, and again.
@Suite(.needsDatabase) struct UsageRefreshTests {
    private var today: UTCDay { UTCDay(containing: Date()) }

    /// A day as it was taken over before.
    private func store(_ day: UTCDay, isComplete: Bool, in database: PostgresClient) async throws {
        let usage = UsageDay(
            day: day, fetchedAt: Date() - 60, isComplete: isComplete, totals: UsageTotals(spend: 7), entries: [])
        _ = try await database.withTransaction { transaction in
            try await PostgresUsageStore().replace(usage, jobId: 1, in: transaction)
        }
    }

    /// The days that a refresh asks for.
    private func asked(_ bench: KindBench, days: Int) async throws -> [String] {
        let job = try await bench.services.queue.enqueue(UsageRefresh(days: days))
        // Twice: the second attempt is the one after a crash, and finds the children there.
        for _ in 1...2 {
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(job.id) }
        }
        let rows = try await bench.database.query(
            "select args->>'date' from jobs where parent_id = \(job.id) order by id")
        return try rows.map { try $0.decode(String.self) }
    }

    @Test("gaps fill by themselves, the newest first and a few at a time; what is final is not asked for again")
    func gaps() async throws {
        try await KindBench.run { bench in
            let today = today
            for (back, isComplete) in [(1, false), (2, true), (4, true)] {
                try await store(today.advanced(by: -back), isComplete: isComplete, in: bench.database)
            }
            let wanted = [0, 1, 3, 5, 6].map { today.advanced(by: -$0).description }
            let days = try await asked(bench, days: 7)
            #expect(days == wanted)
            try await bench.database.query("delete from jobs")
            let all = try await asked(bench, days: 60)
            #expect(all.count == UsageRefresh.most)
            #expect(all.prefix(5).elementsEqual(wanted))
        }
    }

    @Test("a day is taken again until its grace has passed, and then no more")
    func lateSpend() async throws {
        var settings = ProvisioningSettings()
        // Yesterday is over and takes late spend all day today, the day before does not.
        settings.usageGrace = .seconds(24 * 3600)
        try await KindBench.run(settings: settings) { bench in
            let yesterday = today.previous
            let page: (Double) -> JSONValue = { UsageFetchDayTests.page("a", "gpt", $0, 2, day: yesterday) }
            for spend in [1.0, 2.0] {
                let shown = page(spend)
                bench.litellm.change { $0.activity[yesterday.description] = [shown] }
                let days = try await asked(bench, days: 3)
                #expect(days.contains(yesterday.description))
                try await bench.database.query("delete from jobs where parent_id is null")
                try await bench.runAll()
                let stored = try await PostgresUsageStore().day(yesterday, in: bench.database)
                #expect(stored?.totals.spend == Decimal(spend))
                #expect(stored?.isComplete == false)
            }
            let before = try await PostgresUsageStore().day(yesterday.previous, in: bench.database)
            #expect(before?.isComplete == true && before?.totals == .zero)
            #expect(try await asked(bench, days: 3) == [today.description, yesterday.description])
        }
    }

    @Test("usage of a key that became known later belongs to its owner once the day is rebuilt")
    func attribution() async throws {
        try await KindBench.run { bench in
            try await bench.addModel("gpt")
            let user = try await bench.addUser(isSynced: true)
            let key = try await bench.addKey(user)
            let day = today.advanced(by: -3)
            let hash = String(repeating: "e", count: 64)
            bench.litellm.change { state in
                state.activity[day.description] = [UsageFetchDayTests.page(hash, "gpt", 4, 3, day: day)]
            }
            @Sendable func fetch() async throws -> Decimal {
                let job = try await bench.services.queue.enqueue(UsageFetchDay(date: day))
                try await bench.attempt(job.id)
                try await bench.finish(job.id)
                let filter = UsageFilter(from: day, to: day, userId: user.id)
                return try await PostgresUsageStore().summary(filter, in: bench.database).totals.spend
            }
            #expect(try await fetch() == 0)
            try await bench.database.query(
                """
                insert into api_key_hashes (key_hash, api_key_id, litellm_alias, key_prefix, role)
                values (\(hash), \(key.key.id), 'adopted', 'sk-adopted', 'old')
                """)
            #expect(try await fetch() == 4)
        }
    }
}

/// Ranges of days that people have taken over anew.
@Suite(.needsDatabase) struct UsageRebuildTests {
    private func harness(_ database: TestDatabase, _ litellm: FakeLiteLLM) async throws -> EngineHarness {
        try await EngineHarness(
            database, catalog: JobCatalog([UsageRebuild.self, UsageFetchDay.self]), litellm: litellm.client)
    }

    private var settings: EngineSettings {
        var settings = EngineHarness.fastSettings
        // Longer than the limit of a usage call, or none would start.
        settings.lease = .seconds(600)
        return settings
    }

    @Test("every day of the range is replaced, final ones too; what fails is named and stays as it was")
    func partial() async throws {
        try await withTestDatabase { database in
            let litellm = FakeLiteLLM()
            let harness = try await harness(database, litellm)
            let days = UTCDay.range(
                from: try #require(UTCDay("2026-02-26")), to: try #require(UTCDay("2026-03-02")))
            let usage = PostgresUsageStore()
            for day in days {
                let old = UsageDay(
                    day: day, fetchedAt: Date() - 60, isComplete: true, totals: UsageTotals(spend: 9), entries: [])
                _ = try await database.client.withTransaction { try await usage.replace(old, jobId: 1, in: $0) }
                litellm.change { $0.activity[day.description] = [UsageFetchDayTests.page("a", "gpt", 2, 3, day: day)] }
            }
            // One of them, whichever comes first: 422 is for good.
            litellm.fail("/user/daily/activity", .answer(422, ["detail": "no"]))
            try await harness.running([harness.engine(settings)]) {
                let id = try await harness.enqueue(UsageRebuild(from: days[0], to: days[4]))
                let done = try await harness.wait(for: id, .succeeded)
                #expect(done.result?["rebuiltDays"] == 4)
                #expect(done.result?["totalEntries"] == 4)
                let failed = done.result?["failedDays"]?.arrayValue?.compactMap(\.stringValue) ?? []
                #expect(failed.count == 1)
                for day in days {
                    let stored = try await usage.day(day, in: database.client)
                    #expect(stored?.totals.spend == (failed.contains(day.description) ? 9 : 2))
                }
                let again = try await harness.enqueue(UsageRebuild(from: days[0], to: days[4]))
                #expect(try await harness.wait(for: again, .succeeded).result?["failedDays"] == [])
            }
            #expect(try await harness.count("select count(*) from usage_daily") == 5)
        }
    }

    @Test("a final day shrinks to less than half only where that is forced")
    func shrunk() async throws {
        try await KindBench.run { bench in
            let day = try #require(UTCDay("2026-02-26"))
            let usage = PostgresUsageStore()
            func fetch(_ requests: Int, force: Bool = false, isFinal: Bool = true) async throws -> Int? {
                let old = UsageDay(
                    day: day, fetchedAt: Date(), isComplete: isFinal, totals: UsageTotals(spend: 9, requests: 7),
                    entries: [])
                try await bench.database.query("delete from usage_days")
                _ = try await bench.database.withTransaction { try await usage.replace(old, jobId: 1, in: $0) }
                let pages = requests > 0 ? [UsageFetchDayTests.page("a", "gpt", 2, requests, day: day)] : []
                bench.litellm.change { $0.activity[day.description] = pages }
                let job = try await bench.services.queue.enqueue(UsageFetchDay(date: day, force: force))
                do {
                    try await bench.attempt(job.id)
                } catch let failure as JobFailure {
                    #expect(failure.info.code == "usage_shrunk" && failure.info.message.contains("final with 7"))
                }
                try await bench.finish(job.id)
                return try await usage.day(day, in: bench.database)?.totals.requests
            }
            #expect(try await fetch(0) == 7)
            #expect(try await fetch(3) == 7)
            #expect(try await fetch(4) == 4)
            #expect(try await fetch(0, force: true) == 0)
            #expect(try await fetch(3, isFinal: false) == 3)
        }
    }

    @Test("a range in the wrong order or of more than a year is refused")
    func ranges() async throws {
        try await KindBench.run { bench in
            let day = try #require(UTCDay("2026-01-01"))
            for (from, to) in [(day.next, day), (day, day.advanced(by: 366))] {
                let job = try await bench.services.queue.enqueue(UsageRebuild(from: from, to: to))
                let failure = await #expect(throws: JobFailure.self) { try await bench.attempt(job.id) }
                #expect(failure?.info.code == "invalid_range")
            }
            let year = try await bench.services.queue.enqueue(UsageRebuild(from: day, to: day.advanced(by: 365)))
            await #expect(throws: JobWaitForChildren.self) { try await bench.attempt(year.id) }
            let children = try await bench.database.query("select count(*) from jobs where parent_id = \(year.id)")
            #expect(try children.one(Int.self) == 366)
        }
    }
}
