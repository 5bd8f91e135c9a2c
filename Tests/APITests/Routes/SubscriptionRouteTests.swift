import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Subscriptions over REST", .needsDatabase, .hangGuard)
struct SubscriptionRouteTests {
    private static let path = "/api/v1/subscriptions"

    private func path(_ id: String?, _ more: String = "") throws -> String { "\(Self.path)/\(try #require(id))\(more)" }

    @Test("subscribing is done at once and has the documented shape, with and without LiteLLM's keys")
    func create() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt", "org/secret")
            try await api.restrict("org/secret")
            let user = try await api.addUser()
            let answer = try await api.send(
                .post, Self.path, ["modelId": "gpt", "quotaTokens": 100, "metadata": ["team": "x"]], as: user)
            #expect(answer.status == 201 && answer["status"] == "active" && answer["job"] == nil, "\(answer.text)")
            #expect(answer["quotaRequests"] == 10_000 && answer["remainingTokens"] == 100)
            #expect(answer["syncStatus"] == "synced" && answer["features", "0"] == "chat")
            #expect(try DocumentedShape().problems(of: answer.json, as: "Subscription") == [])
            let pending = try await api.send(.post, Self.path, ["modelId": "org/secret"], as: user)
            #expect(pending.status == 201 && pending["status"] == "pending")
            let again = try await api.send(.post, Self.path, ["modelId": "gpt"], as: user)
            #expect(again.status == 409 && again.errorCode == "ALREADY_EXISTS")
            #expect(try await api.send(.post, Self.path, ["modelId": "none"], as: user).status == 404)
            let bad = try await api.send(
                .post, Self.path, ["quotaRequests": 0, "quotaTokens": "x", "expiresAt": "soon", "metadata": 1], as: user
            )
            #expect(
                Set(bad.refusedFields) == ["modelId", "quotaRequests", "quotaTokens", "expiresAt", "metadata"])
            let past = try await api.send(
                .post, Self.path, ["modelId": "gpt2", "expiresAt": "2020-01-01T00:00:00Z"], as: user)
            #expect(past.status == 404)
            let admin = try await api.addAdmin()
            let wide = try await api.send(.post, Self.path, ["modelId": "gpt", "quotaTokens": 1_000_001], as: admin)
            #expect(wide.status == 403 && wide["error", "details", "field"] == "quotaTokens")
        }
    }

    @Test("a repeated request with its key makes no second one; fifty at once make one")
    func once() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt", "other")
            let user = try await api.addUser()
            let key = HTTPFields([HTTPField(name: .idempotencyKey, value: "k1")])
            let first = try await api.send(.post, Self.path, ["modelId": "other"], as: user, headers: key)
            let second = try await api.send(.post, Self.path, ["modelId": "other"], as: user, headers: key)
            #expect(first.status == 201 && second.status == 201 && second["id"] == first["id"])
            #expect(second.headers[.idempotencyReplayed] == "true")
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 0..<50 {
                    group.addTask { try await api.send(.post, Self.path, ["modelId": "gpt"], as: user).status }
                }
                return try await group.reduce(into: [:]) { $0[$1, default: 0] += 1 }
            }
            #expect(statuses == [201: 1, 409: 49])
            #expect(try await api.count("select count(*) from subscriptions where model_id = 'gpt'") == 1)
        }
    }

    @Test("lists show the caller's, filtered, without what was given up; others' do not exist")
    func lists() async throws {
        try await APIHarness.run { api in
            try await api.addModels("a", "b", "c")
            let alice = try await api.addUser()
            let bob = try await api.addUser("bob")
            let admin = try await api.addAdmin()
            let own = try await api.subscribe(alice, to: "a", "b", "c")
            try await api.subscribe(bob, to: "a")
            _ = try await api.send(.post, try path(own[2].id.text, "/cancel"), as: alice)
            func models(_ query: String, _ user: User) async throws -> [String] {
                let answer = try await api.send(.get, Self.path + query, as: user)
                #expect(try DocumentedShape().problems(of: answer.json, as: "SubscriptionPage") == [])
                return (answer["data"]?.arrayValue ?? []).compactMap { $0["modelId"]?.stringValue }.sorted()
            }
            #expect(try await models("", alice) == ["a", "b"])
            #expect(try await models("?status=inactive", alice) == ["c"])
            #expect(try await models("?status[]=inactive&status[]=active&modelId=c", alice) == ["c"])
            #expect(try await models("?userId=\(bob.id.text)", alice) == ["a", "b"])
            #expect(try await models("?userId=\(bob.id.text)", admin) == ["a"])
            #expect(try await models("", admin).isEmpty)
            let paged = try await api.send(.get, Self.path + "?limit=1&page=2", as: alice)
            #expect(paged["pagination", "total"] == 2 && paged["data"]?.arrayValue?.count == 1)
            #expect(try await api.send(.get, Self.path + "?status=new", as: alice).refusedFields == ["status"])
            for more in ["", "/quota", "/usage", "/pricing"] {
                #expect(try await api.send(.get, try path(own[0].id.text, more), as: bob).status == 404)
                #expect(try await api.send(.get, try path(own[0].id.text, more), as: admin).status == 200)
            }
            for more in ["/cancel", "/suspend", "/resume", "/request-review"] {
                #expect(try await api.send(.post, try path(own[0].id.text, more), as: bob).status == 404)
            }
            let stats = try await api.send(.get, Self.path + "/stats", as: alice)
            #expect(stats["total"] == 3 && stats["byStatus", "active"] == 2 && stats["byProvider", "openai"] == 3)
            #expect(try DocumentedShape().problems(of: stats.json, as: "SubscriptionStatistics") == [])
            let me = try await api.send(.get, "/api/v1/users/me/stats", as: alice)
            #expect(me["subscriptions", "total"] == 3 && me["subscriptions", "active"] == 2)
            let detail = try await api.send(.get, "/api/v1/admin/users/\(alice.id.text)", as: admin)
            #expect(detail["subscriptionsCount"] == 3 && detail["activeSubscriptionsCount"] == 2)
        }
    }

    @Test("quota, use and price are shown as documented")
    func figures() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let id = try await api.subscribe(user, to: "gpt")[0].id
            try await api.database.client.query("update subscriptions set used_requests = 8000, used_tokens = 1500000")
            try await api.database.client.query(
                """
                with d as (
                    insert into usage_days (day, fetched_at, is_complete, spend, prompt_tokens, completion_tokens,
                        total_tokens, requests, successful_requests, failed_requests, job_id)
                    values ((now() at time zone 'UTC')::date, now(), false, 0, 0, 0, 0, 0, 0, 0, 1) returning day)
                insert into usage_daily (day, key_hash, model_id, provider, user_id, spend, prompt_tokens,
                    completion_tokens, total_tokens, requests, successful_requests, failed_requests)
                select day, 'h', 'gpt', 'openai', \(user.id), 3, 1000, 500, 1500, 4, 4, 0 from d
                """)
            let quota = try await api.send(.get, try path(id.text, "/quota"), as: user)
            #expect(quota["requests", "remaining"] == 2000 && quota["tokens", "remaining"] == 0)
            #expect(try DocumentedShape().problems(of: quota.json, as: "SubscriptionQuota") == [])
            let usage = try await api.send(.get, try path(id.text, "/usage"), as: user)
            #expect(usage["requestUtilization"] == 80 && usage["withinTokenLimit"] == false)
            #expect(usage["warningThresholds", "requests"] == 8000)
            #expect(try DocumentedShape().problems(of: usage.json, as: "SubscriptionUsage") == [])
            let pricing = try await api.send(.get, try path(id.text, "/pricing"), as: user)
            #expect(
                pricing["costBreakdown", "inputCost"] == .double(0.001) && pricing["estimatedCost"] == .double(0.002))
            #expect(pricing["billedCost"] == 3)
            #expect(try DocumentedShape().problems(of: pricing.json, as: "SubscriptionPricing") == [])
            let cost = try await api.send(.get, try path(id.text), as: user)["estimatedMonthlyCost"]?.doubleValue
            #expect((cost ?? 0) >= 3)
        }
    }

    @Test("a change that reaches keys is a 202 with their jobs; with a wait it is done")
    func keyJobs() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let id = try await api.subscribe(user, to: "gpt")[0].id
            let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])
            let key = try await api.createKey(as: user, headers: prefer)
            #expect(key.status == 201, "\(key.text)")
            let suspended = try await api.send(.post, try path(id.text, "/suspend"), ["reason": "holiday"], as: user)
            #expect(suspended.status == 202 && suspended["status"] == "suspended")
            #expect(suspended["statusReason"] == "holiday" && suspended["statusCause"] == "owner")
            #expect(suspended["keyJobs", "0", "keyId"] == key["id"])
            #expect(suspended["keyJobs", "0", "jobId"] == suspended["job", "id"])
            #expect(suspended.headers[.location] == "/api/v1/jobs/\(suspended["job", "id"]?.stringValue ?? "")")
            #expect(try DocumentedShape().problems(of: suspended.json, as: "Subscription") == [])
            try await api.wait(for: suspended["job", "id"]?.stringValue, "succeeded")
            let resumed = try await api.send(.post, try path(id.text, "/resume"), as: user, headers: prefer)
            #expect(resumed.status == 200 && resumed["status"] == "active", "\(resumed.text)")
            #expect(resumed.headers[.preferenceApplied] == "wait=20" && resumed["keyJobs"]?.arrayValue?.count == 1)
        }
    }

    @Test("owners change what is theirs to change; a refusal names the field and the way")
    func update() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let admin = try await api.addAdmin()
            let id = try await api.subscribe(user, to: "gpt")[0].id.text
            let lowered = try await api.send(.put, try path(id, "/quotas"), ["quotaRequests": 5], as: user)
            #expect(lowered.status == 200 && lowered["quotaRequests"] == 5 && lowered["quotaTokens"] == 1_000_000)
            let refused: [(String, JSONValue)] = [
                ("quotaRequests", ["quotaRequests": 6]), ("quotaTokens", ["quotaTokens": 2_000_000]),
                ("status", ["status": "denied"]),
            ]
            for (field, body) in refused {
                let answer = try await api.send(.patch, try path(id), body, as: user)
                #expect(answer.status == 403 && answer["error", "details", "field"] == .string(field), "\(answer.text)")
            }
            let noted = try await api.send(
                .patch, try path(id), ["metadata": ["a": 1], "status": "active"], as: user)
            #expect(noted.status == 200 && noted["metadata", "a"] == 1)
            #expect(try await api.send(.patch, try path(id), ["metadata": nil], as: user)["metadata"] == [:])
            #expect(try await api.send(.patch, try path(id), ["reason": "x"], as: user).refusedFields == ["body"])
            #expect(try await api.send(.put, try path(id, "/quotas"), [:], as: user).refusedFields == ["body"])
            #expect(try await api.send(.patch, try path(id), ["status": "new"], as: user).refusedFields == ["status"])
            let raised = try await api.send(.patch, try path(id), ["quotaRequests": 50_000], as: admin)
            #expect(raised.status == 200 && raised["quotaRequests"] == 50_000)
            let denied = try await api.send(.patch, try path(id), ["status": "denied", "reason": "no"], as: admin)
            #expect(denied["status"] == "denied" && denied["statusReason"] == "no")
            #expect(denied["statusChangedBy"] == .string(admin.id.text))
            let suspend = try await api.send(.post, try path(id, "/suspend"), as: user)
            #expect(suspend.status == 400 && suspend.refusedFields == ["status"])
            #expect(suspend["error", "message"]?.stringValue?.contains("denied") == true)
            let review = try await api.send(.post, try path(id, "/request-review"), as: user)
            #expect(review.status == 200 && review["status"] == "pending")
            #expect(try await api.send(.post, try path(id, "/request-review"), as: user).status == 200)
        }
    }
}
