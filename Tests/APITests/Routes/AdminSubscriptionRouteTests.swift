import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Subscriptions, for administrators", .needsDatabase, .hangGuard)
struct AdminSubscriptionRouteTests {
    private static let path = "/api/v1/admin/subscriptions"

    private func ids(_ subscriptions: [Subscription]) -> JSONValue {
        .array(subscriptions.map { .string($0.id.text) })
    }

    @Test("lists hold the person, the model and the history, and can be narrowed")
    func list() async throws {
        try await APIHarness.run { api in
            try await api.addModels("a", "b")
            try await api.restrict("b")
            let admin = try await api.addAdmin()
            let alice = try await api.addUser()
            let bob = try await api.addUser("bob")
            let own = try await api.subscribe(alice, to: "a", "b")
            try await api.subscribe(bob, to: "b")
            _ = try await api.send(
                .post, Self.path + "/deny", ["subscriptionIds": ids([own[1]]), "reason": "no"], as: admin)
            for path in [Self.path, "/api/v1/subscriptions/admin/all"] {
                let all = try await api.send(.get, path, as: admin)
                #expect(all["pagination", "total"] == 3)
                #expect(try DocumentedShape().problems(of: all.json, as: "AdminSubscriptionPage") == [])
            }
            func total(_ query: String) async throws -> Int? {
                try await api.send(.get, Self.path + query, as: admin)["pagination", "total"]?.intValue
            }
            #expect(try await total("?statuses[]=pending&statuses[]=denied") == 2)
            #expect(try await total("?statuses=denied") == 1)
            #expect(try await total("?modelIds[]=b&userIds[]=\(alice.id.text)") == 1)
            #expect(try await total("?dateFrom=2020-01-01&dateTo=2020-12-31") == 0)
            #expect(try await total("?dateFrom=2020-01-01") == 3)
            #expect(try await api.send(.get, Self.path + "?userIds=x", as: admin).refusedFields == ["userIds"])
            let denied = try await api.send(.get, Self.path + "?statuses=denied", as: admin)
            #expect(denied["data", "0", "user", "username"] == "alice")
            #expect(denied["data", "0", "model", "restrictedAccess"] == true)
            #expect(denied["data", "0", "history", "0", "changedBy", "username"] == "root")
            #expect(denied["data", "0", "history", "1", "newStatus"] == "pending")
            let stats = try await api.send(.get, Self.path + "/stats", as: admin)
            #expect(stats["pendingCount"] == 1 && stats["deniedToday"] == 1 && stats["totalRequests"] == 3)
            #expect(try DocumentedShape().problems(of: stats.json, as: "SubscriptionRequestStatistics") == [])
        }
    }

    @Test("nobody decides for themselves by way of a token that they made")
    func ownToken() async throws {
        try await APIHarness.run { api in
            try await api.addModels("a")
            try await api.restrict("a")
            let admin = try await api.addAdmin()
            let other = try await api.addUser("other")
            let pending = try await api.subscribe(admin, to: "a")
            let foreign = try await api.subscribe(other, to: "a")
            let made = try await api.send(
                .post, "/api/v1/admin/service-tokens",
                ["name": "ci", "scopes": ["admin:subscriptions:write", "users:write"]], as: admin)
            let token = api.bearer(try #require(made["token"]?.stringValue, "\(made.text)"))
            let decided = try await api.send(
                .post, Self.path + "/approve", ["subscriptionIds": ids(pending + foreign)], headers: token)
            #expect(decided["successful"] == 1 && decided["failed"] == 1, "\(decided.text)")
            let given = try await api.send(
                .post, "/api/v1/admin/users/\(admin.id.text)/subscriptions", ["modelIds": ["a"]], headers: token)
            #expect(given.status == 403)
        }
    }

    @Test("decisions about several: one that is refused takes no other along, a repetition decides nothing anew")
    func decisions() async throws {
        try await APIHarness.run { api in
            try await api.addModels("a", "b", "gpt")
            try await api.restrict("a", "b")
            let admin = try await api.addAdmin()
            let alice = try await api.addUser()
            let open = try await api.subscribe(alice, to: "gpt", "a")
            let key = try await api.createKey(as: alice)
            let own = try await api.subscribe(admin, to: "b")
            let missing = UUID().text
            let body: JSONValue = [
                "subscriptionIds": .array([
                    .string(own[0].id.text), .string(missing), .string(open[1].id.text), .string(open[0].id.text),
                ])
            ]
            let header = HTTPFields([HTTPField(name: .idempotencyKey, value: "k")])
            let answer = try await api.send(.post, Self.path + "/approve", body, as: admin, headers: header)
            #expect(answer.status == 200 && answer["successful"] == 2 && answer["failed"] == 2, "\(answer.text)")
            #expect(answer["errors", "0", "subscription"] == .string(own[0].id.text))
            #expect(answer["errors", "0", "code"] == "FORBIDDEN" && answer["errors", "1", "code"] == "NOT_FOUND")
            #expect(try DocumentedShape().problems(of: answer.json, as: "SubscriptionDecisions") == [])
            _ = try await api.send(
                .post, "\(Self.path)/\(open[1].id.text)/revert", ["newStatus": "pending"], as: admin)
            let repeated = try await api.send(.post, Self.path + "/approve", body, as: admin, headers: header)
            #expect(repeated["successful"] == 2)
            let row = try await PostgresSubscriptionStore().find(open[1].id, in: api.database.client)
            #expect(row?.status == .pending)
            let other = try await api.send(
                .post, Self.path + "/approve", ["subscriptionIds": ids([open[1]])], as: admin, headers: header)
            #expect(other.status == 422 || other["successful"] == 1)

            let denial: JSONValue = ["subscriptionIds": ids([open[0]]), "reason": "no"]
            let denied = try await api.send(.post, Self.path + "/deny", denial, as: admin, headers: header)
            #expect(denied.status == 202 && denied["keyJobs", "0", "keyId"] == key["id"])
            #expect(denied["job", "id"] == denied["keyJobs", "0", "jobId"])
            let again = try await api.send(.post, Self.path + "/deny", denial, as: admin, headers: header)
            #expect(again.status == 202 && again["job", "id"] == denied["job", "id"])
            #expect(again.headers[.idempotencyReplayed] == "true")
            #expect(
                try await api.send(.post, Self.path + "/deny", ["subscriptionIds": ids([open[0]])], as: admin)
                    .refusedFields == ["reason"])
            for list: JSONValue in [[], ["x"], .array(Array(repeating: .string(missing), count: 101))] {
                let bad = try await api.send(.post, Self.path + "/approve", ["subscriptionIds": list], as: admin)
                #expect(bad.status == 400)
            }
        }
    }

    @Test("a decision is taken back, and a subscription deleted; the audit log keeps both")
    func revertAndDelete() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let alice = try await api.addUser()
            let subscription = try await api.subscribe(alice, to: "gpt")[0]
            let key = try await api.createKey(as: alice)
            let path = "\(Self.path)/\(subscription.id.text)"
            let reverted = try await api.send(.post, path + "/revert", ["newStatus": "denied"], as: admin)
            #expect(
                reverted.status == 202 && reverted["status"] == "denied"
                    && reverted["keyJobs", "0", "keyId"] == key["id"])
            let wrong = try await api.send(.post, path + "/revert", ["newStatus": "expired"], as: admin)
            #expect(wrong.refusedFields == ["newStatus"])
            #expect(try await api.send(.post, path + "/revert", ["newStatus": "active"], as: alice).status == 403)
            let deleted = try await api.send(.delete, path, ["reason": "tidy"], as: admin)
            #expect(deleted.status == 200 && deleted["success"] == true)
            #expect(try await api.send(.delete, path, as: admin).status == 404)
            let actions = try await PostgresAuditStore().entries(
                resourceType: "subscription", resourceId: subscription.id.text, limit: 10, in: api.database.client
            ).map(\.action)
            #expect(
                actions == [
                    "SUBSCRIPTION_DELETED_BY_ADMIN", "SUBSCRIPTION_STATUS_REVERTED", "SUBSCRIPTION_CREATE",
                ])
            let own = try await api.subscribe(admin, to: "gpt")[0]
            #expect(try await api.send(.delete, "\(Self.path)/\(own.id.text)", as: admin).status == 403)
        }
    }

    @Test("administrators give others models and begin their quotas anew")
    func assignAndReset() async throws {
        try await APIHarness.run { api in
            try await api.addModels("a", "b")
            try await api.restrict("b")
            let admin = try await api.addAdmin()
            let alice = try await api.addUser()
            try await api.subscribe(alice, to: "b")
            let path = "/api/v1/admin/users/\(alice.id.text)/subscriptions"
            let given = try await api.send(.post, path, ["modelIds": ["a", "b"]], as: admin)
            #expect(given.status == 201 && given["created", "0", "modelId"] == "a", "\(given.text)")
            #expect(given["activated", "0", "previousStatus"] == "pending" && given["alreadyActive"] == [])
            #expect(try DocumentedShape().problems(of: given.json, as: "AssignedSubscriptions") == [])
            let again = try await api.send(.post, path, ["modelIds": ["a"]], as: admin)
            #expect(again["alreadyActive"] == ["a"])
            #expect(try await api.send(.post, path, ["modelIds": ["none"]], as: admin).status == 404)
            let own = "/api/v1/admin/users/\(admin.id.text)/subscriptions"
            #expect(try await api.send(.post, own, ["modelIds": ["a"]], as: admin).status == 403)
            let list = try await api.send(.get, path + "?status=active", as: admin)
            #expect(list["pagination", "total"] == 2)
            #expect(try DocumentedShape().problems(of: list.json, as: "SubscriptionPage") == [])
            let nobody = "/api/v1/admin/users/\(UUID().text)/subscriptions"
            #expect(try await api.send(.get, nobody, as: admin).status == 404)

            try await api.database.client.query("update subscriptions set used_requests = 10")
            let reset = "/api/v1/subscriptions/admin/reset-quotas"
            #expect(try await api.send(.post, reset, as: alice).status == 403)
            let done = try await api.send(.post, reset, ["userId": .string(alice.id.text)], as: admin)
            #expect(done.status == 200 && done["resetCount"] == 2)
            #expect(try DocumentedShape().problems(of: done.json, as: "ResetQuotas") == [])
            #expect(try await api.count("select sum(used_requests)::bigint from subscriptions") == 0)
        }
    }

    @Test("a reset of everybody's quotas is a job, and answers how many it has reset once that was waited for")
    func resetAll() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            try await api.addModels("a", "b")
            let admin = try await api.addAdmin()
            let alice = try await api.addUser("alice")
            try await api.subscribe(alice, to: "a", "b")
            try await api.subscribe(admin, to: "a")
            try await api.database.client.query("update subscriptions set used_requests = 10")
            let reset = "/api/v1/subscriptions/admin/reset-quotas"
            let asked = try await api.send(.post, reset, [:], as: admin)
            #expect(asked.status == 202 && asked["resetCount"] == 2 && asked["job", "kind"] == "quota.forgive")
            #expect(try DocumentedShape().problems(of: asked.json, as: "ResetQuotas") == [])
            try await api.wait(for: asked["job", "id"]?.stringValue, "succeeded")
            // Their own stays.
            #expect(try await api.count("select sum(used_requests)::bigint from subscriptions") == 10)
            let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])
            let waited = try await api.send(.post, reset, [:], as: admin, headers: prefer)
            #expect(waited.status == 200 && waited["resetCount"] == 2, "\(waited.text)")
        }
    }

    @Test("a model that needs an approval from now on takes its subscriptions back, as the worker carries it out")
    func cascade() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            try await api.addModels("gpt")
            let people = [try await api.addUser("alice"), try await api.addUser("bob")]
            let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])
            for person in people { try await api.subscribe(person, to: "gpt") }
            #expect(try await api.createKey(as: people[0], headers: prefer).status == 201)
            try await api.restrict("gpt")
            let job = try await api.queue.enqueue(ModelCascade(modelId: "gpt", cause: .restriction))
            try await api.wait(for: String(job.id), "succeeded")
            let report = try await api.queue.job(id: job.id)?.result
            #expect(report == ["moved": 2, "keys": 1, "succeeded": 1, "failed": 0])
            #expect(try await api.count("select count(*) from subscriptions where status = 'pending'") == 2)
            let lift = try await api.queue.enqueue(ModelCascade(modelId: "gpt", cause: .restriction))
            try await api.wait(for: String(lift.id), "succeeded")
            #expect(try await api.queue.job(id: lift.id)?.result?["moved"] == 0)
            try await api.restrict("gpt", isRestricted: false)
            let last = try await api.queue.enqueue(ModelCascade(modelId: "gpt", cause: .restriction))
            try await api.wait(for: String(last.id), "succeeded")
            #expect(try await api.count("select count(*) from subscriptions where status = 'active'") == 2)
        }
    }

    @Test("fifty decisions about one subscription at once make a history without a gap")
    func races() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            try await api.restrict("gpt")
            let alice = try await api.addUser()
            let admins = [try await api.addAdmin("one"), try await api.addAdmin("two")]
            let subscription = try await api.subscribe(alice, to: "gpt")[0]
            let id = subscription.id.text
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for number in 0..<50 {
                    group.addTask {
                        switch number % 3 {
                        case 0:
                            try await api.send(
                                .post, Self.path + "/approve", ["subscriptionIds": [.string(id)]],
                                as: admins[number % 2]
                            ).status
                        case 1:
                            try await api.send(
                                .post, Self.path + "/deny", ["subscriptionIds": [.string(id)], "reason": "x"],
                                as: admins[number % 2]
                            ).status
                        default:
                            try await api.send(.post, "/api/v1/subscriptions/\(id)/cancel", as: alice).status
                        }
                    }
                }
                return try await group.reduce(into: Set<Int>()) { $0.insert($1) }
            }
            #expect(statuses.isSubset(of: [200, 400]))
            let history = try await PostgresSubscriptionStore().history(
                of: [subscription.id], limit: 100, in: api.database.client
            ).reversed()
            var status: String?
            for entry in history {
                #expect(entry.oldStatus == status)
                let from = status.flatMap(SubscriptionStatus.init(rawValue:))
                let targets: [String: SubscriptionTrigger] = [
                    "request": .request(needsApproval: true), "approval": .approve, "denial": .deny,
                    "cancellation": .cancel,
                ]
                #expect(targets[entry.cause]?.target(from: from)?.rawValue == entry.newStatus, "\(entry)")
                status = entry.newStatus
            }
            let row = try await PostgresSubscriptionStore().find(subscription.id, in: api.database.client)
            #expect(row?.status.rawValue == status)
            let audited = try await api.count(
                "select count(*) from audit_logs where resource_type = 'subscription' and resource_id = \(id)")
            #expect(audited == history.count)
        }
    }
}
