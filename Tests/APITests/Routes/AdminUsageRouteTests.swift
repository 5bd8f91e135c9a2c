import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Everybody's usage", .needsDatabase, .hangGuard)
struct AdminUsageRouteTests {
    private static let analytics = "/api/v1/admin/usage/analytics"

    @Test("analytics show every side of the range, and what each is worth")
    func analytics() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let answer = try await scene.ask(Self.analytics)
            #expect(answer.status == 200, "\(answer.text)")
            #expect(answer["period"] == ["startDate": "2026-01-02", "endDate": "2026-01-13"])
            #expect(answer["totalUsers"] == 3 && answer["activeUsers"] == 2 && answer["totalRequests"] == 22)
            #expect(answer["totalTokens"] == ["total": 977, "prompt": 651, "completion": 326])
            #expect(answer["successRate"] == 86.36 && answer["averageLatency"] == 0)
            // To the last digit.
            #expect(answer.text.contains(#""total":7.250000000001,"#))
            #expect(answer["totalCost", "byProvider"] == ["openai": 5.25, "anthropic": 2.000000000001])
            #expect(answer["totalCost", "byModel"] == ["gpt": 5.25, "claude": 2.000000000001])
            #expect(
                answer["totalCost", "byUser"]
                    == .object([
                        scene.alice.id.text: 3.75, scene.bob.id.text: 0.500000000001, "unattributed": 3,
                    ]))
            #expect(answer["topMetrics", "topUser", "username"] == "alice")
            #expect(answer["topMetrics", "topUser", "tokens"] == 465)
            #expect(answer["topMetrics", "topModel", "modelId"] == "gpt")
            // The revoked one.
            #expect(answer["topMetrics", "topApiKey", "keyAlias"]?.stringValue == scene.second.alias)
            #expect(answer["topMetrics", "topApiKey", "cost"] == 2)
            #expect(answer["unattributed", "requests"] == 6 && answer["unattributed", "cost"] == 3)
            #expect(answer["topUsers"]?.arrayValue?.compactMap { $0["username"]?.stringValue } == ["alice", "bob"])
            #expect(answer["topModels"]?.arrayValue?.compactMap { $0["requests"]?.intValue } == [16, 6])
            #expect(answer["missingDays"] == UsageScene.missing && answer["incompleteDays"] == ["2026-01-13"])
            #expect(answer["takenAt"]?.stringValue != nil)
            #expect(try DocumentedShape().problems(of: answer.json, as: "UsageAnalytics") == [])
        }
    }

    @Test("each day is there that was taken, and the days and their models add up to the whole")
    func days() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let answer = try await scene.ask(Self.analytics)
            let days = try #require(answer["dailyUsage"]?.arrayValue)
            #expect(days.map { $0["date"] } == ["2026-01-02", "2026-01-06", "2026-01-07", "2026-01-13"])
            #expect(days.map { $0["requests"]?.intValue } == [5, 10, 0, 7])
            #expect(days.map { $0["prompt_tokens"]?.intValue } == [100, 250, 0, 301])
            let models = try #require(answer["dailyModelUsage"]?.arrayValue)
            #expect(models.map { $0["models"]?.arrayValue?.count } == [1, 2, 0, 2])
            #expect(models[1]["models"]?[0]?["modelId"] == "claude" && models[1]["models"]?[0]?["requests"] == 5)
            #expect(models[1]["models"]?[1]?["requests"] == 5 && models[1]["models"]?[1]?["cost"] == 0.75)
            // With a filter on users the same days are added up from single keys.
            let people: JSONValue = [.string(scene.alice.id.text), .string(scene.bob.id.text)]
            let filtered = try await scene.ask(Self.analytics, ["userIds": people])
            #expect(filtered["dailyUsage"]?.arrayValue?.map { $0["requests"]?.intValue } == [5, 10, 0, 1])
        }
    }

    @Test("trends compare with as many days before")
    func trends() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            func trend(_ answer: Answer, _ name: String) -> [JSONValue?] {
                let trend = answer["trends", name]
                return [trend?["current"], trend?["previous"], trend?["percentageChange"], trend?["direction"]]
            }
            let all = try await scene.ask(Self.analytics)
            #expect(all["comparison", "startDate"] == "2025-12-21" && all["comparison", "endDate"] == "2026-01-01")
            #expect(all["comparison", "missingDays"]?.arrayValue?.count == 11)
            #expect(trend(all, "requestsTrend") == [22, 22, 0, "stable"])
            #expect(trend(all, "usersTrend") == [2, 1, 100, "up"])
            #expect(trend(all, "totalTokensTrend") == [977, 266, 267.29, "up"])
            #expect(trend(all, "promptTokensTrend") == [651, 200, 225.5, "up"])
            #expect(trend(all, "completionTokensTrend") == [326, 66, 393.94, "up"])
            #expect(trend(all, "costTrend")[3] == "up" && all["trends", "costTrend", "metric"] == "cost")
            let alice = try await scene.ask(Self.analytics, ["userIds": [.string(scene.alice.id.text)]])
            #expect(trend(alice, "requestsTrend") == [11, 22, -50, "down"])
            #expect(trend(alice, "usersTrend") == [1, 1, 0, "stable"])
            let bob = try await scene.ask(Self.analytics, ["userIds": [.string(scene.bob.id.text)]])
            #expect(trend(bob, "requestsTrend") == [5, 0, 100, "up"])
            let none = try await scene.ask(Self.analytics, ["modelIds": ["none"]])
            #expect(trend(none, "requestsTrend") == [0, 0, 0, "stable"])
            #expect(none["topMetrics"] == ["topUser": nil, "topModel": nil, "topApiKey": nil])
        }
    }

    @Test("every filter leaves in what it names, alone and together")
    func filters() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let alice: JSONValue = [.string(scene.alice.id.text)]
            let first: JSONValue = [.string(scene.first.alias)]
            #expect(try await scene.requests(["userIds": alice]) == 11)
            #expect(try await scene.requests(["modelIds": ["claude"]]) == 6)
            #expect(try await scene.requests(["modelIds": "claude"]) == 6)
            #expect(try await scene.requests(["providerIds": ["openai"]]) == 16)
            #expect(try await scene.requests(["providerIds": ["openai", "anthropic"]]) == 22)
            // By any name that it ever had, a key is all its secrets.
            #expect(try await scene.requests(["apiKeyIds": first]) == 6)
            #expect(try await scene.requests(["apiKeyIds": [.string(scene.oldAlias)]]) == 6)
            #expect(try await scene.requests(["apiKeyIds": [.string(scene.second.alias)]]) == 5)
            #expect(try await scene.requests(["apiKeyIds": ["nobody's"]]) == 0)
            // A file is about the same keys.
            for (alias, requests) in [(scene.oldAlias, 6 as Int?), (scene.second.alias, 5), ("nobody's", nil)] {
                let file = try await scene.ask(
                    "/api/v1/admin/usage/export", ["apiKeyIds": [.string(alias)], "format": "json"])
                #expect(file.status == 200 && file["0", "totalRequests"]?.intValue == requests, "\(alias)")
            }
            #expect(
                try await scene.requests(["apiKeyIds": [], "userIds": [], "modelIds": [], "providerIds": []]) == 22)
            let together: [String: JSONValue] = [
                "userIds": alice, "modelIds": ["gpt"], "providerIds": ["openai"], "apiKeyIds": first,
            ]
            #expect(try await scene.requests(together) == 6)
            #expect(try await scene.requests(together.merging(["providerIds": ["anthropic"]]) { $1 }) == 0)
            let foreign = try await scene.ask(Self.analytics, ["userIds": alice])
            #expect(foreign["unattributed", "requests"] == 0 && foreign["totalCost", "total"] == 3.75)
        }
    }

    @Test("a breakdown by users has their models and keys, and with what belongs to nobody it is the whole")
    func byUser() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let answer = try await scene.ask("/api/v1/admin/usage/by-user")
            let users = try #require(answer["data"]?.arrayValue)
            #expect(users.map { $0["username"] } == ["alice", "bob"])
            #expect(users.map { $0["metrics"]?["requests"]?.intValue } == [11, 5])
            #expect(users[0]["metrics"]?["tokens"] == ["total": 465, "prompt": 310, "completion": 155])
            #expect(users[0]["email"] == "alice@example.com" && users[0]["role"] == "user")
            let models = try #require(users[0]["metrics"]?["models"]?.arrayValue)
            #expect(models.map { $0["modelId"] } == ["claude", "gpt"])
            let keys = try #require(users[0]["metrics"]?["apiKeys"]?.arrayValue)
            #expect(keys.map { $0["keyId"]?.stringValue } == [scene.second.id, scene.first.id])
            #expect(keys.map { $0["requests"]?.intValue } == [5, 6])
            #expect(keys[1]["lastUsed"] == "2026-01-06T00:00:00.000Z")
            #expect(users[1]["metrics"]?["lastActive"] == "2026-01-13T00:00:00.000Z")
            #expect(answer["unattributed", "requests"] == 6)
            #expect(11 + 5 + 6 == 22)
            #expect(
                answer["pagination"] == [
                    "page": 1, "limit": 50, "total": 2, "totalPages": 1, "hasNext": false, "hasPrevious": false,
                ])
            #expect(answer["missingDays"] == UsageScene.missing)
            #expect(try DocumentedShape().problems(of: answer.json, as: "UsageByUser") == [])
            let filtered = try await scene.ask("/api/v1/admin/usage/by-user", ["providerIds": ["anthropic"]])
            #expect(filtered["data", "0", "metrics", "lastActive"] == "2026-01-06T00:00:00.000Z")
            #expect(filtered["data", "0", "metrics", "apiKeys"]?.arrayValue?.count == 1)
        }
    }

    @Test("breakdowns by models and by providers are the whole")
    func byModelAndProvider() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let models = try await scene.ask("/api/v1/admin/usage/by-model")
            #expect(models["data"]?.arrayValue?.map { $0["modelId"] } == ["gpt", "claude"])
            #expect(
                models["data", "0", "metrics"] == [
                    "requests": 16, "tokens": ["total": 675, "prompt": 450, "completion": 225], "cost": 5.25,
                    "successRate": 81.25, "users": 2,
                ])
            #expect(models["data", "1", "metrics", "requests"] == 6 && models["data", "1", "metrics", "users"] == 2)
            #expect(try DocumentedShape().problems(of: models.json, as: "UsageByModel") == [])
            let providers = try await scene.ask("/api/v1/admin/usage/by-provider")
            #expect(providers["data"]?.arrayValue?.map { $0["provider"] } == ["openai", "anthropic"])
            #expect(providers["data"]?.arrayValue?.map { $0["metrics"]?["requests"]?.intValue } == [16, 6])
            #expect(providers["data", "0", "metrics", "models"] == 1 && providers["data", "0", "metrics", "users"] == 2)
            #expect(try DocumentedShape().problems(of: providers.json, as: "UsageByProvider") == [])
            let none = try await scene.ask("/api/v1/admin/usage/by-model", ["modelIds": ["none"]])
            #expect(none["data"] == [] && none["pagination", "total"] == 0 && none["pagination", "totalPages"] == 0)
        }
    }

    @Test("pages follow each other without gaps, also among equals, in the order asked for")
    func pages() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            for (order, names) in [
                ("sortBy=cost&sortOrder=asc", ["bob", "alice"]), ("sortBy=username", ["bob", "alice"]),
                ("sortBy=username&sortOrder=asc", ["alice", "bob"]), ("sortBy=requests", ["alice", "bob"]),
            ] {
                let answer = try await scene.ask("/api/v1/admin/usage/by-user?\(order)")
                #expect(answer["data"]?.arrayValue?.compactMap { $0["username"]?.stringValue } == names, "\(order)")
            }
            let rates = try await scene.ask("/api/v1/admin/usage/by-model?sortBy=successRate")
            #expect(rates["data"]?.arrayValue?.map { $0["modelId"] } == ["claude", "gpt"])
            let equal = (0..<5).map { UsageScene.entry(scene.first.hash, "equal-\($0)", "1", 1, 1, 1) }
            try await scene.take("2026-01-08", equal)
            var seen: [String] = []
            for page in 1...3 {
                let answer = try await scene.ask(
                    "/api/v1/admin/usage/by-model?limit=2&page=\(page)",
                    ["startDate": "2026-01-08", "endDate": "2026-01-08"])
                let models = try #require(answer["data"]?.arrayValue)
                for model in models { seen.append(try #require(model["modelId"]?.stringValue)) }
                #expect(answer["pagination", "total"] == 5 && answer["pagination", "totalPages"] == 3)
                #expect(answer["pagination", "hasNext"] == .bool(page < 3))
                #expect(answer["pagination", "hasPrevious"] == .bool(page > 1))
            }
            #expect(seen == (0..<5).map { "equal-\($0)" })
            let beyond = try await scene.ask("/api/v1/admin/usage/by-user?page=9")
            #expect(beyond["data"] == [] && beyond["pagination", "total"] == 2)
            let bad = try await scene.ask("/api/v1/admin/usage/by-user?sortBy=shoe&sortOrder=up&limit=201")
            #expect(bad.refusedFields == ["sortBy", "sortOrder", "limit"])
            #expect(bad.text.contains("username, totalTokens"))
        }
    }

    @Test("a filter offers only what was used in the range")
    func choices() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/admin/usage/filter-options"
            let answer = try await api.send(.get, "\(path)?\(UsageScene.query)", as: scene.admin)
            #expect(answer["models"]?.arrayValue?.map { $0["id"] } == ["claude", "gpt"])
            #expect(answer["users"]?.arrayValue?.map { $0["username"] } == ["alice", "bob"])
            #expect(answer["providers"] == ["anthropic", "openai"] && answer["isPartial"] == false)
            let query = "startDate=2026-01-02&endDate=2026-01-05"
            let less = try await api.send(.get, "\(path)?\(query)", as: scene.admin)
            #expect(less["users"]?.arrayValue?.map { $0["username"] } == ["alice"])
            #expect(less["models"]?.arrayValue?.map { $0["id"] } == ["gpt"])
            #expect(try await api.send(.get, path, as: scene.admin).refusedFields == ["startDate", "endDate"])
        }
    }

    @Test("global totals are those of analytics")
    func global() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let answer = try await api.send(.get, "/api/v1/usage/admin/global?\(UsageScene.query)", as: scene.admin)
            #expect(answer["totals", "requests"] == 22 && answer["totals", "tokens"] == 977)
            #expect(answer["activeUsers"] == 2 && answer["activeModels"] == 2 && answer["totalUsers"] == 3)
            #expect(answer["unattributed", "requests"] == 6)
            #expect(try DocumentedShape().problems(of: answer.json, as: "UsageGlobal") == [])
        }
    }

    @Test("bad bodies are refused by field, and too long ranges with shorter ones instead")
    func refused() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let empty = try await api.send(.post, Self.analytics, as: admin)
            #expect(empty.refusedFields == ["startDate", "endDate"])
            let bad = try await api.send(
                .post, Self.analytics,
                ["startDate": "2025-01-01", "endDate": "2025-01-02", "userIds": ["x"], "modelIds": 1], as: admin)
            #expect(bad.refusedFields == ["userIds[0]", "modelIds"])
            let word = try await api.send(
                .post, Self.analytics, ["startDate": "soon", "endDate": "2025-01-02"], as: admin)
            #expect(word.errorCode == "INVALID_DATE_FORMAT" && word.refusedFields == ["startDate"])
            let long = try await api.send(
                .post, Self.analytics, ["startDate": "2025-01-01", "endDate": "2025-12-31"], as: admin)
            #expect(long.status == 400 && long.errorCode == "INVALID_DATE_RANGE")
            let details = try #require(long["error", "details"])
            #expect(details["requestedDays"] == 365 && details["maxAllowedDays"] == 90)
            #expect(
                details["suggestedRanges"] == [
                    ["startDate": "2025-04-01", "endDate": "2025-06-29"],
                    ["startDate": "2025-06-30", "endDate": "2025-09-27"],
                    ["startDate": "2025-09-28", "endDate": "2025-12-26"],
                    ["startDate": "2025-12-27", "endDate": "2025-12-31"],
                ])
            #expect(details["suggestion"]?.stringValue?.contains("90") == true)
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            let range: JSONValue = ["startDate": "2025-01-01", "endDate": "2025-03-31"]
            #expect(try await api.send(.post, Self.analytics, range, as: reader).status == 200)
            #expect(try await api.send(.post, Self.analytics, range, as: try await api.addUser()).status == 403)
        }
    }
}
