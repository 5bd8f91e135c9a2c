import Foundation
import Shared
import Testing

@Suite("Configuration of sign-in") struct SignInConfigurationTests {
    @Test("without a provider the API does not start, and says what to set; with MOCK_AUTH it does")
    func required() async throws {
        let missing = ["OAUTH_CLIENT_ID": "", "OAUTH_CLIENT_SECRET": "", "OAUTH_ISSUER": "", "OPENSHIFT_API_URL": ""]
        let found = try await problems(.api, missing)
        #expect(found.map(\.variable) == ["OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_ISSUER"])
        #expect(found.allSatisfy { $0.problem == "is not set, so that nobody could sign in" })
        #expect(found.allSatisfy { $0.fix.contains("MOCK_AUTH to true on a machine for development") })
        #expect(try await problems(.api, missing.merging(["MOCK_AUTH": "true"]) { $1 }) == [])
        #expect(try await problems(.worker, missing) == [])
        let wrong = try await problems(.api, ["OAUTH_ISSUER": "sso.example"])
        #expect(wrong.map(\.variable) == ["OAUTH_ISSUER"], "one problem for one variable")
    }

    @Test("defaults follow the provider")
    func defaults() async throws {
        let openshift = try await load(.api, ["PUBLIC_URL": "https://maas.example/"]).auth.oauth
        #expect(openshift.provider == .openshift)
        #expect(openshift.callbackURL == "https://maas.example/api/auth/callback")
        #expect(openshift.scopes == "user:info user:check-access")
        #expect(
            openshift.groupRoles.map(\.description) == [
                "litemaas-admins=admin", "litemaas-readonly=admin-readonly", "litemaas-users=user",
            ])
        let oidc = try await load(.api, ["AUTH_PROVIDER": "oidc", "OPENSHIFT_API_URL": ""]).auth.oauth
        #expect(oidc.scopes == "openid profile email" && oidc.groupsClaim == "groups" && oidc.openshiftAPI == "")
        let given = try await load(
            .api,
            [
                "AUTH_PROVIDER": "oidc", "OAUTH_ISSUER": "https://sso.example/", "OIDC_SCOPES": " openid   email ",
                "OAUTH_CALLBACK_URL": "https://other.example/back", "OIDC_GROUPS_CLAIM": "roles",
                "OAUTH_GROUP_ROLES": #"["cn=a,ou=b=admin", "x=adminReadonly"]"#,
            ]
        ).auth.oauth
        #expect(given.issuer == "https://sso.example/", "letter for letter")
        #expect(given.scopes == "openid email" && given.groupsClaim == "roles")
        #expect(given.callbackURL == "https://other.example/back")
        #expect(given.groupRoles.map(\.group) == ["cn=a,ou=b", "x"])
        #expect(given.groupRoles.map(\.role) == ["admin", "admin-readonly"])
    }

    @Test(
        "the cluster's API is derived from the OAuth server's URL, or has to be named",
        arguments: [
            ("https://oauth-openshift.apps.c1.example.com", "https://api.c1.example.com:6443"),
            ("https://oauth-openshift.apps.c1.example.com/", "https://api.c1.example.com:6443"),
            ("https://api.c1.example.com:6443", "https://api.c1.example.com:6443"),
            ("https://sso.example.com", nil),
        ])
    func cluster(issuer: String, expected: String?) async throws {
        let changes = ["OPENSHIFT_API_URL": "", "OAUTH_ISSUER": issuer]
        guard let expected else {
            #expect(try await problems(.api, changes).map(\.variable) == ["OPENSHIFT_API_URL"])
            return
        }
        #expect(try await load(.api, changes).auth.oauth.openshiftAPI == expected)
    }

    @Test("in production the provider is reached by https only")
    func production() async throws {
        let changes = [
            "APP_ENV": "production", "OAUTH_ISSUER": "http://sso.example", "OPENSHIFT_API_URL": "http://api.example",
        ]
        #expect(try await problems(.api, changes).map(\.variable) == ["OAUTH_ISSUER", "OPENSHIFT_API_URL"])
        #expect(try await problems(.api, changes.merging(["APP_ENV": "staging"]) { $1 }) == [])
        #expect(try await load(.api, ["APP_ENV": "production"]).auth.oauth.requiresHTTPS)
    }

    @Test(
        "what cannot work is refused",
        arguments: [
            ("AUTH_PROVIDER", "github"), ("OAUTH_GROUP_ROLES", "admins"), ("OAUTH_GROUP_ROLES", "a=king"),
            ("OAUTH_GROUP_ROLES", "=admin"), ("OAUTH_ISSUER", "https://sso.example?x=1"),
            ("OPENSHIFT_EMAIL_DOMAIN", "localhost"), ("OPENSHIFT_EMAIL_DOMAIN", "a@example.com"),
            ("OAUTH_CA_FILE", "/no/such/file"), ("OAUTH_CALLBACK_URL", "/api/auth/callback"),
        ])
    func refused(name: String, value: String) async throws {
        #expect(try await problems(.api, [name: value]).map(\.variable) == [name])
    }

    @Test("OpenID Connect without the scope openid would give no ID token")
    func scopes() async throws {
        let found = try await problems(.api, ["AUTH_PROVIDER": "oidc", "OIDC_SCOPES": "profile email"])
        #expect(found.map(\.variable) == ["OIDC_SCOPES"])
        #expect(try await problems(.api, ["OIDC_SCOPES": "user:info"]) == [], "OpenShift has no such scope")
    }
}
