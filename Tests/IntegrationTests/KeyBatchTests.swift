import Foundation
import Shared
import TestSupport
import Testing

/// A thousand keys at once, with the worker killed half way, every part a process of its own; on the simulated LiteLLM,
/// and on a real one where `LITELLM_API_URL` and `LITELLM_API_KEY` name it.
@Suite("A batch of keys, end to end", .needsDatabase, .hangGuard)
struct KeyBatchTests {
    private static let total = 1000
    /// Where a real LiteLLM is.
    private static let real = RunningStack.RealLiteLLM(ProcessInfo.processInfo.environment)

    @Test("1 000 keys, the worker killed half way: none is lost, none made twice")
    func simulated() async throws {
        try await run(nil)
    }

    @Test("the same on a real LiteLLM", .enabled(if: real != nil, "LITELLM_API_URL and LITELLM_API_KEY name none"))
    func realLiteLLM() async throws {
        try await run(Self.real)
    }

    private func run(_ real: RunningStack.RealLiteLLM?) async throws {
        try await withTestDatabase { test in
            try await RunningStack.with(test, litellm: real, logLevel: "info") { stack in
                let admin = try await stack.signIn("admin", roles: ["admin", "user"])
                let model = try await stack.models(1)[0]
                let owner = try await stack.signInId("workshop-\(UUID().text)")
                let body: JSONValue = [
                    "name": "workshop", "labels": ["ws"], "count": .int(Self.total), "userId": .string(owner),
                    "template": ["modelIds": [.string(model)], "keyName": "lab-{n}", "maxBudget": 5, "duration": "1d"],
                ]
                let started = ContinuousClock.now
                let made = try await stack.send(.post, "/api/v1/admin/bulk/keys", body, token: admin)
                guard made.status == 202, let id = made.body["id"]?.stringValue else {
                    throw RunningStack.Failure(description: "no batch: \(made.status) \(made.body)")
                }
                let path = "/api/v1/admin/bulk/keys/\(id)"
                let ready: PostgresQuery = "select count(*) from api_keys where sync_status = 'synced'"
                try await stack.eventually("half of the keys are there", within: .seconds(600)) {
                    try await test.client.query(ready).one(Int.self) >= Self.total / 2 ? () : nil
                }
                let killed = try await test.client.query(ready).one(Int.self)
                try await stack.killAndRestartWorker()
                // A repetition, as of a client that lost its answer.
                #expect(
                    try await stack.send(.post, "/api/v1/admin/bulk/keys", body, token: admin).body["id"]
                        == made.body["id"])
                let done = try await stack.eventually("all keys are there", within: .seconds(1200)) {
                    let batch = try await stack.send(.get, path, token: admin)
                    return batch.body["state"] == "running" ? nil : batch
                }
                let seconds = (ContinuousClock.now - started).inSeconds
                #expect(done.body["counts"]?["ready"] == .int(Self.total), "\(done.body)")
                print(
                    "\(Self.total) keys in \(Int(seconds)) s (\(Int(Double(Self.total) / seconds)) a second),"
                        + " the worker killed after \(killed) and started again")
                try await check(stack, test, path, admin)

                let revoked = try await stack.send(.post, path + "/revoke", ["reason": "over"], token: admin)
                #expect(revoked.status == 202)
                let end = try await stack.eventually("all keys are revoked", within: .seconds(1200)) {
                    let batch = try await stack.send(.get, path, token: admin)
                    return batch.body["counts"]?["revoked"] == .int(Self.total) ? batch : nil
                }
                #expect(end.body["counts"]?["revoked"] == .int(Self.total))
            }
        }
    }

    /// Holds our rows, LiteLLM's keys and the results against each other, by hash and by alias.
    private func check(
        _ stack: RunningStack, _ test: TestDatabase, _ path: String, _ admin: String
    ) async throws {
        let rows = try await test.client.query("select key_hash, litellm_alias from api_keys order by key_hash").map {
            try $0.decode(String.self, String.self)
        }
        #expect(rows.count == Self.total)
        let ours = Dictionary(rows, uniquingKeysWith: { first, _ in first })
        var there: [String: String] = [:]
        var listed = 0
        var page = 1
        while true {
            let answer = try await stack.litellm(.get, "/key/list?page=\(page)&size=100&return_full_object=true")
            let keys = answer.body["keys"]?.arrayValue ?? []
            guard !keys.isEmpty else { break }
            for key in keys {
                guard let hash = key["token"]?.stringValue, let alias = key["key_alias"]?.stringValue,
                    alias.hasPrefix("lab-"), ours[hash] != nil || ours.values.contains(alias)
                else { continue }
                listed += 1
                there[hash] = alias
            }
            page += 1
        }
        #expect(listed == Self.total, "keys in LiteLLM of this batch, duplicates included")
        #expect(there == ours)
        let results = try await stack.send(.get, path + "/results", token: admin)
        let secrets = results.body["data"]?.arrayValue?.compactMap { $0["key"]?.stringValue } ?? []
        #expect(Set(secrets.map { sha256Hex($0) }) == Set(ours.keys))
        print("rows here \(rows.count), keys in LiteLLM \(listed), duplicates \(listed - there.count)")
    }
}

extension RunningStack {
    /// The id of somebody who is made up.
    func signInId(_ name: String) async throws -> String {
        let token = try await signIn(name)
        guard let id = try await send(.get, "/api/v1/auth/me", token: token).body["id"]?.stringValue else {
            throw Failure(description: "nobody is signed in")
        }
        return id
    }
}
