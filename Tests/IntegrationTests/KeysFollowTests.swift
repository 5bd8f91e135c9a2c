import Foundation
import Shared
import TestSupport
import Testing

/// What becomes of keys in LiteLLM when what people may use changes, with every part as a process of its own.
@Suite("Keys follow, end to end", .needsDatabase, .hangGuard)
struct KeysFollowTests {
    private static let holders = 200

    @Test("a model restricted while 200 users hold keys with it: every key is right, none was ever for all models")
    func restriction() async throws {
        try await withTestDatabase { test in
            try await RunningStack.with(test) { stack in
                let admin = try await stack.signIn("admin", roles: ["admin", "user"])
                let models = try await stack.models(2)
                try await makeKeys(stack, models)
                let isSynced: PostgresQuery = "select count(*) from api_keys where sync_status = 'synced'"
                try await stack.eventually("all keys are in LiteLLM") {
                    try await test.client.query(isSynced).one(Int.self) == Self.holders ? () : nil
                }

                let path = "/api/v1/admin/models/\(models[0])"
                let restricted = try await stack.send(.put, path, ["restrictedAccess": true], token: admin)
                #expect(restricted.status == 202 || restricted.status == 200, "\(restricted.body)")
                try await settled(test)
                try await check(stack, models, isRestricted: true)

                let lifted = try await stack.send(.put, path, ["restrictedAccess": false], token: admin)
                #expect(lifted.status == 202 || lifted.status == 200, "\(lifted.body)")
                try await settled(test)
                try await check(stack, models, isRestricted: false)

                // Whatever was sent in between: an empty list would have meant every model.
                let calls = try await stack.litellm(.get, "/_sim/calls?path=/key/").body["calls"]?.arrayValue ?? []
                let lists = try calls.compactMap { call -> [JSONValue]? in
                    guard let text = call["requestBody"]?.stringValue, !text.isEmpty else { return nil }
                    return try JSON.decoder.decode(JSONValue.self, from: Data(text.utf8))["models"]?.arrayValue
                }
                #expect(lists.count >= Self.holders + Self.holders / 2 && lists.allSatisfy { !$0.isEmpty })
            }
        }
    }

    /// Every other user's key is for the first model alone.
    private func makeKeys(_ stack: RunningStack, _ models: [String]) async throws {
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<Self.holders {
                if number >= 8 { try await group.next() }
                group.addTask {
                    let token = try await stack.signIn("holder-\(number)")
                    let mine = number.isMultiple(of: 2) ? models : [models[0]]
                    for model in mine { try await stack.subscribe(token, to: model) }
                    let key = try await stack.send(
                        .post, "/api/v1/api-keys", ["modelIds": .array(mine.map(JSONValue.string))], token: token)
                    guard key.status == 202 else {
                        throw RunningStack.Failure(description: "no key: \(key.status) \(key.body)")
                    }
                }
            }
            try await group.waitForAll()
        }
    }

    /// Waits until the cascade and every key's own job have ended.
    private func settled(_ test: TestDatabase) async throws {
        let deadline = ContinuousClock.now + .seconds(120)
        while true {
            let (open, pending) = try await test.client.query(
                """
                select (select count(*) from jobs j join job_kinds k on k.id = j.kind_id
                        where k.name in ('model.cascade', 'key.access', 'model.apply') and j.state <> 2),
                    (select count(*) from api_keys where sync_status <> 'synced')
                """
            ).one(Int.self, Int.self)
            if open == 0, pending == 0 { return }
            guard deadline > .now else {
                throw RunningStack.Failure(description: "\(open) jobs and \(pending) keys are not done in time")
            }
            try await Task.sleep(for: .milliseconds(100))
        }
    }

    /// Holds every key in LiteLLM against what its owner may use.
    private func check(_ stack: RunningStack, _ models: [String], isRestricted: Bool) async throws {
        var keys: [JSONValue] = []
        var page = 1
        while keys.count < Self.holders {
            let answer = try await stack.litellm(
                .get, "/key/list?page=\(page)&size=100&return_full_object=true")
            let rows = answer.body["keys"]?.arrayValue ?? []
            guard !rows.isEmpty else { break }
            keys += rows
            page += 1
        }
        #expect(keys.count == Self.holders)
        let wide = keys.filter { Set($0["models"]?.arrayValue ?? []) == Set(models.map(JSONValue.string)) }
        let second = keys.filter { $0["models"] == [.string(models[1])] }
        let blocked = keys.filter { $0["blocked"] == true }
        #expect(wide.count == (isRestricted ? 0 : Self.holders / 2))
        #expect(second.count == (isRestricted ? Self.holders / 2 : 0))
        #expect(blocked.count == (isRestricted ? Self.holders / 2 : 0))
        #expect(blocked.allSatisfy { $0["models"] == [.string(models[0])] })
    }

    @Test("LiteLLM down during a revocation: refused here at once, dead there soon after it is back")
    func revokedWhileDown() async throws {
        try await withTestDatabase { test in
            try await RunningStack.with(test) { stack in
                let token = try await stack.signIn("owner")
                let model = try await stack.models(1)[0]
                try await stack.subscribe(token, to: model)
                let created = try await stack.send(
                    .post, "/api/v1/api-keys", ["modelIds": [.string(model)]], token: token,
                    headers: [("prefer", "wait=30")])
                #expect(created.status == 201, "\(created.body)")
                let key = try #require(created.body["key"]?.stringValue)
                let id = try #require(created.body["id"]?.stringValue)
                let chat: JSONValue = ["model": .string(model), "messages": [["role": "user", "content": "Hello"]]]
                #expect(try await stack.litellm(.post, "/v1/chat/completions", chat, key: key).status == 200)

                let down = try await stack.litellm(
                    .post, "/_sim/faults", ["name": "down", "action": ["kind": "down"], "for_ms": 8000])
                #expect(down.status == 201)
                let deleted = try await stack.send(.delete, "/api/v1/api-keys/\(id)", token: token)
                #expect(deleted.status == 202 && deleted.body["isActive"] == false)
                #expect(try await stack.send(.get, "/api/v1/jobs", token: key).status == 401)
                let job = try #require(deleted.body["job"]?["id"]?.stringValue)
                let seen = try await stack.send(.get, "/api/v1/jobs/\(job)", token: token).body["state"]
                #expect(seen != "succeeded" && seen != "failed", "\(String(describing: seen))")

                try await stack.eventually("LiteLLM refuses the key") {
                    do {
                        let answer = try await stack.litellm(.post, "/v1/chat/completions", chat, key: key)
                        return answer.status == 401 ? () : nil
                    } catch is HTTPTransportError {
                        // It is down still.
                        return nil
                    }
                }
                let after = try await stack.eventually("the job says so") {
                    let answer = try await stack.send(.get, "/api/v1/jobs/\(job)", token: token)
                    return answer.body["state"] == "succeeded" ? answer : nil
                }
                #expect(after.body["result"]?["state"] == "blocked")
            }
        }
    }
}

extension RunningStack {
    /// A session of somebody who is made up.
    func signIn(_ name: String, roles: [String] = ["user"]) async throws -> String {
        let answer = try await send(
            .post, "/api/auth/dev-token",
            ["username": .string(name), "roles": .array(roles.map(JSONValue.string))])
        guard let token = answer.body["access_token"]?.stringValue else {
            throw Failure(description: "signing in: \(answer.status) \(answer.body)")
        }
        return token
    }

    /// So many models of the catalogue, once they are known.
    func models(_ count: Int) async throws -> [String] {
        try await eventually("models are known") {
            let answer = try await send(.get, "/api/v1/models?capability=chat")
            let ids = (answer.body["data"]?.arrayValue ?? []).filter { $0["isSample"] != true }
                .compactMap { $0["id"]?.stringValue }
            return ids.count >= count ? Array(ids.prefix(count)) : nil
        }
    }

    /// Subscribes whoever is signed in.
    func subscribe(_ token: String, to model: String) async throws {
        let answer = try await send(.post, "/api/v1/subscriptions", ["modelId": .string(model)], token: token)
        guard answer.status == 201 else {
            throw Failure(description: "subscribing: \(answer.status) \(answer.body)")
        }
    }
}
