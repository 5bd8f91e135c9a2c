import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

@Suite("One's own usage", .needsDatabase, .hangGuard)
struct OwnUsageRouteTests {
    @Test("metrics are all of the caller's keys, rotated and revoked ones included, and nobody else's")
    func metrics() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/usage/metrics?\(UsageScene.query)"
            let own = try await api.send(.get, path, as: scene.alice)
            #expect(own["totalRequests"] == 11 && own["totalTokens"] == 465 && own["totalCost"] == 3.75)
            #expect(own["successRate"] == 90.91 && own["averageResponseTime"] == 0 && own["activeModels"] == 2)
            #expect(
                own["topModels"] == [
                    ["name": "claude", "requests": 5, "tokens": 300, "cost": 2],
                    ["name": "gpt", "requests": 6, "tokens": 165, "cost": 1.75],
                ])
            #expect(own["dailyUsage"]?.arrayValue?.map { $0["requests"]?.intValue } == [5, 6, 0, 0])
            #expect(own["missingDays"] == UsageScene.missing)
            #expect(try DocumentedShape().problems(of: own.json, as: "UsageMetrics") == [])
            #expect(try await api.send(.get, "\(path)&modelId=gpt", as: scene.alice)["totalRequests"] == 6)
            #expect(
                try await api.send(.get, "\(path)&apiKeyId=\(scene.first.id)", as: scene.alice)["totalRequests"] == 6)
            #expect(
                try await api.send(.get, "\(path)&apiKeyId=\(scene.second.id)", as: scene.alice)["totalRequests"] == 5)
            #expect(try await api.send(.get, "\(path)&apiKeyId=\(scene.third.id)", as: scene.alice).status == 404)
            let others = "\(path)&userId=\(scene.bob.id.text)"
            #expect(try await api.send(.get, others, as: scene.alice)["totalRequests"] == 11)
            #expect(try await api.send(.get, others, as: scene.admin)["totalRequests"] == 5)
            #expect(try await api.send(.get, path, as: scene.admin)["totalRequests"] == 0)
        }
    }

    @Test("metrics agree with the statistics of one's profile and with the summary")
    func agrees() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let query = "startDate=2025-12-21&endDate=2026-01-13"
            let metrics = try await api.send(.get, "/api/v1/usage/metrics?\(query)", as: scene.alice)
            let statistics = try await api.send(.get, "/api/v1/users/me/stats", as: scene.alice)
            let summary = try await api.send(.get, "/api/v1/usage/summary?\(query)", as: scene.alice)
            #expect(metrics["totalRequests"] == 33 && statistics["usage", "totalRequests"] == 33)
            #expect(metrics["totalTokens"] == statistics["usage", "totalTokens"])
            #expect(summary["totals", "requests"] == 33 && summary["totals", "cost"] == metrics["totalCost"])
        }
    }

    @Test("a summary can be of a subscription, and of weeks or months")
    func summary() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/usage/summary?\(UsageScene.query)"
            let weeks = try await api.send(.get, "\(path)&granularity=week", as: scene.alice)
            #expect(weeks["byDay"]?.arrayValue?.map { $0["date"] } == ["2026-01-02", "2026-01-05"])
            #expect(weeks["byDay"]?.arrayValue?.map { $0["requests"]?.intValue } == [5, 6])
            let hours = try await api.send(.get, "\(path)&granularity=hour", as: scene.alice)
            #expect(hours.refusedFields == ["granularity"] && hours.text.contains("by day"))
            let subscription = try await api.database.client.query(
                "select id from subscriptions where user_id = \(scene.alice.id) and model_id = 'gpt'"
            ).one(UUID.self)
            let one = "\(path)&subscriptionId=\(subscription.text)"
            #expect(try await api.send(.get, one, as: scene.alice)["totals", "requests"] == 6)
            #expect(try await api.send(.get, one, as: scene.admin)["totals", "requests"] == 6)
            #expect(try await api.send(.get, "\(one)&modelId=claude", as: scene.alice)["totals", "requests"] == 0)
            #expect(try await api.send(.get, one, as: scene.bob).status == 404)
            // Also where nobody named means the caller.
            let metrics = "/api/v1/usage/metrics?\(UsageScene.query)&subscriptionId=\(subscription.text)"
            #expect(try await api.send(.get, metrics, as: scene.admin)["totalRequests"] == 6)
            let named = "\(metrics)&userId=\(scene.bob.id.text)"
            #expect(try await api.send(.get, named, as: scene.admin)["totalRequests"] == 0)
        }
    }

    @Test("a time series has the parts of which something was taken")
    func series() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/usage/timeseries?\(UsageScene.query)"
            let days = try await api.send(.get, path, as: scene.alice)
            #expect(days["interval"] == "day")
            #expect(
                days["data"]?.arrayValue?.map { $0["period"] } == [
                    "2026-01-02", "2026-01-06", "2026-01-07", "2026-01-13",
                ])
            #expect(days["data"]?.arrayValue?.map { $0["totalRequests"]?.intValue } == [5, 6, 0, 0])
            #expect(try DocumentedShape().problems(of: days.json, as: "UsageSeries") == [])
            let weeks = try await api.send(.get, "\(path)&interval=week", as: scene.alice)
            #expect(weeks["data"]?.arrayValue?.map { $0["totalRequests"]?.intValue } == [5, 6, 0])
            #expect(weeks["data", "0", "period"] == "2025-12-29")
            #expect(weeks["data", "0", "startTime"] == "2026-01-02T00:00:00.000Z")
            #expect(weeks["data", "0", "endTime"] == "2026-01-05T00:00:00.000Z")
            #expect(weeks["data", "2", "endTime"] == "2026-01-14T00:00:00.000Z")
            let months = try await api.send(.get, "\(path)&interval=month&modelId=gpt", as: scene.alice)
            #expect(months["data", "0", "period"] == "2026-01" && months["data", "0", "totalPromptTokens"] == 110)
            let hours = try await api.send(.get, "\(path)&interval=hour", as: scene.alice)
            #expect(hours.status == 400 && hours.refusedFields == ["interval"])
        }
    }

    @Test("what a user used most, models and keys")
    func top() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/usage/top?\(UsageScene.query)"
            let answer = try await api.send(.get, path, as: scene.alice)
            #expect(answer["topModels"]?.arrayValue?.map { $0["modelId"] } == ["claude", "gpt"])
            #expect(
                answer["topApiKeys"]?.arrayValue?.map { $0["keyId"]?.stringValue } == [scene.second.id, scene.first.id])
            #expect(try DocumentedShape().problems(of: answer.json, as: "UsageTop") == [])
            let one = try await api.send(.get, "\(path)&limit=1", as: scene.alice)
            #expect(one["topModels"]?.arrayValue?.count == 1 && one["topApiKeys"]?.arrayValue?.count == 1)
            #expect(try await api.send(.get, "\(path)&limit=51", as: scene.alice).refusedFields == ["limit"])
            let nothing = try await api.send(.get, path, as: scene.admin)
            #expect(nothing["topModels"] == [] && nothing["topApiKeys"] == [])
        }
    }

    @Test("the dashboard is today, this month and the last days")
    func dashboard() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let today = UTCDay(containing: Date())
            let entry = UsageScene.entry(scene.first.hash, "gpt", "1", 1, 1, 3)
            try await scene.take(today.description, [entry], isComplete: false)
            try await scene.take(today.advanced(by: -29).description, [entry])
            try await scene.take(today.advanced(by: -31).description, [entry])
            let answer = try await api.send(.get, "/api/v1/usage/dashboard", as: scene.alice)
            #expect(answer["today", "requests"] == 3 && answer["recentDays", "requests"] == 6)
            #expect(answer["recentDays", "startDate"]?.stringValue == today.advanced(by: -29).description)
            #expect(answer["currentMonth", "startDate"]?.stringValue == today.firstOfMonth.description)
            #expect(answer["topModels", "0", "name"] == "gpt")
            #expect(answer["incompleteDays"] == [.string(today.description)])
            #expect(try DocumentedShape().problems(of: answer.json, as: "UsageDashboard") == [])
            let others = try await api.send(.get, "/api/v1/usage/dashboard", as: scene.bob)
            #expect(others["recentDays", "requests"] == 0)
        }
    }

    @Test("analytics are the caller's alone, whatever the filter names")
    func analytics() async throws {
        try await APIHarness.run { api in
            let scene = try await UsageScene(api)
            let path = "/api/v1/usage/analytics"
            let own = try await scene.ask(path, ["userIds": [.string(scene.bob.id.text)]], as: scene.alice)
            #expect(own["totalRequests"] == 11 && own["totalUsers"] == 1 && own["activeUsers"] == 1)
            #expect(own["totalCost", "byUser"] == .object([scene.alice.id.text: 3.75]))
            #expect(own["trends", "requestsTrend", "direction"] == "down")
            #expect(!own.text.contains("bob") && own["unattributed"] == nil)
            #expect(try DocumentedShape().problems(of: own.json, as: "UsageAnalytics") == [])
            let key = try await scene.ask(path, ["apiKeyIds": [.string(scene.oldAlias)]], as: scene.alice)
            #expect(key["totalRequests"] == 6)
            for alias in [scene.third.alias, "nobody's"] {
                let filter: JSONValue = [.string(scene.first.alias), .string(alias)]
                let foreign = try await scene.ask(path, ["apiKeyIds": filter], as: scene.alice)
                #expect(foreign.status == 403 && foreign.errorCode == "FORBIDDEN_API_KEYS")
                #expect(foreign.refusedFields == ["apiKeyIds[1]"])
            }
        }
    }
}
