import Foundation
import Shared
import Testing

/// LiteLLM tells a key's use by model and by provider, but not by both: what one page leaves open is asked for by model.
@Suite("LiteLLM: usage by provider")
struct LiteLLMUsageProviderTests {
    typealias Row = LiteLLMUsageCallTests.Row

    private static func part(_ row: LiteLLMUsageRow) -> String {
        "\(row.keyHash ?? "-") \(row.modelGroup ?? "-") \(row.provider ?? "-") \(row.metrics.requests) \(row.metrics.spend)"
    }

    @Test("one model at several providers: the parts by provider are the key's, refused ones too, without another look")
    func oneModel() async throws {
        let litellm = LiteLLMUsageCallTests.serving([
            Row(provider: "openai", spend: "0.25", ok: 2), Row(provider: "azure", spend: "0.5", ok: 3),
            Row(provider: "unknown", ok: 0, failed: 4, tokens: 0), Row(key: "k2", spend: "1"),
        ])
        let activity = try await litellm.client().dailyActivity(date: "2026-11-23")
        #expect(
            activity.rows.map(Self.part) == [
                "k1 gpt - 4 0", "k1 gpt azure 3 0.5", "k1 gpt openai 2 0.25", "k2 gpt openai 1 1",
            ])
        #expect(litellm.calls.count == 1)
    }

    @Test("several models at several providers are asked for model by model, and only those", arguments: [3, 50])
    func severalModels(_ size: Int) async throws {
        let litellm = LiteLLMUsageCallTests.serving([
            Row(deployment: "gpt-oa", provider: "openai", spend: "0.25", ok: 2),
            Row(deployment: "gpt-az", provider: "azure", spend: "0.5", ok: 3),
            Row(model: "other", deployment: "o", provider: "azure", spend: "0.125"),
            Row(model: "other", deployment: "o", provider: "openai", spend: "2"),
            Row(key: "k2", model: "third", provider: "openai", spend: "4"),
            Row(key: "k2", deployment: "gpt-oa", provider: "openai", spend: "8"),
        ])
        let activity = try await litellm.client { $0.usagePageSize = size }.dailyActivity(date: "2026-11-23")
        #expect(
            activity.rows.map(Self.part) == [
                "k1 gpt azure 3 0.5", "k1 gpt openai 2 0.25", "k1 other azure 1 0.125", "k1 other openai 1 2",
                "k2 gpt openai 1 8", "k2 third openai 1 4",
            ])
        #expect(activity.total.spend == activity.rows.reduce(0) { $0 + $1.metrics.spend })
        let asked = Set(litellm.transport.requests.compactMap { $0.query["model"] })
        #expect(asked == ["gpt-az", "gpt-oa", "o"])
    }

    @Test("what is spent in between leaves the providers of that model open, and of no other")
    func goesOn() async throws {
        let rows = [
            Row(deployment: "gpt-oa", provider: "openai"), Row(deployment: "gpt-az", provider: "azure"),
            Row(model: "other", provider: "azure"),
        ]
        let later = FakeLiteLLM { request in
            var now = rows
            if request.query["model"] != nil { now[0].ok += 1 }
            return try LiteLLMUsageCallTests.serve(now, request)
        }
        let activity = try await later.client().dailyActivity(date: "2026-11-23")
        #expect(activity.rows.map(Self.part) == ["k1 gpt - 2 0", "k1 other azure 1 0"])
    }

    @Test("a provider that only failed has its failures")
    func failures() async throws {
        let activity = try await LiteLLMUsageCallTests.serving([
            Row(provider: "openai", spend: "1", ok: 5), Row(provider: "azure", ok: 0, failed: 3, tokens: 0),
        ]).client().dailyActivity(date: "2026-11-23")
        #expect(activity.rows.map(Self.part) == ["k1 gpt azure 3 0", "k1 gpt openai 5 1"])
    }

    @Test("names that were only refused are not asked for, and their refusals still count")
    func refusals() async throws {
        let names = (0..<50).map {
            Row(model: "gpt", deployment: "x-\($0)", provider: "unknown", ok: 0, failed: 1, tokens: 0)
        }
        let litellm = LiteLLMUsageCallTests.serving(
            names + [
                Row(provider: "openai", spend: "1"), Row(provider: "azure", spend: "2"),
                Row(model: "other", provider: "azure", spend: "4"),
            ])
        let activity = try await litellm.client().dailyActivity(date: "2026-11-23")
        #expect(
            activity.rows.map(Self.part) == [
                "k1 gpt - 50 0", "k1 gpt azure 1 2", "k1 gpt openai 1 1", "k1 other azure 1 4",
            ])
        #expect(Set(litellm.transport.requests.compactMap { $0.query["model"] }) == ["gpt", "other"])
    }

    @Test("a failure of the second look costs today nothing; a day that is over is tried again")
    func failing() async throws {
        let rows = [
            Row(spend: "1"), Row(provider: "azure", spend: "2"), Row(model: "other", provider: "azure", spend: "4"),
        ]
        let litellm = FakeLiteLLM { request in
            guard request.query["model"] == nil else { return .json(500, #"{"detail":"no"}"#) }
            return try LiteLLMUsageCallTests.serve(rows, request)
        }
        let today = try await litellm.client().dailyActivity(date: "2026-11-23")
        #expect(today.rows.map(Self.part) == ["k1 gpt - 2 3", "k1 other - 1 4"])
        let error = try await liteLLMError {
            try await litellm.client().dailyActivity(date: "2026-11-23", isOver: true)
        }
        #expect(error.kind == .retryable)
    }
}
