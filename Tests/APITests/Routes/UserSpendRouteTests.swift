import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("What users may spend and have spent", .needsDatabase, .hangGuard)
struct UserSpendRouteTests {
    private static let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])
    private static let bulk = "/api/v1/admin/users/bulk-update-limits"

    @Test("people see their own budget: null where there is none, and since when the spend is known")
    func budget() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser("bob")
            let first = try await api.send(.get, "/api/v1/usage/budget", as: user)
            #expect(first.status == 200 && first["currentSpend"] == 0 && first["takenAt"]?.isNull == true)
            #expect(first["maxBudget"]?.isNull == true && first["remaining"]?.isNull == true)
            #expect(try DocumentedShape().problems(of: first.json, as: "Budget") == [])
            try await api.database.client.query(
                """
                update users set max_budget = 10, budget_duration = 'monthly', current_spend = 2.5,
                    budget_reset_at = '2030-01-01T00:00:00Z', spend_taken_at = now()
                where id = \(user.id)
                """)
            let answer = try await api.send(.get, "/api/v1/usage/budget", as: user)
            #expect(answer["maxBudget"] == 10 && answer["currentSpend"] == 2.5 && answer["remaining"] == 7.5)
            #expect(answer["budgetDuration"] == "monthly" && answer["takenAt"]?.stringValue != nil)
            #expect(answer["budgetResetAt"]?.stringValue?.hasPrefix("2030-01-01T00:00:00") == true)
            #expect(try DocumentedShape().problems(of: answer.json, as: "Budget") == [])
            let admin = try await api.addAdmin()
            let detail = try await api.send(.get, "/api/v1/admin/users/\(user.id.text)", as: admin)
            #expect(detail["currentSpend"] == 2.5 && detail["spendTakenAt"]?.stringValue != nil)
            #expect(try DocumentedShape().problems(of: detail.json, as: "UserDetail") == [])
            try await api.database.client.query("update users set current_spend = 12 where id = \(user.id)")
            #expect(try await api.send(.get, "/api/v1/usage/budget", as: user)["remaining"] == 0)
        }
    }

    @Test("an administrator sets a user's spend back; with a wait the answer is what LiteLLM says")
    func reset() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            let path = "/api/v1/admin/users/\(user.id.text)/reset-spend"
            // The user is not in LiteLLM yet: the reset waits behind the job that brings them there.
            let first = try await api.send(.post, path, as: admin, headers: Self.prefer)
            #expect(first.status == 200 && first["currentSpend"] == 0, "\(first.text)")
            api.litellm.change { $0.users[user.id.text]?["spend"] = 6 }
            let asked = try await api.send(.post, path, as: admin)
            #expect(asked.status == 202 && asked["job", "kind"] == "user.resetSpend", "\(asked.text)")
            #expect(try DocumentedShape().problems(of: asked.json, as: "UserSpend") == [])
            try await api.wait(for: asked["job", "id"]?.stringValue, "succeeded")
            #expect(api.litellm.state.users[user.id.text]?["spend"] == 0)
            #expect(try await api.count("select count(*) from audit_logs where action = 'USER_SPEND_RESET'") == 1)
            #expect(try await api.send(.post, path, as: user).status == 403)
            for id in [UUID(), User.systemId] {
                let missing = try await api.send(.post, "/api/v1/admin/users/\(id.text)/reset-spend", as: admin)
                #expect(missing.status == 404)
            }
        }
    }

    @Test("limits of all active users are set by one job; partial results have LiteMaaS's shape")
    func bulk() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let users = [try await api.addUser("alice"), try await api.addUser("bob")]
            let dry = try await api.send(.post, Self.bulk, ["maxBudget": 5, "dryRun": true], as: admin)
            #expect(dry.status == 200 && dry["totalUsers"] == 3 && dry["dryRun"] == true && dry["job"] == nil)
            #expect(try DocumentedShape().problems(of: dry.json, as: "BulkLimits") == [])
            #expect(try await api.count("select count(*) from audit_logs where action = 'USER_BULK_LIMITS'") == 0)

            let body: JSONValue = ["maxBudget": 0, "rpmLimit": 9]
            let headers = Self.prefer
            let done = try await api.send(.post, Self.bulk, body, as: admin, headers: headers)
            #expect(done.status == 200 && done["totalUsers"] == 3 && done["successCount"] == 3, "\(done.text)")
            #expect(done["failedCount"] == 0 && done["errors"] == [] && done["processedAt"]?.stringValue != nil)
            #expect(try DocumentedShape().problems(of: done.json, as: "BulkLimits") == [])
            for user in users {
                let row = try #require(api.litellm.state.users[user.id.text])
                #expect(row["max_budget"] == 0 && row["rpm_limit"] == 9)
            }
            #expect(try await api.count("select count(*) from audit_logs where action = 'USER_BULK_LIMITS'") == 1)
            #expect(try await api.count("select count(*) from audit_logs where action = 'USER_BUDGET_UPDATE'") == 3)

            let one: JSONValue = ["maxBudget": nil, "filter": ["userIds": [.string(users[0].id.text)]]]
            let cleared = try await api.send(.post, Self.bulk, one, as: admin)
            #expect(cleared.status == 202 && cleared["totalUsers"] == 1, "\(cleared.text)")
            #expect(try DocumentedShape().problems(of: cleared.json, as: "BulkLimits") == [])
            try await api.wait(for: cleared["job", "id"]?.stringValue, "succeeded")
            #expect(api.litellm.state.users[users[0].id.text]?["max_budget"] == nil)
            #expect(api.litellm.state.users[users[1].id.text]?["max_budget"] == 0)
        }
    }

    @Test("what cannot be meant is refused with the field, and nobody is changed")
    func refusals() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let wrong: [(JSONValue, [String])] = [
                ([:], ["body"]), (["dryRun": true], ["body"]), (["maxBudget": -1], ["maxBudget"]),
                (["budgetDuration": "soon"], ["budgetDuration"]),
                (["rpmLimit": 1, "filter": ["roles": ["king"]]], ["filter.roles[0]"]),
                (["rpmLimit": 1, "filter": ["userIds": ["x"]]], ["filter.userIds[0]"]),
                (["rpmLimit": 1, "filter": ["userIds": [.string(UUID().text)]]], ["filter.userIds"]),
            ]
            for (body, fields) in wrong {
                let answer = try await api.send(.post, Self.bulk, body, as: admin)
                #expect(
                    (400...422).contains(answer.status) && answer.refusedFields == fields,
                    "\(body): \(answer.text)")
            }
            let nobody = try await api.send(
                .post, Self.bulk, ["rpmLimit": 1, "filter": ["search": "nobody"]], as: admin)
            #expect(nobody.status == 200 && nobody["totalUsers"] == 0 && nobody["job"] == nil)
            #expect(try await api.count("select count(*) from jobs where args ? 'limits'") == 0)
        }
    }
}
