import Foundation
import Logging
import Shared

/// The endpoints of OpenShift's OAuth server.
struct OpenShiftEndpoints: Sendable, Equatable {
    let authorization: String
    let token: String
}

/// Sign-in through OpenShift's OAuth server. It gives no ID token: who signed in is asked of the cluster's API, with the
/// token that the code was traded for.
struct OpenShiftProvider: IdentityProvider {
    private static let discoveryLifetime: TimeInterval = 86_400
    /// A name that can exist nowhere (RFC 6761), for people without a known address.
    private static let noDomain = "openshift.invalid"

    private let issuer: String
    private let api: String
    private let emailDomain: String?
    private let client: OAuthClient
    private let http: ProviderHTTP
    private let discovery: ProviderDocument<OpenShiftEndpoints>

    init(
        _ settings: OAuthConfiguration, transport: any HTTPTransport, now: @escaping @Sendable () -> Date = { Date() },
        logger: Logger
    ) {
        let http = ProviderHTTP(transport: transport)
        let client = OAuthClient(settings)
        let issuer = settings.issuer.hasSuffix("/") ? String(settings.issuer.dropLast()) : settings.issuer
        discovery = ProviderDocument(
            "the discovery document", lifetime: Self.discoveryLifetime, now: now, logger: logger
        ) {
            let answer = try await http.get("\(issuer)/.well-known/oauth-authorization-server")
            if [401, 403, 404].contains(answer.status) {
                // Clusters may keep discovery from strangers; these paths are the OAuth server's own.
                return OpenShiftEndpoints(authorization: "\(issuer)/oauth/authorize", token: "\(issuer)/oauth/token")
            }
            guard answer.isSuccess else {
                throw SignInFailure.unavailable(
                    "discovery_failed", detail: "the discovery document was answered with \(answer.status)")
            }
            // Its issuer is the OAuth server's also where the cluster's API was asked, so it proves nothing here.
            return OpenShiftEndpoints(
                authorization: try client.endpoint(
                    answer.json["authorization_endpoint"]?.stringValue, "authorization_endpoint"),
                token: try client.endpoint(answer.json["token_endpoint"]?.stringValue, "token_endpoint"))
        }
        self.issuer = settings.issuer
        api = settings.openshiftAPI
        emailDomain = settings.emailDomain
        self.client = client
        self.http = http
    }

    var name: String { SignInProvider.openshift.rawValue }
    var mode: String { "oauth" }

    func authorizationURL(for attempt: SignInAttempt) async throws -> String {
        client.authorizationURL(try await discovery.content().authorization, attempt: attempt)
    }

    func identity(code: String, of begun: OAuthState) async throws -> ExternalIdentity {
        let form = client.exchange(code: code, verifier: begun.pkceVerifier ?? "") + client.credentialsInForm
        let tokens = try OAuthClient.checked(
            try await http.post(try await discovery.content().token, form: form))
        guard let token = tokens["access_token"]?.stringValue else {
            throw SignInFailure.refused("access_token_missing")
        }
        let answer = try await http.get("\(api)/apis/user.openshift.io/v1/users/~", bearer: Secret(token))
        guard answer.isSuccess else {
            let reason = [401, 403].contains(answer.status) ? "user_refused" : "user_failed"
            throw SignInFailure.unavailable(reason, detail: "the cluster's API answered \(answer.status) for the user")
        }
        return try identity(answer.json)
    }

    /// The OAuth server ends a session only by a form on its own pages.
    func logoutURL(returningTo origin: String?) async -> String? { nil }

    func information() async -> ProviderInformation {
        // Asking brings it up to date; how that went is the status.
        _ = try? await discovery.content()
        return ProviderInformation(
            issuer: issuer, groupsClaim: "groups", discoveryStatus: await discovery.status.rawValue)
    }

    private func identity(_ user: JSONValue) throws(SignInFailure) -> ExternalIdentity {
        guard let name = ProviderText.line(user["metadata"]?["name"]) else { throw .refused("user_unreadable") }
        // A user that the cluster keeps no object of, such as its first administrator, may have no uid.
        let subject = ProviderText.line(user["metadata"]?["uid"]) ?? "name:\(name)"
        let address = name.contains("@") ? name : "\(name)@\(emailDomain ?? Self.noDomain)"
        guard let email = ProviderText.address(.string(address)) else {
            throw SignInFailure(
                kind: .refused, reason: "email_missing", message: "No e-mail address can be made of your user name.")
        }
        return ExternalIdentity(
            subject: subject, username: name, email: email, fullName: ProviderText.line(user["fullName"]),
            roles: client.roles(of: ProviderText.list(user["groups"])),
            // Names differ by case in a cluster, addresses do not.
            emailIsVerified: emailDomain != nil && !name.contains("@") && name == name.lowercased(),
            usernameIsUnique: true)
    }
}
