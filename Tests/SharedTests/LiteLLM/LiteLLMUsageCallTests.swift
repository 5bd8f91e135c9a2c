import Foundation
import Shared
import Testing

@Suite("LiteLLM: daily activity")
struct LiteLLMUsageCallTests {
    /// One row of LiteLLM's table.
    struct Row {
        var key = "k1"
        var user: String? = "u1"
        /// The public name.
        var model: String? = "gpt"
        /// What the deployment calls it; nil for the same.
        var deployment: String?
        var provider = "openai"
        var spend = "0"
        var ok = 1
        var failed = 0
        var tokens = 10
    }

    @Test("rows by key and model, with owner and provider")
    func rows() async throws {
        let page = Self.page([
            Row(spend: "0.1", ok: 2), Row(model: "free", ok: 1), Row(key: "k2", user: nil, spend: "0.2"),
        ])
        let activity = try await FakeLiteLLM(["GET /user/daily/activity": .answer(body: page)]).client()
            .dailyActivity(date: "2026-11-23")
        #expect(activity.rows.map(\.keyHash) == ["k1", "k1", "k2"])
        #expect(activity.rows.map(\.modelGroup) == ["free", "gpt", "gpt"])
        #expect(activity.rows.map(\.provider) == ["openai", "openai", "openai"])
        #expect(activity.rows.map(\.userId) == ["u1", "u1", nil])
        #expect(activity.rows.map(\.keyAlias) == ["alias-k1", "alias-k1", "alias-k2"])
        #expect(activity.rows.map(\.date) == ["2026-11-23", "2026-11-23", "2026-11-23"])
        #expect(activity.rows.map(\.metrics.spend) == [0, Decimal(string: "0.1"), Decimal(string: "0.2")])
        #expect(activity.total.requests == 4)
    }

    @Test("pages are parts of tables: all are added up, whatever their size")
    func pages() async throws {
        let rows = (0..<60).map { index in
            Row(
                key: "k\(index % 7)", user: index % 5 == 0 ? nil : "u\(index % 3)",
                model: index % 11 == 0 ? nil : "m\(index % 4)",
                provider: index % 13 == 0 ? "unknown" : "p\(index % 2)",
                spend: index % 13 == 0 ? "0" : "0.\(index)7",
                ok: index % 13 == 0 ? 0 : 2,
                failed: index % 3, tokens: index % 13 == 0 ? 0 : index)
        }
        let expected = try await Self.serving(rows).client().dailyActivity(date: "2026-11-23")
        for size in [1, 7, 59] {
            let litellm = Self.serving(rows)
            let activity = try await litellm.client { $0.usagePageSize = size }.dailyActivity(date: "2026-11-23")
            let walk = litellm.transport.requests.prefix((rows.count + size - 1) / size)
            #expect(walk.map { $0.query["page"] } == (1...walk.count).map { "\($0)" })
            #expect(walk.allSatisfy { $0.query["page_size"] == "\(size)" && $0.query["model"] == nil })
            #expect(activity.total == expected.total)
            #expect(activity.rows.reduce(into: LiteLLMUsageMetrics()) { $0 += $1.metrics } == expected.total)
            // What belongs to no model cannot be asked for.
            let (parts, wanted) = (Self.parts(activity), Self.parts(expected))
            #expect(parts == wanted)
            // A row to a page leaves nothing open.
            if size == 1 { #expect(litellm.calls.count == walk.count) }
        }
        #expect(expected.rows.reduce(into: LiteLLMUsageMetrics()) { $0 += $1.metrics } == expected.total)
        #expect(expected.total.spend == rows.reduce(Decimal.zero) { $0 + (Decimal(string: $1.spend) ?? 0) })
        #expect(expected.rows.contains { $0.modelGroup == nil })
    }

    @Test("the provider of what was answered is the only one that answered")
    func provider() async throws {
        let refused = Row(model: "nope", provider: "unknown", ok: 0, failed: 1, tokens: 0)
        let activity = try await activity(Self.page([Row(), refused]))
        #expect(activity.rows.map(\.modelGroup) == ["gpt", "nope"])
        #expect(activity.rows.map(\.provider) == ["openai", nil])
    }

    @Test("usage without key makes a row of its own, the noise of doubles does not")
    func leftovers() async throws {
        let metrics = #""spend":0.30000000000000004,"api_requests":5,"successful_requests":5,"failed_requests":0"#
        let part = #"{"metrics":{"spend":0.1,"api_requests":2,"successful_requests":2},"metadata":{}"#
        let none = #"{"metrics":{"spend":0.2,"api_requests":3,"successful_requests":3},"metadata":{}}"#
        let body = """
            {"results":[{"date":"2026-11-23","metrics":{\(metrics)},"breakdown":{"models":{},"model_groups":
            {"m":\(part),"api_key_breakdown":{"k":\(part)}}}},"providers":{},"entities":{},"api_keys":{"k":\(part)},
            "":\(none)}}}],"metadata":{"page":1,"total_pages":1,"has_more":false}}
            """
        let activity = try await activity(body)
        #expect(activity.rows.map(\.keyHash) == [nil, "k"])
        #expect(activity.rows.map(\.modelGroup) == [nil, "m"])
        #expect(activity.rows.map(\.metrics.requests) == [3, 2])
        #expect(activity.rows.map(\.provider) == [nil, nil])
    }

    @Test("releases without groups and key totals are read by model")
    func older() async throws {
        let metrics =
            #"{"spend":"0.5","prompt_tokens":3,"completion_tokens":4,"successful_requests":1,"failed_requests":1}"#
        let body = """
            {"results":[{"date":"2026-11-23","metrics":\(metrics),"breakdown":{"models":{"m":{"metrics":\(metrics),
            "api_key_breakdown":{"k":{"metrics":\(metrics)}}}}}}],"metadata":{"page":1,"total_pages":1}}
            """
        let row = try #require(try await activity(body).rows.first)
        #expect(row.modelGroup == "m")
        #expect(row.metrics.totalTokens == 7)
        #expect(row.metrics.requests == 2)
        #expect(row.metrics.spend == Decimal(string: "0.5"))
    }

    @Test("a walk during which pages came or went is begun again, and given up in the end")
    func moving() async throws {
        let rows = (0..<4).map { Row(key: "k\($0)") }
        let before = Self.pages(rows, size: 2)
        let after = Self.pages(rows + [Row(key: "new")], size: 2)
        let settled = FakeLiteLLM(["GET /user/daily/activity": [before[0], after[1]] + after])
        let activity = try await settled.client().dailyActivity(date: "2026-11-23")
        #expect(activity.total.requests == 5)
        #expect(settled.calls.count == 5)
        let restless = FakeLiteLLM([
            "GET /user/daily/activity": [before[0], after[1], before[0], after[1], before[0], after[1]]
        ])
        let error = try await liteLLMError { try await restless.client().dailyActivity(date: "2026-11-23") }
        #expect(error.code == "litellm_list_incomplete")
        #expect(error.kind == .retryable)
    }

    @Test("a day that is over is taken again when a row moved between its pages, though their number stayed")
    func shifted() async throws {
        // As LiteLLM sorts by random ids: "new" pushes k1 to the second page, where it counts again.
        let rows = (0..<4).map { Row(key: "k\($0)", spend: "0.1") }
        let grown = [rows[0], Row(key: "new", spend: "0.1")] + rows[1...]
        let before = Self.pages(rows + [Row(key: "k4")], size: 2)
        let after = Self.pages(grown + [Row(key: "k4")], size: 2)
        #expect(before.count == after.count)
        let walks = [before[0], after[1], after[2]] + after
        let sum = FakeLiteLLM.Outcome.answer(body: Self.page(grown + [Row(key: "k4")]))
        let litellm = FakeLiteLLM([
            "GET /user/daily/activity": walks, "GET /user/daily/activity/aggregated": [sum, sum],
        ])
        let activity = try await litellm.client().dailyActivity(date: "2026-11-23", isOver: true)
        #expect(activity.total.requests == 6)
        #expect(activity.rows.map(\.keyHash) == ["k0", "k1", "k2", "k3", "k4", "new"])
        #expect(litellm.calls.count == 8)

        let restless = FakeLiteLLM([
            "GET /user/daily/activity": before + before + before,
            "GET /user/daily/activity/aggregated": [sum, sum, sum],
        ])
        let error = try await liteLLMError {
            try await restless.client().dailyActivity(date: "2026-11-23", isOver: true)
        }
        #expect(error.code == "litellm_list_incomplete")
        #expect(error.kind == .retryable)
    }

    @Test("a day under way, a single page, and a release without the sum are taken as they are")
    func unsummed() async throws {
        let pages = Self.pages([Row(), Row(key: "k2")], size: 1)
        let today = FakeLiteLLM(["GET /user/daily/activity": pages])
        #expect(try await today.client().dailyActivity(date: "2026-11-23").total.requests == 2)
        let single = FakeLiteLLM(["GET /user/daily/activity": .answer(body: Self.page([Row()]))])
        #expect(try await single.client().dailyActivity(date: "2026-11-23", isOver: true).total.requests == 1)
        #expect(single.calls.count == 1)
        for status in [404, 405] {
            let older = FakeLiteLLM([
                "GET /user/daily/activity": pages,
                "GET /user/daily/activity/aggregated": [.answer(status, #"{"detail":"Not Found"}"#)],
            ])
            let activity = try await older.client().dailyActivity(date: "2026-11-23", isOver: true)
            #expect(activity.total.requests == 2)
        }
    }

    @Test("no usage, one page alone, and answers that are none")
    func edges() async throws {
        let nothing = #"{"results":[],"metadata":{"page":1,"total_pages":0,"has_more":false}}"#
        #expect(try await activity(nothing).rows.isEmpty)
        let litellm = FakeLiteLLM(["GET /user/daily/activity": Self.pages([Row(), Row(key: "k2")], size: 1)])
        let page = try await litellm.client().dailyActivity(date: "2026-11-23", page: 1)
        #expect(page.hasMore)
        #expect(page.totalPages == 2)
        #expect(page.activity.rows.map(\.keyHash) == ["k1"])
        for body in ["{}", #"{"results":[{}],"metadata":{}}"#, #"{"results":[]}"#, #"{"results":{},"metadata":{}}"#] {
            #expect(try await liteLLMError { try await activity(body) }.code == "litellm_bad_response")
        }
    }

    /// What is known of each key, model and provider.
    private static func parts(_ activity: LiteLLMDailyActivity) -> [[String?]: LiteLLMUsageMetrics] {
        let named = activity.rows.filter { $0.modelGroup != nil }
        return Dictionary(uniqueKeysWithValues: named.map { ([$0.keyHash, $0.modelGroup, $0.provider], $0.metrics) })
    }

    private func activity(_ body: String) async throws -> LiteLLMDailyActivity {
        try await FakeLiteLLM(["GET /user/daily/activity": .answer(body: body)]).client().dailyActivity(
            date: "2026-11-23")
    }
}

// MARK: - LiteLLM's side

extension LiteLLMUsageCallTests {
    static func pages(_ rows: [Row], size: Int) -> [FakeLiteLLM.Outcome] {
        let count = (rows.count + size - 1) / size
        return (0..<count).map { index in
            let part = Array(rows[(index * size)..<min(rows.count, (index + 1) * size)])
            return .answer(body: page(part, index + 1, of: count))
        }
    }

    /// A LiteLLM with these rows in its table.
    static func serving(_ rows: [Row]) -> FakeLiteLLM { FakeLiteLLM { try serve(rows, $0) } }

    static func serve(_ rows: [Row], _ request: HTTPClientRequest) throws -> HTTPClientResponse {
        let chosen = rows.filter { [nil, $0.deployment ?? $0.model].contains(request.query["model"]) }
        let number = Int(request.query["page"] ?? "") ?? 1
        return try pages(chosen, size: Int(request.query["page_size"] ?? "") ?? 50)[number - 1].get()
    }

    /// What LiteLLM adds its rows up to.
    static func page(_ rows: [Row], _ page: Int = 1, of pages: Int = 1) -> String {
        let groups = breakdown(rows) { $0.model }
        let keys = Dictionary(grouping: rows, by: \.key).map { key, rows in
            #""\#(key)":{"metrics":\#(metrics(rows)),"metadata":\#(owner(rows[0]))}"#
        }.joined(separator: ",")
        return """
            {"results":[{"date":"2026-11-23","metrics":\(metrics(rows)),"breakdown":{"mcp_servers":{},
            "models":\(breakdown(rows) { $0.deployment ?? $0.model }),"model_groups":\(groups),"providers":\(breakdown(rows) { $0.provider }),"api_keys":{\(keys)},
            "entities":\(breakdown(rows) { $0.user ?? "Unassigned" })}}],
            "metadata":{"page":\(page),"total_pages":\(pages),"has_more":\(page < pages)}}
            """
    }

    private static func breakdown(_ rows: [Row], by name: (Row) -> String?) -> String {
        let named = rows.filter { name($0) != nil }
        let parts = Dictionary(grouping: named) { name($0) ?? "" }.map { name, rows in
            let keys = Dictionary(grouping: rows, by: \.key).map { key, rows in
                #""\#(key)":{"metrics":\#(metrics(rows)),"metadata":\#(owner(rows[0]))}"#
            }
            let inner = keys.joined(separator: ",")
            return #""\#(name)":{"metrics":\#(metrics(rows)),"metadata":{},"api_key_breakdown":{\#(inner)}}"#
        }
        return "{\(parts.joined(separator: ","))}"
    }

    private static func metrics(_ rows: [Row]) -> String {
        let spend = rows.reduce(Decimal.zero) { $0 + (Decimal(string: $1.spend) ?? 0) }
        let ok = rows.reduce(0) { $0 + $1.ok }
        let failed = rows.reduce(0) { $0 + $1.failed }
        let tokens = rows.reduce(0) { $0 + $1.tokens }
        let answered = rows.count { $0.ok > 0 }
        return """
            {"spend":\(spend),"flat_cost":0.0,"prompt_tokens":\(tokens),"completion_tokens":0,"total_tokens":\(tokens),
            "cache_read_input_tokens":\(answered),"cache_creation_input_tokens":\(answered * 2),
            "api_requests":\(ok + failed),"successful_requests":\(ok),"failed_requests":\(failed)}
            """
    }

    private static func owner(_ row: Row) -> String {
        let user = row.user.map { #""\#($0)""# } ?? "null"
        return #"{"key_alias":"alias-\#(row.key)","team_id":null,"user_id":\#(user),"key_exists":true}"#
    }
}
