import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Many keys at once", .needsDatabase, .hangGuard)
struct KeyBatchRouteTests {
    static let path = "/api/v1/admin/bulk/keys"

    /// A request for a key for each of the users.
    static func body(_ users: [User], name: String = "intro") -> [String: JSONValue] {
        [
            "name": .string(name), "labels": ["ws1", "intro"],
            "template": [
                "modelIds": ["gpt"], "maxBudget": 5, "budgetDuration": "30d", "rpmLimit": 60, "duration": "7d",
            ],
            "users": .array(users.map { .string($0.id.text) }),
        ]
    }

    private func withPeople(
        worker: Bool = false, count: Int = 3,
        _ body: @escaping @Sendable (APIHarness, _ admin: User, _ people: [User]) async throws -> Void
    ) async throws {
        try await APIHarness.run {
            $0.hasWorker = worker
        } _: { api in
            try await api.addModels("gpt")
            var people: [User] = []
            for number in 1...count { people.append(try await api.addUser("person\(number)")) }
            try await body(api, try await api.addAdmin(), people)
        }
    }

    @Test("asked for, made by the worker, handed out once, extended and revoked")
    func life() async throws {
        try await withPeople(worker: true) { api, admin, people in
            var body = Self.body(people)
            body["users"] = .array(
                people.map { .string($0.id.text) }
                    + [["username": "new one", "email": "new@example.com", "fullName": "=New, One"]])
            let made = try await api.send(.post, Self.path, .object(body), as: admin)
            #expect(made.status == 202 && made["job", "kind"] == "keys.bulk" && made["total"] == 4, "\(made.text)")
            let batch = "\(Self.path)/\(try #require(made["id"]?.stringValue))"
            try await api.wait(for: made["job", "id"]?.stringValue, "succeeded")
            let done = try await api.send(.get, batch, as: admin)
            #expect(done["state"] == "completed" && done["counts", "ready"] == 4, "\(done.text)")

            let results = try await api.send(.get, batch + "/results", as: admin)
            #expect(results["keysShown"] == "included" && results["data"]?.arrayValue?.count == 4, "\(results.text)")
            let secrets = results["data"]?.arrayValue?.compactMap { $0["key"]?.stringValue } ?? []
            #expect(Set(secrets).count == 4 && secrets.allSatisfy { $0.hasPrefix("sk-") })
            let hashes = Set(api.litellm.state.keys.keys)
            #expect(Set(secrets.map { sha256Hex($0) }) == hashes)
            let csv = try await api.send(.get, batch + "/results?format=csv", as: admin)
            let lines = csv.text.split(separator: "\r\n")
            #expect(lines.count == 5 && lines[4].contains("\"'=New, One\"") && lines[4].contains("sk-"), "\(csv.text)")
            let jsonl = try await api.send(.get, batch + "/results?format=jsonl", as: admin)
            #expect(jsonl.text.split(separator: "\n").count == 4)

            let other = try await api.send(.get, batch + "/results", as: try await api.addAdmin("other"))
            #expect(other["keysShown"] == "withheld" && other["notice"] != nil && !other.text.contains("\"key\":"))
            let entries: PostgresQuery = "select count(*) from audit_logs where action = 'API_KEYS_BULK_RESULTS'"
            #expect(try await api.count(entries) == 4)
            try await api.database.client.query(
                """
                update sealed_secrets set delete_after = now()
                where purpose = 'api_key.batch' and row_id = \(sha256Hex(secrets[0]))
                """)
            let some = try await api.send(.get, batch + "/results", as: admin)
            #expect(some["keysShown"] == "partial" && some["notice"] != nil && some["resultsUntil"] != nil)
            #expect(some["data"]?.arrayValue?.compactMap { $0["key"]?.stringValue } == Array(secrets.dropFirst()))
            try await api.database.client.query(
                "update sealed_secrets set delete_after = now() where purpose = 'api_key.batch'")
            let late = try await api.send(.get, batch + "/results", as: admin)
            #expect(late["keysShown"] == "gone" && late["notice"] != nil && !late.text.contains("\"key\":"))

            let extended = try await api.send(
                .post, batch + "/extend", ["duration": "30d"], as: admin, headers: [.prefer: "wait=20"])
            #expect(extended.status == 200 && extended["job", "result", "changed"] == 4, "\(extended.text)")
            let revoked = try await api.send(
                .post, batch + "/revoke", ["reason": "over"], as: admin, headers: [.prefer: "wait=20"])
            #expect(revoked.status == 200 && revoked["job", "result", "succeeded"] == 4, "\(revoked.text)")
            #expect(revoked["counts", "revoked"] == 4)
            let list = try await api.send(.get, Self.path, as: admin)
            #expect(list["pagination", "total"] == 1 && list["data", "0", "counts", "revoked"] == 4)
        }
    }

    @Test("the same again gives the same batch, something else under its name is refused with the difference")
    func sameAgain() async throws {
        try await withPeople { api, admin, people in
            let body = Self.body(people)
            let answers = try await withThrowingTaskGroup(of: Answer.self) { group in
                for _ in 1...50 {
                    group.addTask { try await api.send(.post, Self.path, .object(body), as: admin) }
                }
                return try await group.reduce(into: [Answer]()) { $0.append($1) }
            }
            #expect(answers.allSatisfy { $0.status == 202 })
            #expect(Set(answers.compactMap { $0["id"]?.stringValue }).count == 1)
            #expect(Set(answers.compactMap { $0["job", "id"]?.stringValue }).count == 1)
            #expect(try await api.count("select count(*) from key_batches") == 1)
            #expect(try await api.count("select count(*) from key_batch_items") == 3)
            #expect(try await api.count("select count(*) from audit_logs where action = 'API_KEYS_BULK_CREATE'") == 1)

            var other = Self.body(Array(people.dropLast()))
            other["template"] = ["modelIds": ["gpt"], "maxBudget": 6, "budgetDuration": "30d", "rpmLimit": 60]
            let refused = try await api.send(.post, Self.path, .object(other), as: admin)
            #expect(refused.status == 409)
            let message = refused["error", "message"]?.stringValue ?? ""
            #expect(message.contains("template.duration, template.maxBudget, users"), "\(message)")
            // Names are each requester's own.
            let elsewhere = try await api.send(.post, Self.path, .object(other), as: try await api.addAdmin("other"))
            #expect(elsewhere.status == 202 && elsewhere["id"] != answers[0]["id"])
        }
    }

    @Test("people come as CSV or as lines of JSON, with the rest in the query")
    func files() async throws {
        try await withPeople(count: 1) { api, admin, people in
            let csv = "username,email,fullName\r\nzoe,zoe@x.org,\"Zoe, A.\"\r\nperson1,person1@example.com,\r\n"
            let query = "modelIds=gpt&maxBudget=2.5&duration=7d&labels=a,b"
            let made = try await api.send(
                .post, "\(Self.path)?name=file&\(query)", bytes: Array(csv.utf8), as: admin,
                headers: [.contentType: "text/csv"])
            #expect(made.status == 202 && made["total"] == 2 && made["labels"] == ["a", "b"], "\(made.text)")
            #expect(made["template", "maxBudget"] == 2.5 && made["template", "keyName"] == "file-{n}")
            let id = try #require(made["id"]?.stringValue)
            let items = try await api.send(.get, "\(Self.path)/\(id)/items?status=waiting", as: admin)
            #expect(items["data", "0", "fullName"] == "Zoe, A." && items["data", "0", "userId"] == nil)
            #expect(items["data", "1", "userId"]?.stringValue == people[0].id.text)
            let lines = "{\"username\":\"yan\",\"email\":\"yan@x.org\"}\n\"\(people[0].id.text)\"\n"
            let more = try await api.send(
                .post, "\(Self.path)?name=lines&\(query)", bytes: Array(lines.utf8), as: admin,
                headers: [.contentType: "application/x-ndjson"])
            #expect(more.status == 202 && more["total"] == 2, "\(more.text)")
        }
    }

    @Test("every fault is named with its row before anything is written")
    func faults() async throws {
        try await withPeople { api, admin, people in
            let gone = try await api.addUser("gone", isActive: false)
            let cases: [(JSONValue, String)] = [
                ([.string(gone.id.text)], "users[0]"), ([.string(UUID().text)], "users[0]"),
                ([.string(people[0].id.text), .string(people[0].id.text)], "users[1]"),
                ([["username": "x", "email": "person1@example.com"]], "users[0].email"),
                ([["username": "person1", "email": "x@x.org"]], "users[0].username"),
                ([["username": "x", "email": "nowhere"]], "users[0].email"), (["nobody"], "users[0].id"), ([], "users"),
            ]
            for (users, field) in cases {
                var body = Self.body(people)
                body["users"] = users
                let refused = try await api.send(.post, Self.path, .object(body), as: admin)
                #expect(refused.status == 400 && refused.refusedFields == [field], "\(field): \(refused.text)")
            }
            let templates: [(JSONValue, String)] = [
                (["modelIds": ["nope"]], "template.modelIds"), (["modelIds": []], "template.modelIds"),
                (["modelIds": ["gpt"], "duration": "soon"], "template.duration"),
                (["modelIds": ["gpt"], "expiresAt": "2001-01-01T00:00:00Z"], "template.expiresAt"),
                (["modelIds": ["gpt"], "budgetDuration": "x"], "template.budgetDuration"),
                (["modelIds": ["gpt"], "teamId": .string(UUID().text)], "template.teamId"),
            ]
            for (template, field) in templates {
                var body = Self.body(people)
                body["template"] = template
                let refused = try await api.send(.post, Self.path, .object(body), as: admin)
                #expect(refused.status == 400 && refused.refusedFields == [field], "\(field): \(refused.text)")
            }
            for (text, field) in [
                ("name\nx", "column name"), ("username,email\nx", "row 2, id"),
                ("username,email\n\"x", "row 2"), ("username,email\na,a@x.org\nb,nowhere\n", "row 3, email"),
            ] {
                let refused = try await api.send(
                    .post, "\(Self.path)?name=x&modelIds=gpt", bytes: Array(text.utf8), as: admin,
                    headers: [.contentType: "text/csv"])
                #expect(refused.status == 400 && refused.refusedFields == [field], "\(field): \(refused.text)")
            }
            #expect(try await api.count("select count(*) from key_batches") == 0)
        }
    }

    @Test("count gives one person many keys, beyond the limit of those that people make for themselves")
    func count() async throws {
        try await withPeople(worker: true, count: 1) { api, admin, people in
            let body: JSONValue = [
                "name": "many", "template": ["modelIds": ["gpt"], "keyName": "{username}-{n}"], "count": 15,
                "userId": .string(people[0].id.text),
            ]
            let made = try await api.send(.post, Self.path, body, as: admin, headers: [.prefer: "wait=30"])
            #expect(made.status == 201 && made["counts", "ready"] == 15, "\(made.text)")
            #expect(try await api.count("select count(*) from api_keys where name = 'person1-15'") == 1)
            // For oneself as everybody: within the limit, and without a subscription given by oneself.
            let own: JSONValue = [
                "name": "own", "template": ["modelIds": ["gpt"]], "count": 2, "userId": .string(admin.id.text),
            ]
            let mine = try await api.send(.post, Self.path, own, as: admin, headers: [.prefer: "wait=30"])
            #expect(mine["state"] == "failed" && mine["counts", "failed"] == 2, "\(mine.text)")
            let id = try #require(mine["id"]?.stringValue)
            let items = try await api.send(.get, "\(Self.path)/\(id)/items?status=failed", as: admin)
            #expect(items["data", "0", "error", "code"] == "not_subscribed")
            try await api.subscribe(admin, to: "gpt")
            let again = try await api.send(.post, "\(Self.path)/\(id)/retry", as: admin, headers: [.prefer: "wait=30"])
            #expect(again.status == 200 && again["counts", "ready"] == 2, "\(again.text)")
            #expect(try await api.send(.post, "\(Self.path)/\(id)/retry", as: admin).status == 409)
        }
    }

    @Test("a token for keys may do it, but makes no people; cancelling stops what is not made")
    func tokens() async throws {
        try await withPeople { api, admin, people in
            let secret = ServiceTokenSecret.mint()
            _ = try await PostgresServiceTokenStore().insert(
                name: "pipeline", secret: secret, scopes: ["admin:api_keys"], expiresAt: nil, createdBy: "test",
                in: api.database.client)
            let token = api.bearer(secret.secret.reveal())
            var body = Self.body(people)
            let overriding = try await api.send(.post, Self.path, .object(body), headers: token)
            let message = overriding["error", "message"]?.stringValue ?? ""
            #expect(overriding.status == 403 && message.contains("admin:subscriptions:write"), "\(overriding.text)")
            #expect(message.contains("subscribe: false"))
            body["subscribe"] = false
            let made = try await api.send(.post, Self.path, .object(body), headers: token)
            #expect(made.status == 202 && made["requestedBy"] == "pipeline", "\(made.text)")
            body["name"] = "new people"
            body["users"] = [["username": "x", "email": "x@x.org"]]
            #expect(try await api.send(.post, Self.path, .object(body), headers: token).status == 403)

            let id = try #require(made["id"]?.stringValue)
            let retry = "\(Self.path)/\(id)/retry"
            #expect(try await api.send(.post, retry, as: admin).status == 403)
            let busy = try await api.send(.post, retry, headers: token)
            #expect(busy.status == 409 && busy.text.contains("has not ended"), "\(busy.text)")
            let cancelled = try await api.send(.post, "\(Self.path)/\(id)/cancel?revoke=true", headers: token)
            #expect(cancelled.status == 202 && cancelled["state"] == "cancelled", "\(cancelled.text)")
            #expect(cancelled["counts", "cancelled"] == 3 && cancelled["job", "kind"] == "keys.bulkRevoke")
            let job = try #require(made["job", "id"]?.stringValue)
            #expect(try await api.send(.get, "/api/v1/jobs/\(job)", as: admin)["state"] == "cancelled")
            let unknown = try await api.send(.get, "\(Self.path)/\(UUID().text)", as: admin)
            #expect(unknown.status == 404)
        }
    }

    /// Lets every key of the batch fail, and its job be gone.
    private func fail(_ id: String, _ api: APIHarness) async throws {
        try await api.database.client.query("delete from jobs")
        try await api.database.client.query(
            """
            update key_batch_items set is_due = false, error = '{"code": "tired", "message": "No more."}'
            where batch_id = \(id)::uuid
            """)
    }

    @Test(
        "a retry needs the permissions that its batch needed", arguments: ["admin:subscriptions:write", "users:write"])
    func retryPermissions(_ scope: String) async throws {
        try await withPeople { api, _, people in
            let secret = ServiceTokenSecret.mint()
            _ = try await PostgresServiceTokenStore().insert(
                name: "pipeline", secret: secret, scopes: ["admin:api_keys", scope], expiresAt: nil,
                createdBy: "test", in: api.database.client)
            let token = api.bearer(secret.secret.reveal())
            var body = Self.body(people)
            if scope == "users:write" {
                body["subscribe"] = false
                body["users"] = [["username": "x", "email": "x@x.org"]]
            }
            let made = try await api.send(.post, Self.path, .object(body), headers: token)
            #expect(made.status == 202, "\(made.text)")
            let id = try #require(made["id"]?.stringValue)
            try await fail(id, api)
            try await api.database.client.query("update service_tokens set scopes = '{admin:api_keys}'")
            let refused = try await api.send(.post, "\(Self.path)/\(id)/retry", headers: token)
            #expect(refused.status == 403 && refused.text.contains(scope), "\(refused.text)")
            #expect(try await api.count("select count(*) from jobs") == 0)
            #expect(try await api.count("select count(*) from key_batch_items where is_due") == 0)
            try await api.database.client.query("update service_tokens set scopes = \(["admin:api_keys", scope])")
            let again = try await api.send(.post, "\(Self.path)/\(id)/retry", headers: token)
            #expect(again.status == 202 && again["counts", "waiting"] == again["total"], "\(again.text)")
        }
    }

    @Test("batches are found by name, whoever asked; keys that wait are counted, and not made after a revocation")
    func namesAndWaiting() async throws {
        try await withPeople { api, admin, people in
            for caller in [admin, try await api.addAdmin("other")] {
                #expect(try await api.send(.post, Self.path, .object(Self.body(people)), as: caller).status == 202)
            }
            let other = Self.body(people, name: "else")
            #expect(try await api.send(.post, Self.path, .object(other), as: admin).status == 202)
            let named = try await api.send(.get, Self.path + "?name=INTRO", as: admin)
            #expect(named["pagination", "total"] == 2 && named["data", "0", "name"] == "intro", "\(named.text)")
            #expect(try await api.send(.get, Self.path + "?name=intr", as: admin)["pagination", "total"] == 0)
            let dry = try await api.send(
                .post, Self.path + "/revoke", ["labels": ["ws1"], "dryRun": true], as: admin)
            #expect(dry["matched"] == 0 && dry["waiting"] == 9, "\(dry.text)")
            let revoked = try await api.send(.post, Self.path + "/revoke", ["labels": ["ws1"]], as: admin)
            #expect(revoked.status == 202 && revoked["waiting"] == 9, "\(revoked.text)")
            let list = try await api.send(.get, Self.path, as: admin)
            #expect(list["data"]?.arrayValue?.map { $0["counts"]?["cancelled"] } == [3, 3, 3], "\(list.text)")
        }
    }

    @Test("keys of labels are counted first, then prolonged and revoked, whichever batch made them")
    func labels() async throws {
        try await withPeople(worker: true) { api, admin, people in
            for (name, users) in [("one", people.prefix(2)), ("two", people.suffix(1))] {
                var body = Self.body(Array(users), name: name)
                body["labels"] = ["intro", .string(name)]
                let made = try await api.send(
                    .post, Self.path, .object(body), as: admin, headers: [.prefer: "wait=30"])
                #expect(made.status == 201, "\(made.text)")
            }
            let all = try await api.send(.get, "/api/v1/api-keys/admin/all?labels=intro&labels=two", as: admin)
            #expect(all["pagination", "total"] == 1 && all["data", "0", "labels"] == ["intro", "two"])
            let dry = try await api.send(
                .post, Self.path + "/revoke", ["labels": ["one", "two"], "match": "any", "dryRun": true], as: admin)
            #expect(dry.status == 200 && dry["matched"] == 3 && dry["sample"]?.arrayValue?.count == 3, "\(dry.text)")
            #expect(try await api.count("select count(*) from api_keys where is_active") == 3)
            let extended = try await api.send(
                .post, Self.path + "/extend", ["labels": ["intro"], "expiresAt": "2099-01-01T00:00:00Z"], as: admin,
                headers: [.prefer: "wait=30"])
            #expect(extended.status == 200 && extended["job", "result", "changed"] == 3, "\(extended.text)")
            let revoked = try await api.send(
                .post, Self.path + "/revoke", ["labels": ["intro", "two"], "reason": "over"], as: admin,
                headers: [.prefer: "wait=30"])
            #expect(revoked.status == 200 && revoked["job", "result", "succeeded"] == 1, "\(revoked.text)")
            #expect(try await api.count("select count(*) from api_keys where is_active") == 2)
            for body in [["labels": []], ["labels": ["a,b"]], ["labels": ["a"], "match": "some"]] as [JSONValue] {
                #expect(try await api.send(.post, Self.path + "/revoke", body, as: admin).status == 400)
            }
            #expect(try await api.send(.post, Self.path + "/extend", ["labels": ["a"]], as: admin).status == 400)
        }
    }
}
