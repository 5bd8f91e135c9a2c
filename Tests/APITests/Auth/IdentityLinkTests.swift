import Foundation
import HTTPTypes
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API

@Suite("Whose user a sign-in is", .needsDatabase, .hangGuard)
struct IdentityLinkTests {
    private func roles(_ api: APIHarness, _ column: StaticString) async throws -> [String] {
        try await api.database.client.query(
            "select \(unescaped: column) from users where oauth_provider = 'oidc' and oauth_id = 'sub-1'"
        ).one([String].self)
    }

    @Test("a user made ahead is found by an address only if the provider vouches for it", arguments: [true, false])
    func ahead(isVerified: Bool) async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            let admin = try await api.addAdmin()
            let made = try await api.send(
                .post, "/api/v1/admin/users",
                ["username": "somebody", "email": "ERIKA@example.com", "roles": ["admin-readonly"]], as: admin)
            #expect(made.status == 202)
            double.change { $0.claims["email_verified"] = .bool(isVerified) }
            let answer = try await api.signIn(at: double)
            if isVerified {
                let me = try await api.me(answer)
                #expect(me["id"] == made["id"] && me["username"] == "erika")
                #expect(me["roles"] == ["user", "admin-readonly"], "the provider's and the granted ones")
            } else {
                #expect(answer.status == 409 && answer.errorCode == "ALREADY_EXISTS")
                #expect(try await api.reasons() == ["name_or_address_taken"])
                #expect(try await api.count("select count(*) from users where oauth_provider = 'oidc'") == 0)
            }
        }
    }

    @Test("no claim about the address counts as not vouched for, and a chosen name links nobody")
    func chosenName() async throws {
        let double = await OIDCDouble()
        double.change { state in
            state.claims["email_verified"] = nil
            state.claims["email"] = "other@example.com"
        }
        try await APIHarness.run(oidc: double) { api in
            let admin = try await api.addAdmin()
            let body: JSONValue = ["username": "erika", "email": "real@example.com"]
            #expect(try await api.send(.post, "/api/v1/admin/users", body, as: admin).status == 202)
            #expect(try await api.signIn(at: double).status == 409)
            double.change { $0.claims["preferred_username"] = "erika2" }
            #expect(try await api.signIn(at: double).status == 302)
        }
    }

    @Test("whoever has signed in already is nobody else's, whatever address comes later")
    func takeover() async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            let victim = try await api.addUser("victim", roles: [.admin])
            double.change { state in
                state.claims["sub"] = "attacker"
                state.claims["email"] = .string(victim.email)
            }
            #expect(try await api.signIn(at: double).status == 409)
            double.change { $0.claims["preferred_username"] = "VICTIM" }
            #expect(try await api.signIn(at: double).status == 409)
            double.change { $0.claims["email"] = "attacker@example.com" }
            #expect(try await api.signIn(at: double).status == 409)
        }
    }

    @Test("groups give roles at each sign-in anew; what an administrator granted stays")
    func groups() async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            double.change { $0.claims["groups"] = ["litemaas-admins", "x"] }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["admin", "user"])
            #expect(try await roles(api, "provider_roles") == ["admin", "user"])
            #expect(try await roles(api, "granted_roles") == [])
            try await api.database.client.query(
                """
                update users set granted_roles = '{admin-readonly,user}', roles = '{admin,user,admin-readonly}'
                where oauth_provider = 'oidc'
                """)
            double.change { $0.claims["groups"] = ["litemaas-users"] }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["user", "admin-readonly"])
            #expect(try await roles(api, "provider_roles") == ["user"])
            #expect(try await roles(api, "granted_roles") == ["admin-readonly", "user"])
            // The change is written down, and a job brings LiteLLM in step: its proxy_admin is none any more.
            let noted: PostgresQuery =
                "select count(*) from audit_logs where action = 'USER_UPDATE' and metadata->>'by' = 'sign-in'"
            #expect(try await api.count(noted) == 1)
            let wanted: PostgresQuery =
                "select count(*) from users where version_wanted = 2 and sync_status = 'pending' and oauth_provider = 'oidc'"
            #expect(try await api.count(wanted) == 1)
            double.change { $0.claims["groups"] = [] }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["user", "admin-readonly"])
            #expect(try await api.count(noted) == 1)
            #expect(try await api.count(wanted) == 1)
        }
    }

    @Test("a group nobody mapped gives the default roles")
    func noGroup() async throws {
        let double = await OIDCDouble()
        double.change { $0.claims["groups"] = ["other"] }
        var settings = APISettings()
        settings.defaultRoles = [.readonly]
        try await APIHarness.run(oidc: double, settings: settings) { api in
            let me = try await api.me(try await api.signIn(at: double))
            #expect(me["roles"] == ["readonly"])
        }
    }

    @Test("named administrators are so at each sign-in, by a name, or an address that the provider vouches for")
    func bootstrap() async throws {
        let double = await OIDCDouble()
        var settings = APISettings()
        settings.bootstrapAdmins = ["erika@example.com", "root"]
        try await APIHarness.run(oidc: double, settings: settings) { api in
            let me = try await api.me(try await api.signIn(at: double))
            #expect(me["roles"] == ["admin", "user"])
            #expect(try await roles(api, "provider_roles") == ["admin", "user"])
            #expect(try await roles(api, "granted_roles") == [])
            // Not vouched for, also when it is chosen as the name; this demotes, as leaving the list does.
            double.change { $0.claims["email_verified"] = false }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["user"])
            double.change { $0.claims["preferred_username"] = "erika@example.com" }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["user"])
            double.change { $0.claims["preferred_username"] = "root" }
            #expect(try await api.me(try await api.signIn(at: double))["roles"] == ["admin", "user"])
        }
    }
}

@Suite("Sign-in through OpenShift", .needsDatabase, .hangGuard)
struct OpenShiftSignInTests {
    private func run(
        _ double: OpenShiftDouble, _ changes: [String: String] = [:],
        _ body: @escaping @Sendable (APIHarness) async throws -> Void
    ) async throws {
        let settings = try await OAuthConfiguration.test("openshift", changes)
        try await APIHarness.run(
            {
                $0.provider = OpenShiftProvider(settings, transport: double, logger: APIHarness.quiet)
            }, body)
    }

    @Test("the cluster's API tells who signed in; PKCE is used; groups give roles")
    func flow() async throws {
        let double = OpenShiftDouble()
        try await run(double) { api in
            let me = try await api.me(try await api.signIn(at: double))
            #expect(me["username"] == "erika" && me["email"] == "erika@openshift.invalid")
            #expect(me["name"] == "Erika Example" && me["roles"] == ["admin", "user"])
            let state = double.state.withLock { $0 }
            #expect(state.authorization["scope"] == "user:info user:check-access")
            #expect(state.authorization["code_challenge_method"] == "S256" && state.authorization["nonce"] == nil)
            let exchange = try #require(state.requests.first { $0.path == "/oauth/token" })
            let form = HTTPClientRequest(url: "x://y?" + String(decoding: exchange.body, as: UTF8.self)).query
            #expect(form["client_secret"] == "s p:c" && form["code_verifier"]?.count == 43)
            let asked = try #require(state.requests.last)
            #expect(asked.url == "https://api.c1.example.com:6443/apis/user.openshift.io/v1/users/~")
            #expect(asked.header("Authorization") == "Bearer sha256~token")
            let info = try await api.send(.get, "/api/v1/admin/auth/info", as: try await api.addAdmin())
            #expect(info["provider"] == "openshift" && info["discoveryStatus"] == "ok")
        }
    }

    @Test("where discovery is kept from strangers the usual paths are used", arguments: [401, 403, 404])
    func fallback(status: Int) async throws {
        let double = OpenShiftDouble()
        double.change { $0.discovery = .json(status, "{}") }
        try await run(double) { api in
            #expect(try await api.signIn(at: double).status == 302)
            let login = try await api.send(.post, "/api/auth/login")
            let prefix = "https://oauth-openshift.apps.c1.example.com/oauth/authorize?"
            #expect(login["authUrl"]?.stringValue?.hasPrefix(prefix) == true)
        }
    }

    @Test("a user made ahead is found by the name, letter for letter, or by an address of the named domain")
    func ahead() async throws {
        let double = OpenShiftDouble()
        try await run(double, ["OPENSHIFT_EMAIL_DOMAIN": "example.com"]) { api in
            let admin = try await api.addAdmin()
            func make(_ name: String, _ email: String) async throws -> Answer {
                try await api.send(
                    .post, "/api/v1/admin/users", ["username": .string(name), "email": .string(email)], as: admin)
            }
            func signIn(_ name: String, _ uid: String) async throws -> Answer {
                double.change { $0.user = ["metadata": ["name": .string(name), "uid": .string(uid)], "groups": nil] }
                return try await api.signIn(at: double)
            }
            let byName = try await make("max", "max.m@example.org")
            #expect(try await signIn("Max", "u-0").status == 409, "another user of the cluster")
            let max = try await api.me(try await signIn("max", "u-1"))
            #expect(max["id"] == byName["id"] && max["email"] == "max@example.com")
            let byAddress = try await make("Erika E.", "Erika@example.com")
            #expect(try await api.me(try await signIn("erika", "u-2"))["id"] == byAddress["id"])
        }
    }

    @Test("a name that looks like an address is the address, and links nobody by it")
    func addressAsName() async throws {
        let double = OpenShiftDouble()
        double.change { $0.user = ["metadata": ["name": "b@example.com"]] }
        try await run(double, ["OPENSHIFT_EMAIL_DOMAIN": "example.com"]) { api in
            let admin = try await api.addAdmin()
            let body: JSONValue = ["username": "b", "email": "b@example.com"]
            #expect(try await api.send(.post, "/api/v1/admin/users", body, as: admin).status == 202)
            #expect(try await api.signIn(at: double).status == 409)
            double.change { $0.user = ["metadata": ["name": "c@example.com"]] }
            #expect(try await api.me(try await api.signIn(at: double))["email"] == "c@example.com")
        }
    }

    @Test("a cluster that does not tell who it is makes no session", arguments: [403, 500])
    func noUser(status: Int) async throws {
        let double = OpenShiftDouble()
        double.change { $0.userStatus = status }
        try await run(double) { api in
            let failed = try await api.signIn(at: double)
            #expect(failed.status == 503)
            double.change { state in
                state.userStatus = 200
                state.user = ["kind": "User"]
            }
            #expect(try await api.signIn(at: double).status == 400)
            let reason = status == 403 ? "user_refused" : "user_failed"
            #expect(try await api.reasons() == [reason, "user_unreadable"])
        }
    }
}
