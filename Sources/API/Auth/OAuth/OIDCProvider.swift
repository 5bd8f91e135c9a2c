import Foundation
import Logging
import Shared

/// What an OpenID provider publishes about itself, as far as it is used here.
struct OIDCMetadata: Sendable, Equatable {
    let authorizationEndpoint: String
    let tokenEndpoint: String
    let keysURL: String
    let userInfoEndpoint: String?
    let endSessionEndpoint: String?
    /// Whether the client's secret goes into the form instead of a header.
    let takesSecretInForm: Bool

    /// Throws `SignInFailure` for a document of another issuer or without the endpoints that are needed.
    init(_ json: JSONValue, issuer: String, client: OAuthClient) throws(SignInFailure) {
        guard json["issuer"]?.stringValue == issuer else {
            throw .unavailable(
                "discovery_issuer", detail: "the discovery document's issuer is not OAUTH_ISSUER, letter for letter")
        }
        authorizationEndpoint = try client.endpoint(
            json["authorization_endpoint"]?.stringValue, "authorization_endpoint")
        tokenEndpoint = try client.endpoint(json["token_endpoint"]?.stringValue, "token_endpoint")
        keysURL = try client.endpoint(json["jwks_uri"]?.stringValue, "jwks_uri")
        let userInfo = json["userinfo_endpoint"]?.stringValue
        userInfoEndpoint = userInfo == nil ? nil : try client.endpoint(userInfo, "userinfo_endpoint")
        let end = json["end_session_endpoint"]?.stringValue
        endSessionEndpoint = end == nil ? nil : try client.endpoint(end, "end_session_endpoint")
        // Left out, it means the header.
        let methods = json["token_endpoint_auth_methods_supported"].map(ProviderText.list) ?? ["client_secret_basic"]
        takesSecretInForm = !methods.contains("client_secret_basic")
        guard !takesSecretInForm || methods.contains("client_secret_post") else {
            throw .unavailable(
                "discovery_authentication", detail: "the token endpoint takes no client secret, in header or form")
        }
    }
}

/// Sign-in through an OpenID Connect provider: authorization code with PKCE, and an ID token that is checked.
struct OIDCProvider: IdentityProvider {
    /// Until discovery is asked again, in seconds.
    private static let discoveryLifetime: TimeInterval = 86_400
    /// Until the keys are fetched again without need, in seconds: so long a key counts that was withdrawn.
    private static let keysLifetime: TimeInterval = 3600
    /// More keys than any provider publishes.
    private static let keyLimit = 100

    private let issuer: String
    private let groupsClaim: String
    private let client: OAuthClient
    private let http: ProviderHTTP
    private let discovery: ProviderDocument<OIDCMetadata>
    private let validator: IDTokenValidator

    init(
        _ settings: OAuthConfiguration, transport: any HTTPTransport, now: @escaping @Sendable () -> Date = { Date() },
        logger: Logger
    ) {
        let http = ProviderHTTP(transport: transport)
        let client = OAuthClient(settings)
        let issuer = settings.issuer
        let discovery = ProviderDocument(
            "the discovery document", lifetime: Self.discoveryLifetime, now: now, logger: logger
        ) {
            let root = issuer.hasSuffix("/") ? String(issuer.dropLast()) : issuer
            let answer = try await http.get("\(root)/.well-known/openid-configuration")
            guard answer.isSuccess else {
                throw SignInFailure.unavailable(
                    "discovery_failed", detail: "the discovery document was answered with \(answer.status)")
            }
            return try OIDCMetadata(answer.json, issuer: issuer, client: client)
        }
        let keys = ProviderDocument("the key set", lifetime: Self.keysLifetime, now: now, logger: logger) {
            let answer = try await http.get(try await discovery.content().keysURL)
            guard answer.isSuccess, let keys = answer.json["keys"]?.arrayValue else {
                throw SignInFailure.unavailable(
                    "keys_failed", detail: "the key set was answered with \(answer.status)")
            }
            return keys.prefix(Self.keyLimit).compactMap(SigningKey.init)
        }
        self.issuer = issuer
        groupsClaim = settings.groupsClaim
        self.client = client
        self.http = http
        self.discovery = discovery
        validator = IDTokenValidator(issuer: issuer, clientId: settings.clientId, keys: keys, now: now)
    }

    var name: String { SignInProvider.oidc.rawValue }
    var mode: String { "oauth" }

    func authorizationURL(for attempt: SignInAttempt) async throws -> String {
        client.authorizationURL(
            try await discovery.content().authorizationEndpoint, attempt: attempt,
            further: [("nonce", attempt.nonce)])
    }

    func identity(code: String, of begun: OAuthState) async throws -> ExternalIdentity {
        let metadata = try await discovery.content()
        var form = client.exchange(code: code, verifier: begun.pkceVerifier ?? "")
        if metadata.takesSecretInForm { form += client.credentialsInForm }
        let answer = try await http.post(
            metadata.tokenEndpoint, form: form,
            authorization: metadata.takesSecretInForm ? nil : client.credentialsInHeader)
        let tokens = try OAuthClient.checked(answer)
        guard let idToken = tokens["id_token"]?.stringValue else { throw SignInFailure.refused("id_token_missing") }
        let claims = try await validator.claims(of: idToken, nonce: begun.nonce)
        var userInfo: JSONValue?
        let isComplete =
            claims["email"] != nil && claims["email_verified"] != nil && Self.member(groupsClaim, of: claims) != nil
        if !isComplete,
            let endpoint = metadata.userInfoEndpoint, let token = tokens["access_token"]?.stringValue
        {
            userInfo = try await information(at: endpoint, token: Secret(token), of: claims)
        }
        return try identity(claims, userInfo ?? [:])
    }

    func logoutURL(returningTo origin: String?) async -> String? {
        // Signing out here works without the provider's page, so a provider in trouble must not keep anybody from it.
        guard let endpoint = try? await discovery.content().endSessionEndpoint else { return nil }
        let query = [("client_id", client.id)] + (origin.map { [("post_logout_redirect_uri", $0)] } ?? [])
        return endpoint + (endpoint.contains("?") ? "&" : "?") + ProviderHTTP.encoded(query)
    }

    func information() async -> ProviderInformation {
        // Asking brings it up to date; how that went is the status.
        _ = try? await discovery.content()
        return ProviderInformation(
            issuer: issuer, groupsClaim: groupsClaim, discoveryStatus: await discovery.status.rawValue)
    }

    // MARK: Claims

    /// What the provider tells beyond the ID token. It must be about the same person.
    private func information(at endpoint: String, token: Secret, of claims: JSONValue) async throws -> JSONValue {
        let answer = try await http.get(endpoint, bearer: token)
        guard answer.isSuccess else {
            throw SignInFailure.unavailable(
                "userinfo_failed", detail: "the user info was answered with \(answer.status)")
        }
        guard let subject = answer.json["sub"], subject == claims["sub"] else {
            throw SignInFailure.refused("userinfo_subject")
        }
        return answer.json
    }

    private func identity(_ claims: JSONValue, _ userInfo: JSONValue) throws(SignInFailure) -> ExternalIdentity {
        guard let subject = ProviderText.line(claims["sub"]) else { throw .refused("id_token_subject") }
        guard let email = ProviderText.address(claims["email"] ?? userInfo["email"]) else {
            throw SignInFailure(
                kind: .refused, reason: "email_missing",
                message: "The sign-in provider does not tell your e-mail address, which is needed here.")
        }
        let username = ProviderText.line(claims["preferred_username"] ?? userInfo["preferred_username"]) ?? email
        let groups = Self.member(groupsClaim, of: claims) ?? Self.member(groupsClaim, of: userInfo)
        return ExternalIdentity(
            subject: subject, username: username, email: email,
            fullName: ProviderText.line(claims["name"] ?? userInfo["name"]),
            roles: client.roles(of: ProviderText.list(groups)),
            emailIsVerified: Self.isVerified(email, claims, userInfo), usernameIsUnique: false)
    }

    /// Whether the provider vouches for this very address; what is not said is not so.
    private static func isVerified(_ email: String, _ claims: JSONValue, _ userInfo: JSONValue) -> Bool {
        let source = claims["email"] == nil || claims["email_verified"] == nil ? userInfo : claims
        // Some providers write booleans as texts.
        return source["email"]?.stringValue == email
            && (source["email_verified"] == true || source["email_verified"] == "true")
    }

    /// The claim with this name; where there is none, the dots lead into objects.
    private static func member(_ name: String, of claims: JSONValue) -> JSONValue? {
        claims[name] ?? name.split(separator: ".").reduce(claims as JSONValue?) { $0?[String($1)] }
    }
}
