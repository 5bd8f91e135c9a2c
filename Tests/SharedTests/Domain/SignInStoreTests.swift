import Foundation
import Shared
import TestSupport
import Testing

@Suite("Sign-ins in the database", .needsDatabase, .hangGuard)
struct SignInStoreTests {
    private let users = PostgresUserStore()
    private let states = PostgresOAuthStateStore()

    private func lists(_ id: UUID, in test: TestDatabase) async throws -> [[String]] {
        let row = try await test.client.query(
            "select roles, provider_roles, granted_roles from users where id = \(id)")[0]
        return [try row.get("roles"), try row.get("provider_roles"), try row.get("granted_roles")]
    }

    @Test("a sign-in under way carries what its callback has to prove, and is taken once")
    func state() async throws {
        try await withTestDatabase { test in
            let full = OAuthState(
                provider: "oidc", origin: "https://a.example", pkceVerifier: "v", nonce: "n", wantsRefresh: true)
            let plain = OAuthState(provider: "mock", origin: "https://a.example")
            for (state, name) in [(full, "full"), (plain, "plain")] {
                try await states.insert(
                    state, stateHash: sha256Hex(name), lifetime: .seconds(300), in: test.client)
                #expect(try await states.take(stateHash: sha256Hex(name), in: test.client) == state)
                #expect(try await states.take(stateHash: sha256Hex(name), in: test.client) == nil)
            }
        }
    }

    @Test("a new user's roles are kept with whoever gave them", arguments: [RoleSource.provider, .grant])
    func source(_ source: RoleSource) async throws {
        try await withTestDatabase { test in
            let new = NewUser(
                id: UUID(), username: "a", email: "a@example.com", oauthProvider: "test", oauthId: "a",
                roles: [.admin, .user], roleSource: source)
            let user = try await test.client.withTransaction { try await users.insert(new, in: $0) }
            #expect(user.roles == [.admin, .user])
            let given = ["admin", "user"]
            #expect(
                try await lists(new.id, in: test)
                    == (source == .provider ? [given, given, []] : [given, [], given]))
        }
    }

    @Test("a sign-in replaces what the provider gave and keeps what was granted, without duplicates")
    func union() async throws {
        try await withTestDatabase { test in
            let new = NewUser(
                id: UUID(), username: "a", email: "a@example.com", oauthProvider: "ahead", oauthId: "a",
                roles: [.user, .readonly], roleSource: .grant)
            try await test.client.withTransaction { _ = try await users.insert(new, in: $0) }
            func signIn(_ roles: [Role]) async throws -> User {
                try await test.client.withTransaction { transaction in
                    try await users.signIn(
                        new.id,
                        as: UserProfile(
                            oauthProvider: "oidc", oauthId: "a", username: "a", email: "a@example.com", fullName: nil,
                            roles: roles), in: transaction)
                }
            }
            let first = try await signIn([.admin, .user])
            #expect(first.roles == [.admin, .user, .readonly])
            #expect(
                try await lists(new.id, in: test) == [
                    ["admin", "user", "readonly"], ["admin", "user"], ["user", "readonly"],
                ])
            let same = try await signIn([.admin, .user])
            #expect(same.updatedAt == first.updatedAt, "nothing changed")
            let less = try await signIn([])
            #expect(less.roles == [.user, .readonly] && less.updatedAt > first.updatedAt)
            let granted: [String] = ["user", "readonly"]
            #expect(try await lists(new.id, in: test) == [granted, [], granted])
        }
    }

    @Test("a user is found by name, whatever its case")
    func name() async throws {
        try await withTestDatabase { test in
            let user = try await test.user("alice")
            #expect(try await users.find(username: "ALICE", in: test.client)?.id == user.id)
            #expect(try await users.find(username: "alic", in: test.client) == nil)
        }
    }
}
