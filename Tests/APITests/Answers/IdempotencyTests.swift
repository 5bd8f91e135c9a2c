import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Idempotency-Key", .needsDatabase, .hangGuard)
struct IdempotencyTests {
    @Test("a repetition gets the first answer, secret included, and changes nothing")
    func replay() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let first = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            #expect(first.status == 202 && first.headers[.idempotencyReplayed] == nil)
            let second = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            #expect(second.status == 202 && second.headers[.idempotencyReplayed] == "true")
            #expect(second.headers[.location] == first.headers[.location])
            for member in ["id", "key", "name", "models", "createdAt", "syncStatus"] {
                #expect(second.json[member] == first.json[member], "\(member)")
            }
            #expect(second["job", "id"] == first["job", "id"])
            #expect(try await api.count("select count(*) from api_keys") == 1)
            #expect(try await api.count("select count(*) from audit_logs where action = 'API_KEY_CREATE'") == 1)
        }
    }

    @Test("Prefer is applied anew to a repetition")
    func prefer() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let first = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            #expect(first.status == 202)
            let second = try await api.createKey(as: user, headers: [.idempotencyKey: "a", .prefer: "wait=20"])
            #expect(second.status == 201 && second.headers[.idempotencyReplayed] == "true")
            #expect(second.headers[.preferenceApplied] == "wait=20")
            #expect(second["key"] == first["key"] && second["syncStatus"] == "synced")
            let third = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            #expect(third.status == 202 && third["job", "state"] == "succeeded")
        }
    }

    @Test("once the secret is no longer kept the answer lacks it and says so")
    func secretGone() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let first = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            try await api.database.client.query("update sealed_secrets set delete_after = now() - interval '1 second'")
            let second = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            #expect(second.status == 202 && second["id"] == first["id"])
            #expect(second["key"] == nil && second["notice"]?.stringValue?.contains("Rotate") == true)
        }
    }

    @Test("the stored answer holds no secret")
    func noSecretAtRest() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let answer = try await api.createKey(as: user, headers: [.idempotencyKey: "a"])
            let secret = try #require(answer["key"]?.stringValue)
            let rows = try await api.database.client.query("select response::text from idempotency_keys")
            let stored = try #require(rows.first).decode(String.self)
            #expect(stored.contains(try #require(answer["id"]?.stringValue)))
            #expect(!stored.contains(secret) && !stored.contains(String(secret.dropFirst(7))))
        }
    }

    @Test("the same key with another body is 422; another caller, path or method is another key")
    func scope() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let other = try await api.addAdmin("bob")
            try await api.addModels("gpt")
            let headers: HTTPFields = [.idempotencyKey: "a"]
            let first = try await api.createKey("one", as: user, headers: headers)
            let reused = try await api.createKey("two", as: user, headers: headers)
            #expect(reused.status == 422 && reused.errorCode == "IDEMPOTENCY_KEY_REUSED")
            let others = try await api.createKey("one", as: other, headers: headers)
            #expect(others.status == 202 && others["id"] != first["id"])
            let sync = try await api.send(.post, "/api/v1/models/sync", as: other, headers: headers)
            let alias = try await api.send(.post, "/api/v1/admin/sync/models", as: other, headers: headers)
            #expect(sync.status == 202 && alias.status == 202)
            #expect(alias.headers[.idempotencyReplayed] == nil)
            #expect(try await api.count("select count(*) from idempotency_keys") == 4)
        }
    }

    @Test("a refused change stores nothing: the same key works once the request is right")
    func refusedIsNotStored() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let headers: HTTPFields = [.idempotencyKey: "a"]
            let refused = try await api.createKey(as: user, headers: headers)
            #expect(refused.status == 400)
            #expect(try await api.count("select count(*) from idempotency_keys") == 0)
            try await api.addModels("gpt")
            let answer = try await api.createKey(as: user, headers: headers)
            #expect(answer.status == 202 && answer.headers[.idempotencyReplayed] == nil)
        }
    }

    @Test("twenty at once with one key are one change")
    func race() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            try await api.addModels("gpt")
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 0..<20 {
                    group.addTask { try await api.createKey(as: user, headers: [.idempotencyKey: "a"]) }
                }
                return try await group.reduce(into: [Answer]()) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 202 })
            #expect(answers.filter { $0.headers[.idempotencyReplayed] == nil }.count == 1)
            #expect(Set(answers.compactMap { $0["id"]?.stringValue }).count == 1)
            #expect(Set(answers.compactMap { $0["key"]?.stringValue }).count == 1)
            #expect(try await api.count("select count(*) from api_keys") == 1)
        }
    }

    @Test("a repetition waits for the first request; after five seconds it is told to come back")
    func waiting() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let scope = IdempotencyScope(
                caller: admin.id.text, method: "POST", path: "/api/v1/models/sync", key: "slow")
            let gate = TransportGate(api.litellm)
            gate.close()
            try await withThrowingTaskGroup(of: Void.self) { group in
                group.addTask {
                    // A first request that has claimed the key and does not come to an end.
                    try await api.database.client.withTransaction { transaction in
                        _ = try await PostgresIdempotencyStore().claim(
                            scope, bodyHash: sha256Hex([UInt8]()), wait: .seconds(1), in: transaction)
                        _ = try await gate.send(HTTPClientRequest(method: .get, url: "http://litellm.test/health"))
                    }
                }
                #expect(try await eventually { gate.waitingCount == 1 })
                let answer = try await api.send(
                    .post, "/api/v1/models/sync", as: admin, headers: [.idempotencyKey: "slow"])
                #expect(answer.status == 409 && answer.errorCode == "CONFLICT")
                #expect(answer.headers[.retryAfter] == "5" && answer["error", "retry", "retryable"] == true)
                gate.open()
                try await group.waitForAll()
            }
        }
    }

    @Test(
        "a key must be 1 to 255 visible ASCII characters",
        arguments: ["", " ", "a b", "é", String(repeating: "x", count: 256)])
    func format(_ key: String) async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let answer = try await api.send(.post, "/api/v1/models/sync", as: admin, headers: [.idempotencyKey: key])
            #expect(answer.status == 400 && answer.refusedFields == ["Idempotency-Key"])
        }
    }
}
