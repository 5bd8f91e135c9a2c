import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API

@Suite("Sessions", .needsDatabase, .hangGuard)
struct SessionRouteTests {
    private func bearer(_ token: String) -> HTTPFields { [.authorization: "Bearer \(token)"] }

    /// Signs in as a mock user; the fragment of the front end's URL.
    private func signIn(_ api: APIHarness, person: Int = 1, refresh: Bool = true) async throws -> [String: String] {
        let login = try await api.send(.post, "/api/auth/login", ["refresh": .bool(refresh)])
        let url = try #require(login["authUrl"]?.stringValue)
        let state = try #require(url.split(separator: "state=").last)
        let answer = try await api.send(.get, "/api/auth/callback?code=\(person)&state=\(state)")
        let fragment = try #require(answer.headers[.location]?.split(separator: "#").last)
        return Dictionary(
            uniqueKeysWithValues: fragment.split(separator: "&").map { part in
                let sides = part.split(separator: "=", maxSplits: 1).map(String.init)
                return (sides[0], sides[1])
            })
    }

    @Test("refresh tokens come only when asked for, and each works once")
    func refreshing() async throws {
        try await APIHarness.run { api in
            let plain = try await signIn(api, refresh: false)
            #expect(Set(plain.keys) == ["token", "expires_in"])
            let first = try await signIn(api)
            let refresh = try #require(first["refresh_token"])
            let sessionId = try #require(first["session_id"])
            let second = try await api.send(
                .post, "/api/auth/refresh", ["refreshToken": .string(refresh), "sessionId": .string(sessionId)])
            #expect(second.status == 200 && second["sessionId"]?.stringValue == sessionId)
            let token = try #require(second["accessToken"]?.stringValue)
            let next = try #require(second["refreshToken"]?.stringValue)
            #expect(next != refresh)
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(token)).status == 200)
            // A slip of the session's id costs nothing.
            let slip = try await api.send(
                .post, "/api/auth/refresh", ["refreshToken": .string(next), "sessionId": .string(UUID().text)])
            #expect(slip.status == 401)
            let third = try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(next)])
            #expect(third.status == 200)
            for bad in ["", "x", String(repeating: "a", count: 43)] {
                let answer = try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(bad)])
                #expect(answer.status == (bad.isEmpty ? 400 : 401), "\(bad)")
            }
        }
    }

    @Test("a refresh token that is used twice ends its session, also for whoever used it first")
    func reuse() async throws {
        try await APIHarness.run { api in
            let first = try await signIn(api)
            let stolen = try #require(first["refresh_token"])
            let good = try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(stolen)])
            let token = try #require(good["accessToken"]?.stringValue)
            let next = try #require(good["refreshToken"]?.stringValue)
            let again = try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(stolen)])
            #expect(again.status == 401 && again.errorCode == "INVALID_TOKEN")
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(token)).status == 401)
            #expect(try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(next)]).status == 401)
            let audited = try await api.count(
                "select count(*) from audit_logs where action = 'SESSION_REVOKED' and not success")
            #expect(audited == 1)
        }
    }

    @Test("two uses of one refresh token at the same moment: one at most is answered, and the session is over")
    func race() async throws {
        try await APIHarness.run { api in
            for _ in 0..<10 {
                let refresh = try #require(try await signIn(api)["refresh_token"])
                let answers = try await withThrowingTaskGroup(of: Int.self) { group in
                    for _ in 0..<4 {
                        group.addTask {
                            try await api.send(.post, "/api/auth/refresh", ["refreshToken": .string(refresh)]).status
                        }
                    }
                    return try await group.reduce(into: []) { $0.append($1) }
                }
                #expect(answers.count { $0 == 200 } == 1)
            }
            #expect(try await api.count("select count(*) from auth_sessions where revoked_at is null") == 0)
        }
    }

    @Test("signing out ends the session at once, and no other")
    func logout() async throws {
        try await APIHarness.run { api in
            let one = try #require(try await signIn(api)["token"])
            let other = try await signIn(api)
            let otherToken = try #require(other["token"])
            #expect(try await api.send(.post, "/api/auth/logout", headers: bearer(one)).status == 200)
            let refused = try await api.send(.get, "/api/v1/auth/me", headers: bearer(one))
            #expect(refused.status == 401 && refused.errorCode == "INVALID_TOKEN")
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(otherToken)).status == 200)
        }
    }

    @Test("sessions are listed with where they are from, one can be ended, or all")
    func listing() async throws {
        try await APIHarness.run { api in
            let first = try await signIn(api)
            let second = try await signIn(api)
            let stranger = try #require(try await signIn(api, person: 2)["token"])
            let token = try #require(second["token"])
            let list = try await api.send(.get, "/api/auth/sessions", headers: bearer(token))
            let sessions = try #require(list.json.arrayValue)
            #expect(sessions.count == 2)
            #expect(sessions.map { $0["isCurrent"] } == [true, false])
            #expect(sessions[1]["sessionId"]?.stringValue == first["session_id"])
            #expect(sessions[0]["createdAt"] != nil && sessions[0]["lastActivityAt"] != nil)
            let id = try #require(first["session_id"])
            let foreign = try await api.send(.delete, "/api/auth/sessions/\(id)", headers: bearer(stranger))
            #expect(foreign.status == 404)
            #expect(try await api.send(.delete, "/api/auth/sessions/\(id)", headers: bearer(token)).status == 200)
            #expect(try await api.send(.delete, "/api/auth/sessions/\(id)", headers: bearer(token)).status == 404)
            let gone = try await api.send(.get, "/api/v1/auth/me", headers: bearer(try #require(first["token"])))
            #expect(gone.status == 401)
            let all = try await api.send(.delete, "/api/auth/sessions", headers: bearer(token))
            #expect(all.status == 200 && all["invalidatedSessions"] == 1)
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(token)).status == 401)
            #expect(try await api.send(.get, "/api/v1/auth/me", headers: bearer(stranger)).status == 200)
        }
    }

    @Test("an administrator ends the sessions of a user")
    func byAdministrator() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser()
            #expect(try await api.send(.get, "/api/v1/auth/me", as: user).status == 200)
            let answer = try await api.send(.delete, "/api/v1/admin/users/\(user.id.text)/sessions", as: admin)
            #expect(answer["invalidatedSessions"] == 1)
            #expect(try await api.send(.get, "/api/v1/auth/me", as: user).status == 401)
            let nobody = try await api.send(.delete, "/api/v1/admin/users/\(UUID().text)/sessions", as: admin)
            #expect(nobody.status == 404)
        }
    }

    @Test("roles and the active flag are read live, whatever the token says")
    func live() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            #expect(try await api.send(.get, "/api/v1/admin/jobs", as: admin).status == 200)
            try await api.database.client.query("update users set roles = '{user}' where id = \(admin.id)")
            #expect(try await api.send(.get, "/api/v1/admin/jobs", as: admin).status == 403)
            try await api.database.client.query("update users set is_active = false where id = \(admin.id)")
            #expect(try await api.send(.get, "/api/v1/auth/me", as: admin).status == 401)
        }
    }

    @Test("the last activity is gathered and written by one statement for many requests")
    func activity() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser()
            let session = try await api.session(of: user)
            try await api.database.client.query(
                "update auth_sessions set last_seen_at = now() - interval '1 hour' where id = \(session.id)")
            for _ in 0..<20 { _ = try await api.send(.get, "/api/v1/auth/me", as: user) }
            let before: PostgresQuery =
                "select count(*) from auth_sessions where last_seen_at > now() - interval '1 minute'"
            #expect(try await api.count(before) == 0)
            await api.dependencies.credentialUse.flush()
            #expect(try await api.count(before) == 1)
        }
    }
}
