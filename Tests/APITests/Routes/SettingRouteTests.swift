import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Settings", .needsDatabase, .hangGuard)
struct SettingRouteTests {
    private static let keys = "/api/v1/admin/settings/api-key-defaults"
    private static let users = "/api/v1/admin/settings/user-defaults"
    private static let currency = "/api/v1/admin/settings/currency"

    /// The values of the newest audit row of the action.
    private func audited(_ action: String, _ api: APIHarness) async throws -> (old: JSONValue?, new: JSONValue?) {
        let rows = try await api.database.client.query(
            "select old_values, new_values from audit_logs where action = \(action) order by id desc limit 1")
        return try #require(rows.first).decode(JSONValue?.self, JSONValue?.self)
    }

    @Test("defaults and maximums of keys are replaced as a whole, told to everybody, and written down")
    func keyDefaults() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            let empty = try await api.send(.get, Self.keys, as: admin)
            #expect(empty.status == 200 && empty["defaults", "maxBudget"] == .null)
            #expect(shape.problems(of: empty.json, as: "APIKeyDefaults") == [])
            let body: JSONValue = [
                "defaults": ["maxBudget": 5.25, "budgetDuration": "monthly", "expirationDays": 30],
                "maximums": ["maxBudget": 50, "rpmLimit": 100],
            ]
            let set = try await api.send(.put, Self.keys, body, as: admin)
            #expect(set.status == 200 && set["defaults", "maxBudget"] == 5.25, "\(set.text)")
            #expect(set["defaults", "tpmLimit"] == .null && set["maximums", "rpmLimit"] == 100)
            let shown = try await api.send(.get, "/api/v1/config/api-key-defaults")
            #expect(shown.json == set.json && shown.status == 200)
            let second = try await api.send(.put, Self.keys, ["defaults": [:], "maximums": [:]], as: admin)
            #expect(second["maximums", "maxBudget"] == .null)
            let values = try await audited("UPDATE_API_KEY_DEFAULTS", api)
            #expect(values.old?["maximums"]?["maxBudget"] == 50 && values.new == ["defaults": [:], "maximums": [:]])
        }
    }

    @Test("a default above its maximum, and half a document, are refused by field")
    func refusedKeyDefaults() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let body: JSONValue = [
                "defaults": ["maxBudget": 6, "tpmLimit": 5, "budgetDuration": "now and then", "expirationDays": 0],
                "maximums": ["maxBudget": 5, "tpmLimit": 4, "rpmLimit": -1],
            ]
            let bad = try await api.send(.put, Self.keys, body, as: admin)
            #expect(bad.status == 400)
            #expect(
                Set(bad.refusedFields) == [
                    "defaults.expirationDays", "maximums.rpmLimit", "defaults.maxBudget", "defaults.tpmLimit",
                    "defaults.budgetDuration",
                ])
            let half = try await api.send(.put, Self.keys, ["defaults": [:]], as: admin)
            #expect(half.refusedFields == ["maximums"])
            #expect(try await api.count("select count(*) from system_settings") == 0)
        }
    }

    @Test("new users get what is set, else what is configured")
    func userDefaults() async throws {
        try await APIHarness.run {
            $0.settings.defaultLimits = SpendingLimits(maxBudget: 100, tpmLimit: 1000, rpmLimit: 60)
        } _: { api in
            let admin = try await api.addAdmin()
            let shape = try DocumentedShape()
            func make(_ name: String) async throws -> Answer {
                try await api.send(
                    .post, "/api/v1/admin/users",
                    ["username": .string(name), "email": .string("\(name)@example.com")], as: admin)
            }
            #expect(try await make("bob")["maxBudget"] == 100)
            let set = try await api.send(.put, Self.users, ["maxBudget": 0, "rpmLimit": nil], as: admin)
            #expect(set.json == ["maxBudget": 0, "tpmLimit": nil, "rpmLimit": nil], "\(set.text)")
            let shown = try await api.send(.get, Self.users, as: admin)
            #expect(shown["envDefaults"] == ["maxBudget": 100, "tpmLimit": 1000, "rpmLimit": 60])
            #expect(shape.problems(of: shown.json, as: "UserDefaults") == [])
            let carol = try await make("carol")
            #expect(carol["maxBudget"] == 0 && carol["tpmLimit"] == 1000 && carol["rpmLimit"] == 60)
            // Somebody who signs in for the first time.
            let login = try await api.send(.post, "/api/auth/login")
            let state = try #require(login["authUrl"]?.stringValue?.split(separator: "=").last)
            #expect(try await api.send(.get, "/api/auth/callback?code=1&state=\(state)").status == 302)
            let limits = try await api.database.client.query(
                "select max_budget::int from users where username = 'user'"
            ).one(Int.self)
            #expect(limits == 0)
            #expect(try await api.send(.put, Self.users, [:], as: admin).refusedFields == ["body"])
            #expect(try await audited("UPDATE_USER_DEFAULTS", api).new == ["maxBudget": 0])
        }
    }

    @Test("the currency is one of those supported, and shows in the public configuration")
    func currency() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            #expect(try await api.send(.get, "/api/v1/config")["currency", "code"] == "USD")
            let supported = try await api.send(.get, "\(Self.currency)/supported", as: admin)
            #expect(supported.json.arrayValue?.count == 25)
            let set = try await api.send(.put, Self.currency, ["code": "eur"], as: admin)
            #expect(set.json == ["code": "EUR", "symbol": "€", "name": "Euro"], "\(set.text)")
            let named = try await api.send(.put, Self.currency, ["code": "EUR", "symbol": "EUR"], as: admin)
            #expect(named["symbol"] == "EUR")
            let config = try await api.send(.get, "/api/v1/config")
            #expect(config["currency"] == named.json)
            #expect(try DocumentedShape().problems(of: config.json, as: "Config") == [])
            let unknown = try await api.send(.put, Self.currency, ["code": "XXX", "symbol": "long symbol"], as: admin)
            #expect(unknown.refusedFields == ["code", "symbol"])
            #expect(try await audited("UPDATE_CURRENCY_SETTINGS", api).old?["symbol"] == "€")
        }
    }

    @Test("a repeated change with the same Idempotency-Key is made once")
    func once() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            for isRepeated in [false, true] {
                let answer = try await api.send(
                    .put, Self.currency, ["code": "CHF"], as: admin, headers: [.idempotencyKey: "k1"])
                #expect(answer.status == 200 && answer["code"] == "CHF")
                #expect((answer.headers[.idempotencyReplayed] == "true") == isRepeated)
            }
            #expect(
                try await api.count("select count(*) from audit_logs where action = 'UPDATE_CURRENCY_SETTINGS'") == 1)
        }
    }

    @Test("front ends learn what a look at everybody's usage may show")
    func analytics() async throws {
        try await APIHarness.run { api in
            let answer = try await api.send(.get, "/api/v1/config/admin-analytics")
            #expect(answer["pagination", "maxPageSize"] == 200 && answer["export", "maxRows"] == 10_000)
            #expect(try DocumentedShape().problems(of: answer.json, as: "AnalyticsLimits") == [])
        }
    }

    @Test("administrators set what a look at everybody's usage may show, and the routes keep to it")
    func setAnalytics() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let path = "/api/v1/admin/settings/admin-analytics"
            let range = "/api/v1/usage/summary?startDate=2024-03-01&endDate=2024-03-10"
            #expect(try await api.send(.get, range, as: admin).status == 200)
            let set = try await api.send(
                .put, path, ["dateRangeLimits": ["maxAnalyticsDays": 7], "topLimits": ["users": 3]], as: admin)
            #expect(set.status == 200 && set["topLimits", "users"] == 3 && set["topLimits", "models"] == 10)
            #expect(try DocumentedShape().problems(of: set.json, as: "AnalyticsLimits") == [])
            #expect(try await api.send(.get, path, as: admin).json == set.json)
            #expect(try await api.send(.get, "/api/v1/config/admin-analytics").json == set.json)
            let refused = try await api.send(.get, range, as: admin)
            #expect(refused.status == 400 && refused.refusedFields == ["endDate"])

            let wrong: [(JSONValue, [String])] = [
                (["pagination": ["defaultPageSize": 300]], ["pagination.defaultPageSize"]),
                (
                    ["dateRangeLimits": ["maxAnalyticsDays": 90, "maxExportDays": 30]],
                    ["dateRangeLimits.maxAnalyticsDays"]
                ),
                (["export": ["maxRows": 0]], ["export.maxRows"]),
                (
                    ["warnings": ["largeDateRangeDays": 500], "trends": ["calculationPrecision": 7]],
                    ["trends.calculationPrecision", "warnings.largeDateRangeDays"]
                ),
            ]
            for (body, fields) in wrong {
                let answer = try await api.send(.put, path, body, as: admin)
                #expect(answer.status == 400 && answer.refusedFields.sorted() == fields, "\(answer.text)")
            }
            let back = try await api.send(.put, path, [:], as: admin)
            #expect(back["dateRangeLimits", "maxAnalyticsDays"] == 90)
            #expect(try await audited("UPDATE_ADMIN_ANALYTICS", api).old?["maxDays"] == 7)
        }
    }
}
