import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("API keys over their life", .needsDatabase, .hangGuard)
struct KeyLifeRouteTests {
    /// An API with a user who may use two models, and a key of theirs for one of them, as if LiteLLM had it.
    private func withKey(
        reveals: Bool = false,
        _ body: @escaping @Sendable (APIHarness, User, _ id: String, _ secret: String) async throws -> Void
    ) async throws {
        try await APIHarness.run {
            $0.provisioning.keepsSecretsForReveal = reveals
            $0.provisioning.maxActiveKeysPerUser = 20
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("claude", "gpt")
            try await api.database.client.subscribe(user.id, to: ["claude", "gpt"])
            let created = try await api.createKey(as: user)
            let id = try #require(created["id"]?.stringValue)
            try await api.makeSynced()
            try await body(api, user, id, try #require(created["key"]?.stringValue))
        }
    }

    @Test("a change is wanted at once, null clears, an absent member stays")
    func change() async throws {
        try await withKey { api, user, id, _ in
            let first = try await api.send(
                .patch, "/api/v1/api-keys/\(id)",
                [
                    "maxBudget": 7.5, "tpmLimit": 100, "modelIds": ["gpt", "claude"],
                    "expiresAt": "2099-01-01T00:00:00Z",
                ],
                as: user)
            #expect(first.status == 202, "\(first.text)")
            #expect(first["maxBudget"] == 7.5 && first["models"] == ["claude", "gpt"])
            #expect(first["syncStatus"] == "pending" && first["job", "kind"] == "key.update")
            let second = try await api.send(
                .patch, "/api/v1/api-keys/\(id)", ["maxBudget": nil, "expiresAt": nil], as: user)
            #expect(second.status == 202 && second["maxBudget"] == nil && second["expiresAt"] == nil)
            #expect(second["tpmLimit"] == 100)
            let name = try await api.send(.patch, "/api/v1/api-keys/\(id)", ["name": "renamed"], as: user)
            #expect(name.status == 200 && name["name"] == "renamed" && name["job"] == nil)
            for (body, field) in [
                (["modelIds": []], "modelIds"), (["modelIds": nil], "modelIds"), (["modelIds": ["nope"]], "modelIds"),
                (["tpmLimit": -1], "tpmLimit"), (["expiresAt": "2001-01-01T00:00:00Z"], "expiresAt"), ([:], "body"),
            ] as [(JSONValue, String)] {
                let refused = try await api.send(.patch, "/api/v1/api-keys/\(id)", body, as: user)
                #expect(refused.status == 400 && refused.refusedFields == [field], "\(refused.text)")
            }
        }
    }

    @Test("nobody else changes, rotates or resets a key; a model without a subscription is refused")
    func others() async throws {
        try await withKey { api, user, id, _ in
            let other = try await api.addUser("other")
            for (method, path) in [
                (HTTPRequest.Method.patch, ""), (.post, "/rotate"), (.post, "/reset-spend"), (.post, "/reveal"),
                (.get, "/usage"), (.get, "/models"),
            ] {
                let answer = try await api.send(method, "/api/v1/api-keys/\(id)\(path)", ["name": "x"], as: other)
                #expect(answer.status == 404, "\(method) \(path): \(answer.text)")
            }
            try await api.database.client.subscribe(user.id, to: ["claude"], status: "pending")
            let refused = try await api.send(
                .patch, "/api/v1/api-keys/\(id)", ["modelIds": ["gpt", "claude"]], as: user)
            #expect(refused.status == 400 && refused.text.contains("no active subscription for claude"))
        }
    }

    @Test("what administrators have set fills what is left open, and bounds what is not")
    func maximums() async throws {
        try await withKey { api, user, id, _ in
            let admin = try await api.addAdmin()
            let settings: JSONValue = [
                "defaults": ["maxBudget": 5, "expirationDays": 30],
                "maximums": ["maxBudget": 10, "expirationDays": 90],
            ]
            let stored = try await api.send(.put, "/api/v1/admin/settings/api-key-defaults", settings, as: admin)
            #expect(stored.status == 200, "\(stored.text)")
            let filled = try await api.createKey("filled", as: user)
            #expect(filled["maxBudget"] == 5 && filled["expiresAt"] != nil, "\(filled.text)")
            let beyond = try await api.send(
                .post, "/api/v1/api-keys",
                ["modelIds": ["gpt"], "maxBudget": 11, "expiresAt": "2099-01-01T00:00:00Z"], as: user)
            #expect(beyond.status == 400 && beyond.refusedFields == ["maxBudget", "expiresAt"], "\(beyond.text)")
            // One that was above the maximums before keeps what it has, and may come down.
            #expect(try await api.send(.patch, "/api/v1/api-keys/\(id)", ["tpmLimit": 5], as: user).status == 202)
            let raised = try await api.send(.patch, "/api/v1/api-keys/\(id)", ["maxBudget": 20], as: user)
            #expect(raised.refusedFields == ["maxBudget"])
            #expect(try await api.send(.patch, "/api/v1/api-keys/\(id)", ["maxBudget": 9], as: user).status == 202)
            // Its owner could start a budget anew at any time.
            #expect(try await api.send(.post, "/api/v1/api-keys/\(id)/reset-spend", as: user).status == 403)
            #expect(try await api.send(.post, "/api/v1/api-keys/\(id)/reset-spend", as: admin).status == 202)
        }
    }

    @Test("a rotation shows the new secret once, again for a repeated request, and another one has to wait")
    func rotation() async throws {
        try await withKey { api, user, id, secret in
            let headers: HTTPFields = [.idempotencyKey: "rotate-1"]
            let path = "/api/v1/api-keys/\(id)/rotate"
            let first = try await api.send(.post, path, ["gracePeriodSeconds": 60], as: user, headers: headers)
            #expect(first.status == 202, "\(first.text)")
            let minted = try #require(first["key"]?.stringValue)
            #expect(minted != secret && minted.hasPrefix("sk-"))
            #expect(first["oldPrefix"] == .string(String(secret.prefix(7))) && first["gracePeriodSeconds"] == 60)
            let again = try await api.send(.post, path, ["gracePeriodSeconds": 60], as: user, headers: headers)
            #expect(again["key"] == .string(minted) && again["job", "id"] == first["job", "id"])
            #expect(try await api.send(.post, path, as: user).status == 409)
            #expect(try await api.send(.post, path, ["gracePeriodSeconds": -1], as: user).status == 400)
            // Until LiteLLM has the new one, the old one is a credential here too.
            #expect(try await api.send(.get, "/api/v1/jobs", headers: api.bearer(secret)).status == 200)
            #expect(try await api.send(.get, "/api/v1/jobs", headers: api.bearer(minted)).status == 401)
        }
    }

    @Test("a secret is shown again only where that is kept, only to its owner, only with a young session")
    func reveal() async throws {
        try await withKey { api, user, id, _ in
            for path in ["reveal", "retrieve-key"] {
                let refused = try await api.send(.post, "/api/v1/api-keys/\(id)/\(path)", as: user)
                #expect(refused.status == 403 && refused.text.contains("rotate"))
            }
        }
        try await withKey(reveals: true) { api, user, id, secret in
            let path = "/api/v1/api-keys/\(id)/reveal"
            let shown = try await api.send(.post, path, as: user)
            #expect(shown.status == 200 && shown["key"] == .string(secret) && shown["keyType"] == "litellm")
            #expect(shown.headers[.cacheControl] == "no-store")
            let retrieved = try await api.send(.post, "/api/v1/api-keys/\(id)/retrieve-key", as: user)
            #expect(retrieved.status == 200 && retrieved["key"] == .string(secret))
            #expect(try await api.send(.post, path, as: try await api.addAdmin()).status == 404)
            #expect(try await api.send(.post, path, headers: api.bearer(secret)).status == 403)
            let count: PostgresQuery = "select count(*) from audit_logs where action = 'API_KEY_RETRIEVE_FULL'"
            #expect(try await api.count(count) == 2)
            try await api.database.client.query("update auth_sessions set created_at = now() - interval '25 hours'")
            let old = try await api.send(.post, path, as: user)
            #expect(old.status == 403 && old.errorCode == "TOKEN_TOO_OLD")
        }
    }

    @Test("an older client's body with one subscription still works, and is told so")
    func legacy() async throws {
        try await withKey { api, user, _, _ in
            let rows = try await api.database.client.query(
                "select id from subscriptions where user_id = \(user.id) and model_id = 'claude'")
            let subscription = try rows.one(UUID.self)
            let body: JSONValue = ["subscriptionId": .string(subscription.text), "name": "old"]
            let created = try await api.send(.post, "/api/v1/api-keys", body, as: user)
            #expect(created.status == 202 && created["models"] == ["claude"], "\(created.text)")
            #expect(created["subscriptionId"] == .string(subscription.text))
            let warning = try #require(HTTPField.Name("X-API-Deprecation-Warning"))
            #expect(created.headers[warning]?.contains("subscriptionId") == true)
            let list = try await api.send(.get, "/api/v1/api-keys?subscriptionId=\(subscription.text)", as: user)
            #expect(list["pagination", "total"] == 1)
            let stats = try await api.send(.get, "/api/v1/api-keys/stats", as: user)
            #expect(stats["bySubscription", subscription.text] == 1 && stats["byModel", "gpt"] == 1)
            try await api.database.client.subscribe(user.id, to: ["claude"], status: "suspended")
            #expect(try await api.send(.post, "/api/v1/api-keys", body, as: user).refusedFields == ["subscriptionId"])
            let foreign = try await api.send(.post, "/api/v1/api-keys", body, as: try await api.addUser("other"))
            #expect(foreign.status == 404)
        }
    }

    @Test("reports: statistics, use, models, validity")
    func reports() async throws {
        try await withKey { api, user, id, secret in
            let admin = try await api.addAdmin()
            try await api.database.client.query(
                """
                with d as (
                    insert into usage_days values (current_date, now(), false, 1.5, 10, 5, 15, 3, 3, 0, 1) returning day
                )
                insert into usage_daily
                select day, k.key_hash, 'gpt', 'openai', k.user_id, k.id, k.litellm_alias, 1.5, 10, 5, 15, 3, 3, 0
                from d, api_keys k
                """)
            let use = try await api.send(.get, "/api/v1/api-keys/\(id)/usage", as: user)
            #expect(use["totalRequests"] == 3 && use["requestsThisMonth"] == 3 && use["totalCost"] == 1.5)
            let stats = try await api.send(.get, "/api/v1/api-keys/stats", as: user)
            #expect(stats["total"] == 1 && stats["active"] == 1 && stats["expired"] == 0 && stats["revoked"] == 0)
            let models = try await api.send(.get, "/api/v1/api-keys/\(id)/models", as: user)
            #expect(models["models"]?[0]?["isActive"] == true)

            func validity(_ key: String) async throws -> Answer {
                try await api.send(.post, "/api/v1/api-keys/validate", ["key": .string(key)], as: admin)
            }
            #expect(try await validity(secret)["isValid"] == true)
            #expect(try await validity("sk-nobody")["reason"] == "unknown")
            #expect(try await api.send(.post, "/api/v1/api-keys/validate", ["key": "x"], as: user).status == 403)
            try await api.database.client.subscribe(user.id, to: ["gpt"], status: "denied")
            #expect(try await validity(secret)["reason"] == "no_models")
            let list = try await api.send(.get, "/api/v1/api-keys", as: user)
            #expect(list["data"]?[0]?["isActive"] == false && list["data"]?[0]?["suspendedModels"] == ["gpt"])
            #expect(try await api.send(.get, "/api/v1/api-keys?isActive=true", as: user)["pagination", "total"] == 0)
            try await api.database.client.query("update api_keys set expires_at = now() - interval '1 second'")
            #expect(try await validity(secret)["reason"] == "expired")
            #expect(try await api.send(.delete, "/api/v1/api-keys/\(id)", as: user).status == 202)
            #expect(try await validity(secret)["reason"] == "deleted")
        }
    }

    @Test("administrators make, change, revoke and reset keys of others, with the subscriptions they need")
    func administration() async throws {
        try await withKey { api, user, id, _ in
            let admin = try await api.addAdmin()
            let path = "/api/v1/admin/users/\(user.id.text)/api-keys"
            try await api.database.client.query("delete from subscriptions where model_id = 'claude'")
            let made = try await api.send(
                .post, path, ["modelIds": ["claude"], "name": "for you", "maxBudget": 1000], as: admin)
            #expect(made.status == 202 && made["key"] != nil && made["models"] == ["claude"], "\(made.text)")
            let query: PostgresQuery =
                "select count(*) from subscriptions where model_id = 'claude' and status = 'active'"
            #expect(try await api.count(query) == 1)
            #expect(try await api.send(.get, path, as: admin)["pagination", "total"] == 2)
            let other = try await api.addUser("other")
            let foreign = "/api/v1/admin/users/\(other.id.text)/api-keys/\(id)"
            #expect(try await api.send(.patch, foreign, ["name": "x"], as: admin).status == 404)
            #expect(try await api.send(.patch, "\(path)/\(id)", ["maxBudget": 50], as: admin).status == 202)
            #expect(try await api.send(.post, "\(path)/\(id)/reset-spend", as: admin).status == 202)
            let choices = try await api.send(.get, "/api/v1/admin/api-keys?userIds[]=\(user.id.text)", as: admin)
            #expect(choices["total"] == 2 && choices["apiKeys"]?[0]?["username"] == "alice")
            #expect(try await api.send(.get, "/api/v1/admin/api-keys", as: admin)["total"] == 0)
            #expect(try await api.send(.get, "/api/v1/api-keys/admin/all", as: admin)["pagination", "total"] == 2)
            let revoked = try await api.send(.delete, "\(path)/\(id)", ["reason": "left the course"], as: admin)
            #expect(revoked.status == 202 && revoked["success"] == true && revoked["isActive"] == false)
            let list = try await api.send(.get, path, as: admin)
            #expect(list["pagination", "total"] == 2)
            #expect(try await api.send(.delete, "\(path)/\(id)?permanent=true", as: admin).status == 202)
            #expect(try await api.send(.get, path, as: admin)["pagination", "total"] == 1)
            let cleanup = try await api.send(.post, "/api/v1/api-keys/admin/cleanup-expired", as: admin)
            #expect(cleanup.status == 202 && cleanup["job", "kind"] == "keys.expire")
        }
    }

    @Test("fifty at once for the last place: one gets it; fifty of one name: as many aliases")
    func lastPlace() async throws {
        try await APIHarness.run {
            $0.provisioning.maxActiveKeysPerUser = 3
        } _: { api in
            let (user, busy) = (try await api.addUser(), try await api.addUser("busy"))
            try await api.addModels("gpt")
            for user in [user, busy] { try await api.database.client.subscribe(user.id, to: ["gpt"]) }
            for _ in 1...2 { _ = try await api.createKey(as: user) }
            let statuses = try await withThrowingTaskGroup(of: Int.self) { group in
                for _ in 1...50 {
                    group.addTask {
                        try await api.send(
                            .post, "/api/v1/api-keys", ["modelIds": ["gpt"], "name": "same"], as: user
                        ).status
                    }
                }
                return try await group.reduce(into: [Int]()) { $0.append($1) }
            }
            #expect(statuses.count { $0 == 202 } == 1 && statuses.count { $0 == 400 } == 49)
            #expect(try await api.count("select count(*) from api_keys where user_id = \(user.id)") == 3)
            let aliases: PostgresQuery = "select count(distinct litellm_alias) from api_keys where user_id = \(user.id)"
            #expect(try await api.count(aliases) == 3)
        }
    }
}

extension APIHarness {
    /// Lets every key look as LiteLLM has it, and its jobs done.
    func makeSynced() async throws {
        try await database.client.query("delete from jobs")
        try await database.client.query(
            "update api_keys set sync_status = 'synced', version_applied = version_wanted")
    }
}
