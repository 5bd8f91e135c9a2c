import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

/// Keys of people and tokens of programs as credentials of this API.
@Suite("Keys and service tokens as credentials", .needsDatabase, .hangGuard)
struct CredentialTests {
    private func bearer(_ token: String) -> HTTPFields { [.authorization: "Bearer \(token)"] }

    private func key(_ api: APIHarness, of user: User) async throws -> (id: String, secret: String) {
        let created = try await api.createKey(as: user)
        return (try #require(created["id"]?.stringValue), try #require(created["key"]?.stringValue))
    }

    @Test("a key says who its owner is and reads what is theirs, and can change nothing")
    func apiKey() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let key = try await key(api, of: admin)
            let me = try await api.send(.get, "/api/v1/auth/me", headers: bearer(key.secret))
            #expect(me.status == 200 && me["username"]?.stringValue == "root")
            let keys = try await api.send(.get, "/api/v1/api-keys", headers: bearer(key.secret))
            #expect(keys.status == 200 && keys["data"]?.arrayValue?.count == 1)
            let more = try await api.send(
                .post, "/api/v1/api-keys", ["modelIds": ["gpt"]], headers: bearer(key.secret))
            #expect(more.status == 403 && more.errorCode == "INSUFFICIENT_PERMISSIONS")
            #expect(more.text.contains("an API key does not give"))
            // The owner's being an administrator is not passed on.
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(key.secret)).status == 403)
            #expect(try await api.send(.post, "/api/auth/logout", headers: bearer(key.secret)).status == 403)
            let known = try await api.send(.get, "/api/rbac/permissions/me", headers: bearer(key.secret))
            #expect(known["permissions"]?.arrayValue?.contains("api_keys:write") == false)
        }
    }

    @Test("a revoked, expired or unknown key, and one of somebody deactivated, is refused at once")
    func refusedKeys() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser()
            let revoked = try await key(api, of: user)
            let expired = try await key(api, of: user)
            let good = try await key(api, of: user)
            #expect(try await api.send(.delete, "/api/v1/api-keys/\(revoked.id)", as: user).status == 202)
            try await api.database.client.query(
                "update api_keys set expires_at = now() - interval '1 second' where id = \(try #require(UUID(uuidString: expired.id)))"
            )
            for secret in [revoked.secret, expired.secret, "sk-unknown", "sk-" + String(repeating: "a", count: 400)] {
                let answer = try await api.send(.get, "/api/v1/auth/me", headers: bearer(secret))
                #expect(answer.status == 401 && answer.errorCode == "INVALID_TOKEN", "\(secret.prefix(12))")
            }
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(good.secret)).status == 200)
            try await api.database.client.query("update users set is_active = false where id = \(user.id)")
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(good.secret)).status == 401)
        }
    }

    @Test("a service token does what its scopes say, and nobody gives scopes they do not have")
    func serviceToken() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let path = "/api/v1/admin/service-tokens"
            let created = try await api.send(
                .post, path, ["name": "ci", "scopes": ["admin:jobs:read", "admin:system"]], as: admin)
            #expect(created.status == 201 && created["createdBy"]?.stringValue == "root")
            let token = try #require(created["token"]?.stringValue)
            #expect(token.hasPrefix("ltm_admin_"))
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(token)).status == 200)
            let refused = try await api.send(.get, "/api/v1/admin/schedules/none", headers: bearer(token))
            #expect(refused.status == 404)
            #expect(try await api.send(.post, "/api/v1/models/sync", headers: bearer(token)).status == 403)
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(token)).status == 403)
            #expect(try await api.send(.get, "/api/auth/sessions", headers: bearer(token)).status == 403)
            // One that ends must not leave others behind.
            let another = try await api.send(
                .post, path, ["name": "less", "scopes": ["admin:jobs:read"]], headers: bearer(token))
            #expect(another.status == 403 && another.errorCode == "FORBIDDEN")
            let stored = try await api.count(
                "select count(*) from service_tokens where token_hash = \(sha256Hex(token))")
            #expect(stored == 1)
            let list = try await api.send(.get, path, as: admin)
            #expect(list["data"]?.arrayValue?.count == 1 && !list.text.contains(token))
        }
    }

    @Test(
        "a revoked or expired service token is refused, an unknown permission too; an answer repeated lacks the token")
    func endOfServiceToken() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let path = "/api/v1/admin/service-tokens"
            let headers: HTTPFields = [.idempotencyKey: "one"]
            let body: JSONValue = ["name": "ci", "scopes": "*"]
            let created = try await api.send(.post, path, body, as: admin, headers: headers)
            let token = try #require(created["token"]?.stringValue)
            let id = try #require(created["id"]?.stringValue)
            let again = try await api.send(.post, path, body, as: admin, headers: headers)
            #expect(again.status == 201 && again["id"]?.stringValue == id && again["token"] == nil)
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(token)).status == 200)
            #expect(try await api.send(.delete, "\(path)/\(id)", as: admin)["revokedBy"]?.stringValue == "root")
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(token)).status == 401)

            let short = try await api.send(
                .post, path, ["name": "short", "scopes": "*", "expiresAt": "2999-01-01T00:00:00Z"], as: admin)
            let shortToken = try #require(short["token"]?.stringValue)
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(shortToken)).status == 200)
            try await api.database.client.query("update service_tokens set expires_at = now()")
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(shortToken)).status == 401)

            let bad = try await api.send(
                .post, path, ["name": "", "scopes": ["nonsense"], "expiresAt": "2001-01-01T00:00:00Z"], as: admin)
            #expect(bad.refusedFields == ["name", "scopes[0]", "expiresAt"])
            let audited = try await api.count(
                "select count(*) from audit_logs where action like 'SERVICE_TOKEN_%' and actor = 'root'")
            #expect(audited == 3)
        }
    }

    @Test("the last use of keys and service tokens is gathered and written later")
    func lastUse() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let key = try await key(api, of: admin)
            let made = try await api.send(
                .post, "/api/v1/admin/service-tokens", ["name": "ci", "scopes": "*"], as: admin)
            let token = try #require(made["token"]?.stringValue)
            #expect(try await api.send(.get, "/api/v1/api-keys", headers: bearer(key.secret)).status == 200)
            #expect(try await api.send(.get, "/api/v1/api-keys", headers: bearer(token)).status == 200)
            let used: PostgresQuery = """
                select (select count(*) from api_keys where last_used_at is not null)
                    + (select count(*) from service_tokens where last_used_at is not null)
                """
            #expect(try await api.count(used) == 0)
            await api.dependencies.credentialUse.flush()
            #expect(try await api.count(used) == 2)
        }
    }

    @Test("a configured service token may do everything; what it does bears its name")
    func configured() async throws {
        let token = "ltm_admin_" + String(repeating: "c", count: 32)
        try await APIHarness.run({ $0.settings.serviceTokens = [Secret(token)] }) { api in
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(token)).status == 200)
            let made = try await api.send(
                .post, "/api/v1/admin/service-tokens", ["name": "x", "scopes": "*"], headers: bearer(token))
            #expect(made.status == 201 && made["createdBy"]?.stringValue == "admin-api-key-1")
            #expect(try await api.send(.get, "/api/v1/admin/jobs", headers: bearer(token + "c")).status == 401)
            let user = try await api.addUser()
            let audited = try await api.count(
                "select count(*) from audit_logs where user_id is null and actor = 'admin-api-key-1'")
            #expect(audited == 1)
            let ended = try await api.send(
                .delete, "/api/v1/admin/users/\(user.id.text)/sessions", headers: bearer(token))
            #expect(ended.status == 200)
        }
    }

    @Test("with users:write nobody gives or takes a role that allows more, or deactivates; jobs are the token's own")
    func givingRoles() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser()
            let made = try await api.send(
                .post, "/api/v1/admin/service-tokens", ["name": .string(user.id.text), "scopes": "users:write"],
                as: admin)
            let token = try #require(made["token"]?.stringValue)
            for role in ["admin", "admin-readonly"] {
                let given = try await api.send(
                    .patch, "/api/v1/users/\(user.id.text)", ["roles": [.string(role)]], headers: bearer(token))
                #expect(given.status == 403 && given.errorCode == "INSUFFICIENT_PERMISSIONS", "\(role)")
                let ahead = try await api.send(
                    .post, "/api/v1/admin/users",
                    ["username": "new", "email": "new@example.com", "roles": [.string(role)]], headers: bearer(token))
                #expect(ahead.status == 403, "\(role)")
            }
            let taken = try await api.send(
                .put, "/api/v1/admin/users/\(admin.id.text)", ["roles": ["user"]], headers: bearer(token))
            #expect(taken.status == 403)
            let off = try await api.send(
                .put, "/api/v1/admin/users/\(user.id.text)", ["isActive": false], headers: bearer(token))
            #expect(off.status == 403)
            let renamed = try await api.send(
                .put, "/api/v1/admin/users/\(user.id.text)", ["fullName": "Somebody"], headers: bearer(token))
            let job = try #require(renamed["job", "id"]?.stringValue)
            #expect(renamed.status == 202)
            #expect(try await api.send(.get, "/api/v1/jobs/\(job)", headers: bearer(token)).status == 200)
            // The token's name says who it is about, not who asked.
            #expect(try await api.send(.get, "/api/v1/jobs/\(job)", as: user).status == 404)
        }
    }

    @Test("what is refused for want of a permission is audited, once a minute for a caller and route")
    func denied() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            for _ in 0..<5 { #expect(try await api.send(.get, "/api/v1/admin/jobs", as: user).status == 403) }
            _ = try await api.send(.get, "/api/v1/admin/queues", as: user)
            let rows = try await api.database.client.query(
                """
                select metadata->>'route', user_id from audit_logs where action = 'ACCESS_DENIED' and not success
                order by 1
                """
            ).map { try $0.decode(String.self, UUID.self) }
            // Requests on both sides of a minute's end may make one more.
            #expect((2...3).contains(rows.count))
            #expect(rows.first?.0 == "GET /api/v1/admin/jobs" && rows.last?.0 == "GET /api/v1/admin/queues")
            #expect(rows.allSatisfy { $0.1 == user.id })
        }
    }

    @Test("the catalogue of permissions can be read, and asked about")
    func permissions() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser()
            let roles = try await api.send(.get, "/api/rbac/roles", as: admin)
            #expect(roles["roles"]?.arrayValue?.count == Role.allCases.count)
            let all = try await api.send(.get, "/api/rbac/permissions", as: admin)
            #expect(all["permissions"]?.arrayValue?.count == Permission.allCases.count)
            let mine = try await api.send(.get, "/api/rbac/permissions/me", as: user)
            #expect(mine["roles"] == ["user"] && mine["permissions"]?.arrayValue?.contains("api_keys:write") == true)
            let one = try await api.send(
                .post, "/api/rbac/permissions/check", ["permission": "users:write", "resourceId": "x"], as: user)
            #expect(one["hasPermission"] == false && one["resourceId"] == "x")
            let names: JSONValue = ["api_keys:write", "users:write", "nonsense"]
            let any = try await api.send(.post, "/api/rbac/permissions/check-bulk", ["permissions": names], as: user)
            #expect(any["hasAccess"] == true && any["results", "nonsense"] == false)
            let every = try await api.send(
                .post, "/api/rbac/permissions/check-bulk", ["permissions": names, "requireAll": true], as: user)
            #expect(every["hasAccess"] == false && every["results", "api_keys:write"] == true)
        }
    }
}
