import Foundation
import HTTPTypes
import Shared
import TestSupport
import Testing

@testable import API
@testable import Jobs

@Suite("Users and profiles", .needsDatabase, .hangGuard)
struct UsersRouteTests {
    private static let prefer = HTTPFields([HTTPField(name: .prefer, value: "wait=20")])

    @Test("are listed by name with filters, and the system's own never")
    func list() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            try await api.addUser("bob")
            try await api.addUser("carol_x", roles: [.readonly], isActive: false)
            func names(_ query: String) async throws -> [String] {
                let answer = try await api.send(.get, "/api/v1/users?\(query)", as: admin)
                #expect(answer.status == 200, "\(answer.text)")
                return (answer["data"]?.arrayValue ?? []).compactMap { $0["username"]?.stringValue }
            }
            #expect(try await names("") == ["bob", "carol_x", "root"])
            #expect(try await names("search=BOB") == ["bob"])
            #expect(try await names("search=Carol_X@example") == ["carol_x"])
            // What LIKE would take for a pattern is text.
            #expect(try await names("search=b_b") == [])
            #expect(try await names("search=%25") == [])
            #expect(try await names("role=admin") == ["root"])
            #expect(try await names("isActive=false") == ["carol_x"])
            #expect(try await names("limit=1&page=2") == ["carol_x"])
            let answer = try await api.send(.get, "/api/v1/users?limit=2", as: admin)
            #expect(answer["pagination"] == ["page": 1, "limit": 2, "total": 3, "totalPages": 2])
            #expect(try DocumentedShape().problems(of: answer.json, as: "UserPage") == [])
            let created = try #require(answer["data", "0", "createdAt"]?.stringValue)
            #expect(created.wholeMatch(of: /\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{3}Z/) != nil)
            let bad = try await api.send(.get, "/api/v1/users?role=king&isActive=maybe&page=0", as: admin)
            #expect(Set(bad.refusedFields) == ["role", "isActive", "page"])
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            #expect(try await api.send(.get, "/api/v1/users", as: reader).status == 200)
            let bob = try #require(
                try await PostgresUserStore().find(email: "bob@example.com", in: api.database.client))
            #expect(try await api.send(.get, "/api/v1/users", as: bob).status == 403)
        }
    }

    @Test("are given roles; what the provider gives and what was given by hand are kept apart")
    func roles() async throws {
        try await APIHarness.run { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob", roles: [.user, .readonly])
            try await api.database.client.query(
                "update users set provider_roles = '{user,readonly}' where id = \(user.id)")
            let path = "/api/v1/users/\(user.id.text)"
            let answer = try await api.send(.patch, path, ["roles": ["user", "adminReadonly", "user"]], as: admin)
            #expect(answer.status == 202 && answer["roles"] == ["user", "admin-readonly"], "\(answer.text)")
            #expect(answer["job", "kind"] == "user.provision" && answer["syncStatus"] == "pending")
            #expect(try DocumentedShape().problems(of: answer.json, as: "User") == [])
            let (provider, granted) = try await api.database.client.query(
                "select provider_roles, granted_roles from users where id = \(user.id)"
            )[0].decode([String].self, [String].self)
            #expect(provider == ["user"] && granted == ["admin-readonly"])
            // What they may do holds with the next request.
            #expect(try await api.send(.get, "/api/v1/users", as: user).status == 200)
            let same = try await api.send(.patch, path, ["roles": ["admin-readonly", "user"]], as: admin)
            #expect(same.status == 200 && same["job"] == nil)

            let log = try await PostgresAuditStore().entries(
                resourceType: "user", resourceId: user.id.text, limit: 5, in: api.database.client)
            #expect(log.map(\.action) == ["USER_UPDATE"])
            #expect(log[0].oldValues == ["roles": ["user", "readonly"]])
            #expect(log[0].newValues == ["roles": ["user", "admin-readonly"]])
            #expect(log[0].actor.userId == admin.id && log[0].actor.requestId != nil && log[0].jobId != nil)

            #expect(try await api.send(.patch, path, [:], as: admin).refusedFields == ["roles"])
            #expect(try await api.send(.patch, path, ["roles": ["king"]], as: admin).refusedFields == ["roles[0]"])
            let reader = try await api.addUser("reader", roles: [.adminReadonly])
            #expect(try await api.send(.patch, path, ["roles": ["admin"]], as: reader).status == 403)
            for id in [UUID(), User.systemId] {
                let missing = try await api.send(.patch, "/api/v1/users/\(id.text)", ["roles": ["user"]], as: admin)
                #expect(missing.status == 404 && missing.errorCode == "NOT_FOUND")
            }
        }
    }

    @Test("with Prefer the answer is LiteLLM's role set")
    func rolesWaited() async throws {
        try await APIHarness.run {
            $0.hasWorker = true
        } _: { api in
            let admin = try await api.addAdmin()
            let user = try await api.addUser("bob")
            let answer = try await api.send(
                .patch, "/api/v1/users/\(user.id.text)", ["roles": ["admin"]], as: admin, headers: Self.prefer)
            #expect(answer.status == 200 && answer["syncStatus"] == "synced", "\(answer.text)")
            #expect(api.litellm.state.users[user.id.text]?["user_role"] == "proxy_admin")
            let log = try await PostgresAuditStore().entries(
                resourceType: "user", resourceId: user.id.text, limit: 5, in: api.database.client)
            #expect(log.map(\.action) == ["USER_PROVISIONED", "USER_UPDATE"])
            // What became of it names the person and the request that asked for it.
            #expect(log[0].actor == log[1].actor)
        }
    }

    @Test("see and change their own name")
    func profile() async throws {
        try await APIHarness.run { api in
            let user = try await api.addUser("bob")
            let seen = try await api.send(.get, "/api/v1/users/me", as: user)
            #expect(seen["id"]?.stringValue == user.id.text && seen["fullName"] == "Bob")
            #expect(try DocumentedShape().problems(of: seen.json, as: "OwnProfile") == [])
            let changed = try await api.send(.patch, "/api/v1/users/me", ["fullName": "Robert"], as: user)
            #expect(changed.status == 202 && changed["fullName"] == "Robert")
            #expect(changed["job", "kind"] == "user.provision")
            #expect(try DocumentedShape().problems(of: changed.json, as: "OwnProfile") == [])
            let cleared = try await api.send(.patch, "/api/v1/users/me", ["fullName": nil], as: user)
            #expect(cleared.status == 202 && cleared["fullName"] == nil)
            #expect(try await api.send(.patch, "/api/v1/users/me", [:], as: user).status == 200)
            let long = JSONValue.string(String(repeating: "x", count: 256))
            let bad = try await api.send(.patch, "/api/v1/users/me", ["fullName": long], as: user)
            #expect(bad.refusedFields == ["fullName"])

            let activity = try await api.send(.get, "/api/v1/users/me/activity", as: user)
            #expect(activity["pagination", "total"] == 2 && activity["data", "0", "action"] == "PROFILE_UPDATE")
            #expect(try DocumentedShape().problems(of: activity.json, as: "ActivityPage") == [])
            let none = try await api.send(.get, "/api/v1/users/me/activity?action=LOGIN", as: user)
            #expect(none["pagination", "total"] == 0)
            // Nobody else's.
            let other = try await api.addUser("carol")
            #expect(
                try await api.send(.get, "/api/v1/users/me/activity", as: other)["pagination", "total"] == 0)
        }
    }

    @Test("see what they have and used")
    func statistics() async throws {
        try await APIHarness.run { api in
            try await api.addModels("gpt")
            let user = try await api.addUser("bob")
            let first = try await api.createKey(as: user)
            _ = try await api.createKey(as: user)
            try await api.database.client.query(
                "update api_keys set is_active = false where id = \(try #require(first["id"]?.stringValue))::uuid")
            for (days, requests) in [(0, 3), (70, 4)] {
                try await api.database.client.query(
                    """
                    with d as (
                        insert into usage_days select (now() at time zone 'UTC')::date - \(Int32(days)), now(), true, 0,
                            0, 0, 0, 0, 0, 0, 1 returning day)
                    insert into usage_daily select day, 'h', 'gpt', 'openai', \(user.id), null, null, 0, 1, 1,
                        \(10 * requests)::bigint, \(requests)::bigint, 0, 0 from d
                    """)
            }
            let answer = try await api.send(.get, "/api/v1/users/me/stats", as: user)
            #expect(answer["apiKeys"] == ["total": 2, "active": 1])
            #expect(
                answer["usage"] == [
                    "totalRequests": 7, "totalTokens": 70, "currentMonthRequests": 3, "currentMonthTokens": 30,
                ])
            #expect(answer["subscriptions"] == ["total": 1, "active": 1, "suspended": 0])
            #expect(try DocumentedShape().problems(of: answer.json, as: "OwnStatistics") == [])

            let admin = try await api.addAdmin()
            let all = try await api.send(.get, "/api/v1/admin/system/stats", as: admin)
            #expect(
                all.json == [
                    "totalUsers": 2, "activeUsers": 2, "totalApiKeys": 2, "activeApiKeys": 1, "totalModels": 1,
                    "availableModels": 1,
                ])
            #expect(try await api.send(.get, "/api/v1/admin/system/stats", as: user).status == 403)
        }
    }
}
