import Crypto
import Foundation
import HTTPTypes
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API

extension OAuthConfiguration {
    /// As the environment of an API would give it.
    static func test(_ provider: String, _ changes: [String: String] = [:]) async throws -> OAuthConfiguration {
        let environment = [
            "ENV_FILE": "none", "DATABASE_URL": "postgresql://localhost/x",
            "JWT_SECRET": "a secret of at least thirty-two bytes", "SECRETS_KEYS": APIHarness.sealerKey,
            "AUTH_PROVIDER": provider, "OAUTH_CLIENT_ID": "litemaas", "OAUTH_CLIENT_SECRET": "s p:c",
            "OAUTH_ISSUER": provider == "oidc" ? OIDCDouble.issuer : "https://oauth-openshift.apps.c1.example.com",
            "PUBLIC_URL": "https://maas.example",
        ]
        return try await AppConfiguration.load(process: .api, environment: environment.merging(changes) { $1 })
            .auth.oauth
    }
}

extension APIHarness {
    /// An API whose people sign in at the double.
    static func run(
        oidc double: OIDCDouble, settings: APISettings = APISettings(),
        _ body: @escaping @Sendable (APIHarness) async throws -> Void
    ) async throws {
        let provider = OIDCProvider(try await .test("oidc"), transport: double, logger: quiet)
        let configure: (inout Options) -> Void = { options in
            options.provider = provider
            options.settings = settings
            options.settings.rateLimits = .off
        }
        try await run(configure, body)
    }

    /// Goes to the provider and comes back.
    func signIn(at double: some ProviderDouble, headers: HTTPFields = [:]) async throws -> Answer {
        let login = try await send(.post, "/api/auth/login", headers: headers)
        let url = try #require(login["authUrl"]?.stringValue)
        double.follow(url)
        let state = try #require(HTTPClientRequest(url: url).query["state"])
        return try await send(.get, "/api/auth/callback?code=the%2Bcode&state=\(state)")
    }

    /// Who the session of the callback's answer belongs to.
    func me(_ callback: Answer) async throws -> Answer {
        let location = try #require(callback.headers[.location], "\(callback.text)")
        let fragment = try #require(location.split(separator: "#").last)
        let token = try #require(fragment.split(separator: "&").first?.split(separator: "=").last)
        return try await send(.get, "/api/v1/auth/me", headers: [.authorization: "Bearer \(token)"])
    }

    /// The reasons of failed sign-ins, oldest first.
    func reasons(_ action: String = "AUTH_FAILED") async throws -> [String] {
        try await database.client.query(
            """
            select metadata ->> 'reason' from audit_logs
            where action = \(action) and resource_type = 'AUTH' and not success order by created_at, id
            """
        ).map { try $0.decode(String.self) }
    }
}

@Suite("Sign-in through OpenID Connect", .needsDatabase, .hangGuard)
struct OIDCSignInTests {
    @Test("the code is traded in with the verifier of its challenge, and the ID token makes a session")
    func flow() async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            let config = try await api.send(.get, "/api/v1/config")
            #expect(config["authMode"] == "oauth" && config["authProvider"] == "oidc")
            let answer = try await api.signIn(at: double)
            #expect(answer.status == 302)
            #expect(answer.headers[.location]?.hasPrefix("http://localhost:3000/auth/callback#token=") == true)
            let me = try await api.me(answer)
            #expect(me["username"] == "erika" && me["name"] == "Erika Example" && me["roles"] == ["user"])

            let state = double.state.withLock { $0 }
            let sent = state.authorization
            #expect(sent["tenant"] == "1" && sent["response_type"] == "code" && sent["client_id"] == "litemaas")
            #expect(sent["redirect_uri"] == "https://maas.example/api/auth/callback")
            #expect(sent["scope"] == "openid profile email" && sent["code_challenge_method"] == "S256")
            #expect((sent["nonce"] ?? "").count == 64 && sent["nonce"] != sent["state"])
            let exchange = try #require(state.requests.first { $0.path == "/token" })
            #expect(
                exchange.header("Authorization") == "Basic \(Data("litemaas:s%20p%3Ac".utf8).base64EncodedString())")
            let form = HTTPClientRequest(url: "x://y?" + String(decoding: exchange.body, as: UTF8.self)).query
            #expect(form["code"] == "the+code" && form["grant_type"] == "authorization_code")
            #expect(form["redirect_uri"] == sent["redirect_uri"] && form["client_secret"] == nil)
            let verifier = try #require(form["code_verifier"])
            let challenge = TestKey.base64URL(Data(SHA256.hash(data: Data(verifier.utf8))))
            #expect(verifier.count == 43 && challenge == sent["code_challenge"])
            #expect(state.count("/userinfo") == 0, "the ID token says it all")
            #expect(try await api.count("select count(*) from oauth_states") == 0)
            let audited = try await api.count(
                "select count(*) from audit_logs where action = 'LOGIN' and metadata ->> 'provider' = 'oidc' and success"
            )
            #expect(audited == 1)
        }
    }

    @Test("a token endpoint that takes the secret in the form only gets it there")
    func secretInForm() async throws {
        let double = await OIDCDouble()
        double.change { $0.metadata["token_endpoint_auth_methods_supported"] = ["client_secret_post"] }
        try await APIHarness.run(oidc: double) { api in
            #expect(try await api.signIn(at: double).status == 302)
            let exchange = try #require(double.state.withLock { $0.requests.first { $0.path == "/token" } })
            let form = HTTPClientRequest(url: "x://y?" + String(decoding: exchange.body, as: UTF8.self)).query
            #expect(exchange.header("Authorization") == nil)
            #expect(form["client_id"] == "litemaas" && form["client_secret"] == "s p:c")
        }
    }

    @Test("what the ID token leaves out comes from the user info, of the same person only")
    func userInfo() async throws {
        let double = await OIDCDouble()
        double.change { state in
            for name in ["email", "email_verified", "groups", "preferred_username"] { state.claims[name] = nil }
            state.userInfo = [
                "sub": "sub-1", "email": "erika@example.com", "email_verified": "true", "preferred_username": "eri",
                "groups": "litemaas-readonly",
            ]
        }
        try await APIHarness.run(oidc: double) { api in
            let me = try await api.me(try await api.signIn(at: double))
            #expect(me["username"] == "eri" && me["email"] == "erika@example.com")
            #expect(me["roles"] == ["admin-readonly", "user"])
            double.change { $0.userInfo = ["sub": "sub-2", "email": "erika@example.com"] }
            #expect(try await api.signIn(at: double).status == 400)
            double.change { $0.userInfo = ["sub": "sub-1"] }
            let without = try await api.signIn(at: double)
            #expect(without.status == 400 && without.text.contains("does not tell your e-mail address"))
            double.change { $0.answers["/userinfo"] = .json(500, "{}") }
            #expect(try await api.signIn(at: double).status == 503)
            #expect(try await api.reasons() == ["userinfo_subject", "email_missing", "userinfo_failed"])
        }
    }

    @Test("what does not prove who it is makes no session, uses the state up, and is noted without secrets")
    func failures() async throws {
        let double = await OIDCDouble()
        let usual = double.state.withLock { $0 }
        let stranger = await TestKey(elliptic: "stranger")
        let cases: [(status: Int, reason: String, change: @Sendable (inout OIDCDouble.State) -> Void)] = [
            (400, "id_token_nonce", { $0.claims["nonce"] = "another" }),
            (400, "id_token_audience", { $0.claims["aud"] = "another" }),
            (400, "id_token_issuer", { $0.claims["iss"] = "https://evil.example" }),
            (400, "id_token_expired", { $0.claims["exp"] = 1 }),
            (400, "id_token_unknown_key", { $0.key = stranger }),
            (400, "id_token_missing", { $0.answers["/token"] = .json(200, #"{"access_token": "SECRET"}"#) }),
            (400, "exchange_invalid_grant", { $0.answers["/token"] = .json(400, #"{"error": "invalid_grant"}"#) }),
            (400, "exchange_other", { $0.answers["/token"] = .json(401, #"{"error": "SECRET <b>"}"#) }),
            (503, "exchange_failed", { $0.answers["/token"] = .json(502, "SECRET") }),
            (503, "exchange_failed", { $0.answers["/token"] = .json(302, "") }),
            (503, "provider_unreachable", { $0.unreachable = ["/token"] }),
        ]
        try await APIHarness.run(oidc: double) { api in
            for (status, reason, change) in cases {
                double.change { $0 = usual }
                double.change(change)
                let answer = try await api.signIn(at: double)
                #expect(answer.status == status, "\(reason)")
                #expect(!answer.text.contains("SECRET"))
            }
            #expect(try await api.reasons() == cases.map(\.reason))
            #expect(try await api.count("select count(*) from oauth_states") == 0)
            #expect(try await api.count("select count(*) from users where oauth_provider = 'oidc'") == 0)
            let leaks = try await api.count("select count(*) from audit_logs a where a::text ~ 'SECRET|the.code'")
            #expect(leaks == 0)
        }
    }

    @Test("the provider's refusal is 403 when the person was denied, else 400; a state is needed for both")
    func refusal() async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            func state() async throws -> String {
                let login = try await api.send(.post, "/api/auth/login")
                return try #require(HTTPClientRequest(url: login["authUrl"]?.stringValue ?? "").query["state"])
            }
            let first = try await state()
            let denied = try await api.send(.get, "/api/auth/callback?error=access_denied&state=\(first)")
            #expect(denied.status == 403 && denied.errorCode == "FORBIDDEN")
            let again = try await api.send(.get, "/api/auth/callback?error=access_denied&state=\(first)")
            #expect(again.status == 400 && again.refusedFields == ["state"])
            let second = try await state()
            let other = try await api.send(.get, "/api/auth/callback?error=temporarily_unavailable&state=\(second)")
            #expect(other.status == 400)
            let none = try await api.send(.get, "/api/auth/callback?error=access_denied")
            #expect(none.refusedFields == ["state"])
            #expect(try await api.reasons("AUTH_DENIED") == ["access_denied"])
            #expect(try await api.reasons() == ["unknown_state", "provider_temporarily_unavailable"])
        }
    }

    @Test("a provider that cannot be asked is 503, and no sign-in is remembered")
    func unreachable() async throws {
        let double = await OIDCDouble()
        double.change { $0.unreachable = ["/.well-known/openid-configuration"] }
        try await APIHarness.run(oidc: double) { api in
            let login = try await api.send(.post, "/api/auth/login")
            #expect(login.status == 503 && login.errorCode == "SERVICE_UNAVAILABLE")
            #expect(try await api.count("select count(*) from oauth_states") == 0)
            let admin = try await api.addAdmin()
            let info = try await api.send(.get, "/api/v1/admin/auth/info", as: admin)
            #expect(
                info.json == [
                    "provider": "oidc", "issuer": .string(OIDCDouble.issuer), "groupsClaim": "groups",
                    "discoveryStatus": "unavailable",
                ])
            let logout = try await api.send(.post, "/api/auth/logout", as: admin)
            #expect(logout.status == 200 && logout["logoutUrl"] == .null)
        }
    }

    @Test("operators see the provider, and signing out names its page")
    func information() async throws {
        let double = await OIDCDouble()
        try await APIHarness.run(oidc: double) { api in
            let admin = try await api.addAdmin()
            let info = try await api.send(.get, "/api/v1/admin/auth/info", as: admin)
            #expect(info["discoveryStatus"] == "ok")
            let logout = try await api.send(.post, "/api/auth/logout", as: admin)
            let query = HTTPClientRequest(url: logout["logoutUrl"]?.stringValue ?? "").query
            #expect(logout["logoutUrl"]?.stringValue?.hasPrefix("https://sso.example/logout?") == true)
            #expect(query == ["client_id": "litemaas", "post_logout_redirect_uri": "http://localhost:3000"])
        }
    }

    @Test("a discovery document of another issuer, or with endpoints that are not https in production, is not used")
    func discovery() async throws {
        let production = OAuthClient(try await .test("oidc", ["APP_ENV": "production"]))
        let development = OAuthClient(try await .test("oidc"))
        let usual = await OIDCDouble().state.withLock { $0.metadata }
        func reason(_ client: OAuthClient, _ changes: [String: JSONValue], issuer: String = OIDCDouble.issuer) -> String
        {
            do throws(SignInFailure) {
                let json = JSONValue.object(usual.merging(changes) { $1 }.filter { !$0.value.isNull })
                _ = try OIDCMetadata(json, issuer: issuer, client: client)
                return "used"
            } catch {
                return error.reason
            }
        }
        #expect(reason(production, [:]) == "used")
        #expect(reason(production, [:], issuer: "\(OIDCDouble.issuer)/") == "discovery_issuer")
        for name in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            #expect(reason(production, [name: "http://sso.example/x"]) == "discovery_invalid")
            #expect(reason(development, [name: "http://sso.example/x"]) == "used")
            #expect(reason(development, [name: nil]) == "discovery_invalid")
            #expect(reason(development, [name: "/relative"]) == "discovery_invalid")
            #expect(reason(development, [name: "ftp://sso.example/x"]) == "discovery_invalid")
            #expect(reason(development, [name: "https://user:pw@sso.example/x"]) == "discovery_invalid")
        }
        #expect(reason(production, ["userinfo_endpoint": "http://sso.example/x"]) == "discovery_invalid")
        #expect(reason(production, ["end_session_endpoint": "http://sso.example/x"]) == "discovery_invalid")
        #expect(reason(development, ["userinfo_endpoint": nil, "end_session_endpoint": nil]) == "used")
        let signed: JSONValue = ["private_key_jwt"]
        #expect(reason(development, ["token_endpoint_auth_methods_supported": signed]) == "discovery_authentication")
    }
}
