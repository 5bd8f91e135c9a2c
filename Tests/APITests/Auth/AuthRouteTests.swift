import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Signing in", .needsDatabase, .hangGuard)
struct AuthRouteTests {
    /// The state in the URL that a sign-in begins with.
    private func begin(_ api: APIHarness, headers: HTTPFields = [:]) async throws -> String {
        let answer = try await api.send(.post, "/api/auth/login", headers: headers)
        #expect(answer.status == 200)
        let url = try #require(answer["authUrl"]?.stringValue)
        let prefix = "http://localhost:8081/api/auth/mock-login?state="
        #expect(url.hasPrefix(prefix))
        return String(url.dropFirst(prefix.count))
    }

    private func fragment(_ answer: Answer) throws -> [String: String] {
        let location = try #require(answer.headers[.location])
        let parts = try #require(location.split(separator: "#").last).split(separator: "&")
        return Dictionary(
            uniqueKeysWithValues: parts.map { part in
                let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
                return (sides[0], sides.count > 1 ? sides[1] : "")
            })
    }

    @Test("the whole way from login to a session that works")
    func wholeWay() async throws {
        try await APIHarness.run { api in
            let state = try await begin(api)
            #expect(state.count == 64)
            let login = try await api.send(.get, "/api/auth/mock-login?state=\(state)&user=1")
            #expect(login.status == 302)
            let callback = try #require(login.headers[.location])
            #expect(callback == "http://localhost:8081/api/auth/callback?code=1&state=\(state)")
            let path = callback.replacing("http://localhost:8081", with: "")
            let answer = try await api.send(.get, path)
            #expect(answer.status == 302)
            #expect(answer.headers[.location]?.hasPrefix("http://localhost:3000/auth/callback#token=") == true)
            let fragment = try fragment(answer)
            #expect(fragment["expires_in"] == "3600")
            let token = try #require(fragment["token"])

            let me = try await api.send(.get, "/api/v1/auth/me", headers: [.authorization: "Bearer \(token)"])
            #expect(me.status == 200)
            #expect(me["username"]?.stringValue == "user" && me["name"]?.stringValue == "Test User")
            #expect(me["roles"] == ["user"])
            let profile = try await api.send(.get, "/api/v1/auth/profile", headers: [.authorization: "Bearer \(token)"])
            #expect(profile["fullName"]?.stringValue == "Test User" && profile["createdAt"] != nil)

            let valid = try await api.send(.post, "/api/auth/validate", ["token": .string(token)])
            #expect(valid["valid"] == true && valid["user", "username"]?.stringValue == "user")
            let logout = try await api.send(.post, "/api/auth/logout", headers: [.authorization: "Bearer \(token)"])
            #expect(logout.status == 200 && logout["logoutUrl"] == .null)
            let audited = try await api.count(
                "select count(*) from audit_logs where action in ('LOGIN', 'LOGOUT', 'USER_CREATE')")
            #expect(audited == 3)
        }
    }

    @Test("a state works once, and only in time")
    func state() async throws {
        try await APIHarness.run { api in
            let state = try await begin(api)
            #expect(try await api.send(.get, "/api/auth/callback?code=0&state=\(state)").status == 302)
            let again = try await api.send(.get, "/api/auth/callback?code=0&state=\(state)")
            #expect(again.status == 400 && again.refusedFields == ["state"])
            let late = try await begin(api)
            try await api.database.client.query("update oauth_states set expires_at = now() - interval '1 second'")
            #expect(try await api.send(.get, "/api/auth/callback?code=0&state=\(late)").status == 400)
            let unknown = String(repeating: "0", count: 64)
            #expect(try await api.send(.get, "/api/auth/callback?code=0&state=\(unknown)").status == 400)
            #expect(try await api.send(.get, "/api/auth/callback").refusedFields == ["code", "state"])
            // Only hashes rest in the table.
            let known = try await begin(api)
            #expect(try await api.count("select count(*) from oauth_states where state_hash = \(known)") == 0)
        }
    }

    @Test("the browser goes back to the front end that asked, if it is one of ours")
    func origins() async throws {
        try await APIHarness.run {
            $0.settings.frontendOrigins = ["https://a.example", "https://b.example"]
        } _: { api in
            for (origin, expected) in [
                ("https://b.example", "https://b.example"), ("https://evil.example", "https://a.example"),
            ] {
                let state = try await begin(api, headers: [.origin: origin])
                let answer = try await api.send(.get, "/api/auth/callback?code=0&state=\(state)")
                #expect(answer.headers[.location]?.hasPrefix("\(expected)/auth/callback#") == true)
            }
        }
    }

    @Test("signing in again keeps the user and takes the provider's roles over")
    func again() async throws {
        try await APIHarness.run { api in
            for _ in 0..<2 {
                let state = try await begin(api)
                #expect(try await api.send(.get, "/api/auth/callback?code=0&state=\(state)").status == 302)
                try await api.database.client.query("update users set roles = '{user}' where oauth_id = 'admin-001'")
            }
            #expect(try await api.count("select count(*) from users where oauth_id = 'admin-001'") == 1)
            let state = try await begin(api)
            let answer = try await api.send(.get, "/api/auth/callback?code=0&state=\(state)")
            let token = try #require(try fragment(answer)["token"])
            let me = try await api.send(.get, "/api/v1/auth/me", headers: [.authorization: "Bearer \(token)"])
            #expect(me["roles"] == ["admin", "user"])
        }
    }

    @Test("whoever was made ahead is found by e-mail address; bootstrap users become admins")
    func ahead() async throws {
        try await APIHarness.run {
            $0.settings.bootstrapAdmins = ["user@example.com"]
        } _: { api in
            let admin = try await api.addAdmin()
            let made = try await api.send(
                .post, "/api/v1/admin/users", ["username": "somebody", "email": "USER@example.com"], as: admin)
            #expect(made.status == 202)
            let state = try await begin(api)
            let answer = try await api.send(.get, "/api/auth/callback?code=1&state=\(state)")
            let token = try #require(try fragment(answer)["token"])
            let me = try await api.send(.get, "/api/v1/auth/me", headers: [.authorization: "Bearer \(token)"])
            #expect(me["id"] == made["id"])
            #expect(me["roles"] == ["admin", "user"])
        }
    }

    @Test("a deactivated user cannot sign in, and that is noted")
    func deactivated() async throws {
        try await APIHarness.run { api in
            let first = try await begin(api)
            #expect(try await api.send(.get, "/api/auth/callback?code=2&state=\(first)").status == 302)
            try await api.database.client.query("update users set is_active = false where oauth_id = 'readonly-001'")
            let second = try await begin(api)
            let answer = try await api.send(.get, "/api/auth/callback?code=2&state=\(second)")
            #expect(answer.status == 403 && answer.errorCode == "FORBIDDEN")
            #expect(try await api.count("select count(*) from audit_logs where action = 'AUTH_DENIED'") == 1)
        }
    }

    @Test("dev tokens are for any name and roles")
    func devToken() async throws {
        try await APIHarness.run { api in
            let plain = try await api.send(.post, "/api/auth/dev-token")
            #expect(plain.status == 200 && plain["token_type"] == "Bearer" && plain["expires_in"] == 3600)
            #expect(plain["user", "username"] == "developer" && plain["user", "roles"] == ["admin", "user"])
            let other = try await api.send(
                .post, "/api/auth/dev-token", ["username": "eve", "roles": ["adminReadonly"]])
            #expect(other["user", "roles"] == ["admin-readonly"])
            let token = try #require(other["access_token"]?.stringValue)
            let me = try await api.send(.get, "/api/v1/auth/me", headers: [.authorization: "Bearer \(token)"])
            #expect(me["username"] == "eve" && me["roles"] == ["admin-readonly"])
            let bad = try await api.send(.post, "/api/auth/dev-token", ["username": 1, "roles": ["king"]])
            #expect(bad.refusedFields == ["username", "roles[0]"])
        }
    }

    @Test("the mock users are the three that the front end knows")
    func mockUsers() async throws {
        try await APIHarness.run { api in
            let answer = try await api.send(.get, "/api/auth/mock-users")
            #expect(
                answer.json.arrayValue?.compactMap { $0["id"]?.stringValue } == [
                    "admin-001", "user-001", "readonly-001",
                ])
        }
    }

    @Test("validate says what is wrong with a token, with 401")
    func validate() async throws {
        try await APIHarness.run { api in
            let bad = try await api.send(.post, "/api/auth/validate", ["token": "nonsense"])
            #expect(bad.status == 401 && bad["valid"] == false && bad["error"]?.stringValue != nil)
            #expect(try await api.send(.post, "/api/auth/validate").refusedFields == ["token"])
        }
    }
}

@Suite("Callers", .needsDatabase, .hangGuard)
struct CallerTests {
    @Test("roles are read live: a token's claims allow nothing")
    func liveRoles() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser(roles: [.admin])
            #expect(try await api.send(.post, "/api/v1/models/sync", as: user).status == 202)
            try await api.database.client.query("update users set roles = '{user}' where id = \(user.id)")
            // The token below still says admin.
            let answer = try await api.send(.post, "/api/v1/models/sync", as: user)
            #expect(answer.status == 403 && answer.errorCode == "INSUFFICIENT_PERMISSIONS")
            try await api.database.client.query("update users set is_active = false where id = \(user.id)")
            let inactive = try await api.send(.get, "/api/v1/auth/me", as: user)
            #expect(inactive.status == 401 && inactive.errorCode == "UNAUTHORIZED")
            try await api.database.client.query("delete from team_members where user_id = \(user.id)")
            try await api.database.client.query("delete from users where id = \(user.id)")
            #expect(try await api.send(.get, "/api/v1/auth/me", as: user).errorCode == "INVALID_TOKEN")
        }
    }

    @Test(
        "no or unusable credentials are 401 with a challenge",
        arguments: [
            nil, "", "Bearer", "Bearer ", "Basic YTpi", "Bearer x", "Bearer sk-1234567890", "Bearer ltm_admin_x",
            "token",
        ])
    func unauthorized(_ field: String?) async throws {
        try await APIHarness.run { api in
            var headers: HTTPFields = [:]
            headers[.authorization] = field
            let answer = try await api.send(.get, "/api/v1/auth/me", headers: headers)
            #expect(answer.status == 401)
            #expect(answer.headers[.wwwAuthenticate]?.hasPrefix("Bearer") == true)
            #expect(answer["error", "statusCode"] == 401)
        }
    }

    @Test("on a public page a credential that is not valid counts as none")
    func publicPage() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let admin = try await api.addAdmin()
            let anonymous = try await api.send(.get, "/api/v1/models", headers: [.authorization: "Bearer rubbish"])
            #expect(anonymous.status == 200 && anonymous["data", "0", "apiBase"] == nil)
            let seen = try await api.send(.get, "/api/v1/models", as: admin)
            #expect(seen["data", "0", "apiBase"] == "http://backend.internal")
            let user = try await api.addUser()
            #expect(try await api.send(.get, "/api/v1/models", as: user)["data", "0", "apiBase"] == nil)
        }
    }
}
