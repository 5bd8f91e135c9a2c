import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Differences and synchronisation", .needsDatabase, .hangGuard)
struct DriftRouteTests {
    private static let waiting: HTTPFields = [.prefer: "wait=30"]

    /// A user in LiteLLM, renamed there behind our back, and a key that nobody made here.
    private func spoil(_ api: APIHarness, _ admin: User) async throws -> User {
        try await api.addModels("gpt")
        let made = try await api.send(
            .post, "/api/v1/admin/users", ["username": "carol", "email": "carol@example.com", "fullName": "Carol"],
            as: admin, headers: Self.waiting)
        let id = try #require(made["id"]?.stringValue)
        api.litellm.change { state in
            state.users[id]?["user_alias"] = "Mallory"
            state.keys[sha256Hex("sk-of-somebody-else")] = [
                "token": .string(sha256Hex("sk-of-somebody-else")), "key_alias": "theirs", "models": ["gpt"],
                "key_name": "sk-...else", "user_id": "somebody", "max_budget": 4,
            ]
        }
        let uuid = try #require(UUID(uuidString: id))
        return try #require(try await PostgresUserStore().find(uuid, in: api.database.client))
    }

    private func reconcile(
        _ api: APIHarness, _ admin: User, _ body: JSONValue = [:]
    ) async throws -> Answer {
        try await api.send(.post, "/api/v1/admin/reconcile", body, as: admin, headers: Self.waiting)
    }

    private func finding(_ api: APIHarness, _ admin: User, _ query: String) async throws -> String {
        let page = try await api.send(.get, "/api/v1/admin/drift?state=open&\(query)", as: admin)
        return try #require(page["data", "0", "id"]?.stringValue, "\(page.text)")
    }

    @Test("differences are found, shown, repaired, ignored and revoked")
    func decides() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let carol = try await spoil(api, admin)
            let shape = try DocumentedShape()
            let walked = try await reconcile(api, admin, ["scope": ["users", "keys"]])
            #expect(walked.status == 200 && walked["result", "isComplete"] == true, "\(walked.text)")
            #expect(walked["result", "counts", "user", "differs"] == 1)
            #expect(shape.problems(of: walked.json, as: "Reconcile") == [])
            let walks = try await api.send(.get, "/api/v1/admin/reconciliations", as: admin)
            #expect(walks["data", "0", "isComplete"] == true && walks["pagination", "total"] == 1)
            #expect(shape.problems(of: walks.json, as: "ReconciliationPage") == [])

            let page = try await api.send(.get, "/api/v1/admin/drift?type=user,key&kind=differs", as: admin)
            #expect(shape.problems(of: page.json, as: "DriftPage") == [])
            let differing = try await finding(api, admin, "kind=differs")
            let shown = try await api.send(.get, "/api/v1/admin/drift/\(differing)", as: admin)
            #expect(shown["objectId"]?.stringValue == carol.id.text && shown["found"] == "Mallory")
            let repaired = try await api.send(
                .post, "/api/v1/admin/drift/\(differing)/repair", [:], as: admin, headers: Self.waiting)
            #expect(repaired.status == 200 && repaired["state"] == "repaired", "\(repaired.text)")
            #expect(api.litellm.state.users[carol.id.text]?["user_alias"] == "Carol")
            let again = try await api.send(.post, "/api/v1/admin/drift/\(differing)/repair", [:], as: admin)
            #expect(again.status == 409)

            let foreign = try await finding(api, admin, "kind=foreign&type=key")
            let ignored = try await api.send(
                .post, "/api/v1/admin/drift/\(foreign)/ignore", ["reason": "another tool's"], as: admin)
            #expect(ignored.status == 200 && ignored["state"] == "ignored")
            let unnamed = try await api.send(.post, "/api/v1/admin/drift/\(foreign)/revoke", [:], as: admin)
            #expect(unnamed.status == 400 && unnamed.refusedFields == ["confirm"])
            let revoked = try await api.send(
                .post, "/api/v1/admin/drift/\(foreign)/revoke", ["confirm": "theirs"], as: admin,
                headers: Self.waiting)
            #expect(revoked.status == 200 && revoked["state"] == "revoked", "\(revoked.text)")
            #expect(api.litellm.state.keys[sha256Hex("sk-of-somebody-else")]?["blocked"] == true)
            let unheard = try await api.send(.get, "/api/v1/admin/drift/999999", as: admin)
            #expect(unheard.status == 404)
        }
    }

    @Test("a stranger's key is adopted for a person who is subscribed to its models")
    func adopts() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let carol = try await spoil(api, admin)
            _ = try await reconcile(api, admin)
            let id = try await finding(api, admin, "kind=foreign&type=key")
            let path = "/api/v1/admin/drift/\(id)/adopt"
            let unknown = try await api.send(.post, path, ["userId": .string(UUID().text)], as: admin)
            #expect(unknown.status == 400 && unknown.refusedFields == ["userId"])
            let refused = try await api.send(
                .post, path, ["userId": .string(carol.id.text)], as: admin, headers: Self.waiting)
            #expect(refused.status >= 400 && refused.text.contains("gpt"), "\(refused.text)")
            let adopted = try await api.send(
                .post, path, ["userId": .string(carol.id.text), "name": "Theirs", "subscribe": true], as: admin,
                headers: Self.waiting)
            #expect(adopted.status == 200 && adopted["state"] == "adopted", "\(adopted.text)")
            let keys = try await api.send(.get, "/api/v1/admin/users/\(carol.id.text)/api-keys", as: admin)
            #expect(keys["data", "0", "name"] == "Theirs", "\(keys.text)")
        }
    }

    @Test("what is asked for has to be known, and strangers are for people to decide")
    func refuses() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let answer = try await api.send(
                .post, "/api/v1/admin/reconcile",
                ["scope": ["planets"], "policy": ["foreign": "revoke", "differs": "revoke"]], as: admin)
            #expect(answer.status == 400)
            #expect(Set(answer.refusedFields) == ["scope", "policy.foreign", "policy.differs"], "\(answer.text)")
            let accepted = try await api.send(.post, "/api/v1/admin/reconcile", ["dryRun": false], as: admin)
            #expect(accepted.status == 202 && accepted["policy", "alive"] == "repair")
            let same = try await api.send(.post, "/api/v1/admin/reconcile", ["dryRun": false], as: admin)
            #expect(same["job", "id"] == accepted["job", "id"])
        }
    }

    @Test("everything is brought to LiteLLM again, and the figures are those of the jobs")
    func synchronises() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let carol = try await spoil(api, admin)
            let answer = try await api.send(
                .post, "/api/v1/integration/sync", ["forceSync": true, "userId": .string(carol.id.text)], as: admin,
                headers: Self.waiting)
            #expect(answer.status == 200 && answer["success"] == true, "\(answer.text)")
            #expect(answer["results", "users"] == ["total": 1, "synced": 1, "errors": 0])
            #expect(answer["syncId"]?.stringValue?.hasPrefix("sync-") == true)
            #expect(try DocumentedShape().problems(of: answer.json, as: "IntegrationSync") == [])
            #expect(api.litellm.state.users[carol.id.text]?["user_alias"] == "Carol")
        }
    }
}
