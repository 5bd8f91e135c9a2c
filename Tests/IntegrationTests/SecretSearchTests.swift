import Foundation
import Shared
import TestSupport
import Testing

/// Secrets rest nowhere but sealed: not in a table, not in a log, in no form that is easily undone.
@Suite("Secret search", .needsDatabase, .hangGuard)
struct SecretSearchTests {
    @Test("no secret of a key or of the installation is in a table or a log, and the search would find one")
    func noSecretLiesAbout() async throws {
        try await withTestDatabase { database in
            try await RunningStack.with(database) { stack in
                let story = try await Story(stack).tell()
                await stack.stop()
                let dump = try await DatabaseDump.data(of: database, into: stack.directory)
                let search = SecretSearch(secrets: story.secrets + installation(stack, database))

                #expect(search.findings(in: dump, called: "the database").isEmpty)
                for (name, file) in stack.logs {
                    #expect(search.findings(in: try Data(contentsOf: file), called: name).isEmpty)
                }

                try expectSubstance(of: dump, stack, story)
                try await expectPlantsAreFound(database, stack, secret: story.created)
            }
        }
    }

    @Test("the search finds a secret in every form, wherever it begins", arguments: Disguise.allCases)
    func findsEveryForm(disguise: Disguise) {
        let secret = "sk-Zm9vYmFy_w-8hunter2~~"
        let search = SecretSearch(secrets: [Hidden("secret", text: secret)])
        for padding in 0..<6 {
            let text = Self.plant(secret, as: disguise, padding: padding)
            let found = search.findings(in: Data("before \(text) after".utf8), called: "text")
            #expect(found.contains { Self.matches($0.disguise, disguise) }, "\(padding) bytes in front")
            #expect(search.findings(in: Data("before \(text.dropLast(30)) after".utf8), called: "text").isEmpty)
        }
    }

    // MARK: What happens before the search

    /// What people do with keys, the awkward things included.
    private struct Story {
        let stack: RunningStack
        /// The secret of a key that was created and stays.
        var created = ""
        var hash = ""
        /// Everything that must be found nowhere.
        var secrets: [Hidden] = []

        init(_ stack: RunningStack) { self.stack = stack }

        func tell() async throws -> Story {
            var story = self
            let token = try await signIn()
            story.secrets.append(Hidden("the session token", text: token))
            let model = try await stack.eventually("models are known") {
                try await stack.send(.get, "/api/v1/models").body["data"]?[0]?["id"]?.stringValue
            }
            let subscribed = try await stack.send(
                .post, "/api/v1/subscriptions", ["modelId": .string(model)], token: token)
            #expect(subscribed.status == 201)

            story.created = try await createTwice(model, token)
            story.hash = sha256Hex(story.created)
            story.secrets.append(Hidden("the secret of a key in use", text: story.created))
            let chat: JSONValue = ["model": .string(model), "messages": [["role": "user", "content": "Hello"]]]
            let answer = try await stack.litellm(.post, "/v1/chat/completions", chat, key: story.created)
            #expect(answer.status == 200)
            // Shown to our own API, as a credential and as one that is not good.
            #expect(try await stack.send(.get, "/api/v1/jobs", token: story.created).status == 200)
            #expect(try await stack.send(.get, "/api/v1/jobs", token: story.created + "x").status == 401)

            story.secrets.append(Hidden("the secret of a deleted key", text: try await createAndDelete(model, token)))
            story.secrets.append(Hidden("the secret of a refused key", text: try await failWithEcho(model, token)))
            return story
        }

        private func signIn() async throws -> String {
            let answer = try await stack.send(
                .post, "/api/auth/dev-token", ["username": "searcher", "roles": ["admin", "user"]])
            return try #require(answer.body["access_token"]?.stringValue)
        }

        private func create(
            _ name: String, _ model: String, _ token: String, _ headers: [(String, String)]
        ) async throws -> RunningStack.Answer {
            try await stack.send(
                .post, "/api/v1/api-keys", ["name": .string(name), "modelIds": [.string(model)]], token: token,
                headers: headers)
        }

        /// The same request twice: the second answer is put together from what is stored.
        private func createTwice(_ model: String, _ token: String) async throws -> String {
            let headers = [("idempotency-key", "search-1"), ("prefer", "wait=30")]
            let first = try await create("kept", model, token, headers)
            #expect(first.status == 201)
            let second = try await create("kept", model, token, headers)
            #expect(second.body["key"] == first.body["key"])
            return try #require(first.body["key"]?.stringValue)
        }

        private func createAndDelete(_ model: String, _ token: String) async throws -> String {
            let made = try await create("deleted", model, token, [("prefer", "wait=30")])
            #expect(made.status == 201)
            let id = try #require(made.body["id"]?.stringValue)
            let gone = try await stack.send(
                .delete, "/api/v1/api-keys/\(id)", token: token, headers: [("prefer", "wait=30")])
            #expect(gone.status == 200)
            return try #require(made.body["key"]?.stringValue)
        }

        /// LiteLLM refuses the key and repeats its secret in the message, as some of its errors do.
        private func failWithEcho(_ model: String, _ token: String) async throws -> String {
            let match: JSONValue = ["path": "/key/generate", "body_contains": "refused"]
            _ = try await stack.litellm(
                .post, "/_sim/faults",
                ["name": "busy", "match": match, "action": ["kind": "status", "status": 500]])
            let accepted = try await create("refused", model, token, [])
            #expect(accepted.status == 202)
            let secret = try #require(accepted.body["key"]?.stringValue)
            let path = "/api/v1/jobs/\(try #require(accepted.body["job"]?["id"]?.stringValue))"
            try await stack.eventually("the first attempt failed") {
                try await stack.send(.get, path, token: token).body["errors"]?[0].map { _ in }
            }
            let error: JSONValue = [
                "message": .string("Authentication Error, the key \(secret) is not welcome"), "type": "auth_error",
                "param": "key", "code": "400",
            ]
            _ = try await stack.litellm(
                .post, "/_sim/faults",
                ["match": match, "action": ["kind": "status", "status": 400, "body": ["error": error]]])
            _ = try await stack.litellm(.delete, "/_sim/faults/busy")
            let state = try await stack.eventually("the job ended") {
                let state = try await stack.send(.get, path, token: token).body["state"]?.stringValue
                return state == "failed" || state == "succeeded" ? state : nil
            }
            #expect(state == "failed")
            return secret
        }
    }

    private func installation(_ stack: RunningStack, _ database: TestDatabase) -> [Hidden] {
        var hidden = [
            Hidden("LiteLLM's master key", text: stack.secrets.masterKey),
            Hidden("JWT_SECRET", text: stack.secrets.jwtSecret),
            Hidden("the sealing key", stack.secrets.sealingKey),
            Hidden("the sealing key's text", text: stack.secrets.sealingKey.base64EncodedString()),
        ]
        if let password = URLComponents(string: database.url.reveal())?.password, !password.isEmpty {
            hidden.append(Hidden("the database's password", text: password))
        }
        return hidden
    }

    // MARK: What proves the search

    /// An empty dump and silent logs hold no secrets either: these do say what happened.
    private func expectSubstance(of dump: Data, _ stack: RunningStack, _ story: Story) throws {
        let texts = try stack.logs.mapValues { String(decoding: try Data(contentsOf: $0), as: UTF8.self) }
        #expect(String(decoding: dump, as: UTF8.self).contains(story.hash))
        #expect(texts["the call log"]?.contains("sha256:\(story.hash)") == true)
        for name in ["the API's log", "the worker's log"] {
            let text = try #require(texts[name])
            #expect(text.contains("\"level\":\"trace\"") || text.contains("\"level\":\"debug\""), "\(name)")
            #expect(text.contains("\"request_id\""), "\(name)")
        }
    }

    /// Puts the secret into the database and the logs in every form, and expects the same search to find each.
    private func expectPlantsAreFound(_ database: TestDatabase, _ stack: RunningStack, secret: String) async throws {
        let search = SecretSearch(secrets: [Hidden("a planted secret", text: secret)])
        let plants = Disguise.allCases.map { Self.plant(secret, as: $0, padding: 4) }
        try await database.client.query("create table planted (text text, bytes bytea)")
        for plant in plants { try await database.client.query("insert into planted (text) values (\(plant))") }
        let dump = try await DatabaseDump.data(of: database, into: stack.directory)
        expectAll(search.findings(in: dump, called: "the database"))

        try await database.client.query("truncate planted")
        try await database.client.query("insert into planted (bytes) values (\(Data(secret.utf8)))")
        let binary = try await DatabaseDump.data(of: database, into: stack.directory)
        #expect(search.findings(in: binary, called: "a bytea column").map(\.disguise) == [.hex(isUpperCase: false)])

        for (name, file) in stack.logs {
            let log = try FileHandle(forUpdating: file)
            try log.seekToEnd()
            for plant in plants { try log.write(contentsOf: Data("{\"msg\":\"planted \(plant)\"}\n".utf8)) }
            try log.close()
            expectAll(search.findings(in: try Data(contentsOf: file), called: name))
        }
    }

    private func expectAll(_ found: Set<SecretSearch.Finding>) {
        let missing = Disguise.allCases.filter { disguise in
            !found.contains { Self.matches($0.disguise, disguise) }
        }
        #expect(missing.isEmpty)
    }

    /// Base64 is recognised by any of its offsets: which one it is depends on what stands before.
    private static func matches(_ found: Disguise, _ planted: Disguise) -> Bool {
        if case .base64(_, let isURLSafe) = planted, case .base64(_, isURLSafe) = found { return true }
        return found == planted
    }

    /// The secret in another form, made by other means than those of the search.
    private static func plant(_ secret: String, as disguise: Disguise, padding: Int) -> String {
        let text = String(repeating: "x", count: padding) + secret + "tail"
        switch disguise {
        case .clear: return text
        case .hex(let isUpperCase): return text.utf8.map { String(format: isUpperCase ? "%02X" : "%02x", $0) }.joined()
        case .base64(let offset, let isURLSafe):
            let encoded = Data((String(repeating: "y", count: offset) + text).utf8).base64EncodedString()
            return isURLSafe ? encoded.replacing("+", with: "-").replacing("/", with: "_") : encoded
        }
    }
}
