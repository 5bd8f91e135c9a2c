import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("API keys", .needsDatabase, .hangGuard)
struct KeyRouteTests {
    @Test("everything a client may ask for is stored and shown again")
    func full() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt", "claude")
            try await api.subscribe(user, to: "gpt", "claude")
            let expiry = ISO8601.string(from: Date().addingTimeInterval(86_400))
            let body: JSONValue = [
                "modelIds": ["gpt", "claude"], "name": "Everything", "expiresAt": .string(expiry), "maxBudget": 12.5,
                "softBudget": 10, "budgetDuration": "monthly", "tpmLimit": 1000, "rpmLimit": 60,
                "maxParallelRequests": 3, "tags": ["a"], "permissions": ["allowChatCompletions": true],
                "metadata": ["team": "x", "nested": ["deep": [1, nil]]],
                "modelMaxBudget": ["gpt": ["budgetLimit": 5, "timePeriod": "daily"]], "modelRpmLimit": ["gpt": 5],
                "modelTpmLimit": ["gpt": 500], "unknownField": "ignored", "subscriptionId": nil,
            ]
            let created = try await api.send(.post, "/api/v1/api-keys", body, as: user)
            #expect(created.status == 202, "\(created.text)")
            let id = try #require(created["id"]?.stringValue)
            let key = try await api.send(.get, "/api/v1/api-keys/\(id)", as: user)
            #expect(key.status == 200 && key["key"] == nil)
            for member in [
                "name", "maxBudget", "softBudget", "budgetDuration", "tpmLimit", "rpmLimit", "maxParallelRequests",
                "tags",
                "permissions", "metadata", "modelMaxBudget", "modelRpmLimit", "modelTpmLimit", "expiresAt",
            ] {
                #expect(key.json[member] == body[member], "\(member)")
            }
            #expect(key["models"] == ["claude", "gpt"])
            let prefix = try #require(created["keyPrefix"]?.stringValue)
            #expect(key["prefix"]?.stringValue == prefix && key["keyPreview"]?.stringValue == "\(prefix)...")
            #expect(key["isLiteLLMKey"] == true && key["liteLLMInfo"] == nil)
        }
    }

    @Test(
        "every bad field is named",
        arguments: [
            (#"{}"#, ["modelIds"]), (#"{"modelIds":[]}"#, ["modelIds"]),
            (#"{"modelIds":"no such model"}"#, ["modelIds"]),
            (#"{"modelIds":[1]}"#, ["modelIds[0]"]), (#"{"modelIds":["gpt"],"name":""}"#, ["name"]),
            (
                #"{"modelIds":["gpt"],"name":5,"maxBudget":"1","tpmLimit":-1,"rpmLimit":1.5}"#,
                ["name", "maxBudget", "tpmLimit", "rpmLimit"]
            ),
            (#"{"modelIds":["gpt"],"expiresAt":"tomorrow"}"#, ["expiresAt"]),
            (#"{"modelIds":["gpt"],"expiresAt":"2020-01-01T00:00:00Z"}"#, ["expiresAt"]),
            (#"{"modelIds":["gpt"],"budgetDuration":"sometimes"}"#, ["budgetDuration"]),
            (#"{"modelIds":["gpt"],"maxBudget":-1,"softBudget":1e300}"#, ["maxBudget", "softBudget"]),
            (#"{"modelIds":["gpt"],"maxParallelRequests":0}"#, ["maxParallelRequests"]),
            (#"{"modelIds":["gpt"],"permissions":{"a":1}}"#, ["permissions"]),
            (#"{"modelIds":["gpt"],"metadata":[]}"#, ["metadata"]), (#"{"modelIds":["gpt"],"tags":[""]}"#, ["tags[0]"]),
            (#"{"modelIds":["gpt"],"teamId":"x"}"#, ["teamId"]),
            (#"{"modelIds":["gpt"],"teamId":"00000000-0000-4000-8000-000000000000"}"#, ["teamId"]),
            (#"{"modelIds":["gpt"],"modelRpmLimit":{"gpt":"x"}}"#, ["modelRpmLimit"]),
            (#"{"modelIds":["gpt"],"modelMaxBudget":{"gpt":5}}"#, ["modelMaxBudget"]),
            (#"{"modelIds":["gpt"],"guardrails":["pii"]}"#, ["guardrails"]),
            (#"{"modelIds":["gpt"]"#, ["body"]), (#"[]"#, ["body"]), (#""text""#, ["body"]),
            ("{\"modelIds\":[\"gpt\"],\"name\":\"\\u0000\"}", ["body"]),
        ] as [(String, [String])])
    func refused(_ body: String, _ fields: [String]) async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            try await api.subscribe(user, to: "gpt")
            let answer = try await api.send(.post, "/api/v1/api-keys", bytes: Array(body.utf8), as: user)
            #expect(answer.status == 400 && answer.errorCode == "VALIDATION_ERROR", "\(answer.text)")
            #expect(answer.refusedFields == fields)
            #expect(answer["error", "details", "field"]?.stringValue == fields.first)
            #expect(try await api.count("select count(*) from api_keys") == 0)
            #expect(try await api.count("select count(*) from jobs") == 0)
        }
    }

    @Test("keys of others are not there; admins see all, readers see all, only admins delete")
    func isolation() async throws {
        try await APIHarness.run { api in
            let owner = try await api.addUser("owner")
            let other = try await api.addUser("other")
            let reader = try await api.addUser("reader", roles: [.adminReadonly, .user])
            let admin = try await api.addAdmin()
            try await api.addModels("gpt")
            let id = try #require(try await api.createKey(as: owner)["id"]?.stringValue)
            for (user, seen, deleted) in [(other, 404, 404), (reader, 200, 404), (admin, 200, 202)] {
                #expect(try await api.send(.get, "/api/v1/api-keys/\(id)", as: user).status == seen)
                let list = try await api.send(.get, "/api/v1/api-keys", as: user)
                #expect(list["pagination", "total"] == 0)
                let asked = try await api.send(.get, "/api/v1/api-keys?userId=\(owner.id.text)", as: user)
                #expect(asked["pagination", "total"] == (seen == 200 ? 1 : 0), "\(user.username)")
                #expect(try await api.send(.delete, "/api/v1/api-keys/\(id)", as: user).status == deleted)
            }
            #expect(
                try await api.count(
                    "select count(*) from audit_logs where action = 'API_KEY_DELETE' and actor = 'root'") == 1)
        }
    }

    @Test("the list has pages with bounds, and filters")
    func list() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt", "org/model one")
            for number in 0..<5 { #expect(try await api.createKey("key \(number)", as: user).status == 202) }
            try await api.subscribe(user, to: "org/model one")
            let special: JSONValue = ["modelIds": ["org/model one"], "name": "special"]
            #expect(try await api.send(.post, "/api/v1/api-keys", special, as: user).status == 202)
            let page = try await api.send(.get, "/api/v1/api-keys?page=2&limit=4", as: user)
            #expect(page["pagination"] == ["page": 2, "limit": 4, "total": 6, "totalPages": 2])
            #expect(page["data"]?.arrayValue?.count == 2)
            let beyond = try await api.send(.get, "/api/v1/api-keys?page=9&limit=4", as: user)
            #expect(beyond["data"] == [] && beyond["pagination", "total"] == 6)
            for query in [
                "modelIds[]=org/model%20one", "modelIds=org%2Fmodel+one", "modelIds%5B0%5D=org%2Fmodel%20one",
            ] {
                let found = try await api.send(.get, "/api/v1/api-keys?\(query)", as: user)
                #expect(found["data", "0", "name"] == "special" && found["pagination", "total"] == 1, "\(query)")
            }
            #expect(try await api.send(.get, "/api/v1/api-keys?isActive=false", as: user)["pagination", "total"] == 0)
            let bad = try await api.send(.get, "/api/v1/api-keys?page=0&limit=101&isActive=perhaps&userId=x", as: user)
            #expect(bad.status == 400 && bad.refusedFields == ["page", "limit", "isActive", "userId"])
        }
    }

    @Test("a user has a limited number of keys; readers make none")
    func limits() async throws {
        try await APIHarness.run {
            $0.provisioning.maxActiveKeysPerUser = 2
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let first = try #require(try await api.createKey(as: user)["id"]?.stringValue)
            #expect(try await api.createKey(as: user).status == 202)
            let refused = try await api.createKey(as: user)
            #expect(refused.status == 400 && refused["error", "message"]?.stringValue?.contains("2") == true)
            #expect(try await api.send(.delete, "/api/v1/api-keys/\(first)", as: user).status == 202)
            #expect(try await api.createKey(as: user).status == 202)
            let reader = try await api.addUser("reader", roles: [.readonly])
            #expect(try await api.createKey(as: reader).status == 403)
        }
    }

    @Test("ids that are no UUID are 400, unknown ones 404; the case of an id does not matter")
    func ids() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            #expect(try await api.send(.get, "/api/v1/api-keys/x", as: user).refusedFields == ["id"])
            #expect(try await api.send(.get, "/api/v1/api-keys/%ff", as: user).refusedFields == ["id"])
            #expect(try await api.send(.get, "/api/v1/api-keys/\(UUID())", as: user).status == 404)
            let id = try #require(try await api.createKey(as: user)["id"]?.stringValue)
            #expect(try await api.send(.get, "/api/v1/api-keys/\(id.uppercased())", as: user).status == 200)
        }
    }
}
