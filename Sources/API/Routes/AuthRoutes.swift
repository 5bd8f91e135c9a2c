import HTTPTypes
import Hummingbird
import Shared

/// Signing in and out. The browser is sent to the identity provider, comes back to the callback, and is sent on to
/// the front end with its session in the URL's fragment.
struct AuthRoutes: RouteGroup {
    let signIn: SignIn
    let authenticator: Authenticator
    let provider: any IdentityProvider
    let database: PostgresClient
    private let audit = PostgresAuditStore()

    init(signIn: SignIn, authenticator: Authenticator, provider: any IdentityProvider, database: PostgresClient) {
        self.signIn = signIn
        self.authenticator = authenticator
        self.provider = provider
        self.database = database
    }

    var routes: [Route] {
        [
            .open(.get, "/api/auth/mock-users", mockUsers),
            .open(.get, "/api/auth/mock-login", mockLogin),
            .open(.post, "/api/auth/login", login),
            .open(.get, "/api/auth/callback", callback),
            .open(.post, "/api/auth/dev-token", devToken),
            .open(.post, "/api/auth/validate", validate),
            .signedIn(.post, "/api/auth/logout", logout),
            .signedIn(.get, "/api/v1/auth/me", me),
            .signedIn(.get, "/api/v1/auth/profile", profile),
        ]
    }

    // MARK: Sign-in

    private func login(_ call: Call) async throws -> Response {
        let url = try await signIn.begin(origin: call.request.headers[.origin])
        return .json(Members { $0.member("authUrl", url) })
    }

    private func callback(_ call: Call) async throws -> Response {
        var query = try call.query()
        let code = query.string("code", limit: 4096)
        let state = query.string("state", limit: 256)
        let error = query.string("error", limit: 255)
        if code == nil, error == nil { query.refuse("code", .required, "is required") }
        if state == nil { query.refuse("state", .required, "is required") }
        try query.check()
        if let error { throw try await signIn.refusal(error, state: state ?? "", from: call) }
        return redirect(to: try await signIn.finish(code: code ?? "", state: state ?? "", from: call))
    }

    // MARK: Mock users

    private var mock: MockIdentityProvider {
        get throws(APIError) {
            guard let mock = provider as? MockIdentityProvider else {
                throw APIError(.notFound, .notFound, "There is no such route.")
            }
            return mock
        }
    }

    private func mockUsers(_ call: Call) async throws -> Response {
        _ = try mock
        return .json(Elements(elements: MockIdentityProvider.people))
    }

    private func mockLogin(_ call: Call) async throws -> Response {
        let mock = try mock
        var query = try call.query()
        let person = query.int("user", in: 0...MockIdentityProvider.people.count - 1) ?? 0
        let state = query.string("state", limit: 256)
        if state == nil { query.refuse("state", .required, "is required") }
        try query.check()
        return redirect(
            to: "\(mock.publicURL)/api/auth/callback?code=\(person)&state=\(PercentCoding.encode(state ?? ""))")
    }

    private func devToken(_ call: Call) async throws -> Response {
        _ = try mock
        var fields = try await call.body().fields
        let username = fields.string("username", length: 1...100) ?? "developer"
        var roles: [Role] = []
        for (index, name) in (fields.strings("roles", count: 1...10, length: 1...50) ?? ["admin", "user"]).enumerated()
        {
            if let role = Role(spelling: name) {
                roles.append(role)
            } else {
                fields.refuse("roles[\(index)]", .choice, "must be a role such as user")
            }
        }
        try fields.check()
        let identity = ExternalIdentity(
            subject: "dev-\(username)", username: username, email: "\(PercentCoding.encode(username))@dev.invalid",
            fullName: nil, roles: roles, emailIsVerified: true, usernameIsUnique: true)
        let user = try await signIn.user(for: identity, from: call)
        let token = try await signIn.tokens.issue(for: user)
        return .json(
            Members { json in
                json.member("access_token", token)
                json.member("token_type", "Bearer")
                json.member("expires_in", signIn.tokens.lifetime)
                json.member("user", SessionUserView(user: user))
            })
    }

    // MARK: Sessions

    private func validate(_ call: Call) async throws -> Response {
        var fields = try await call.body().fields
        let token = fields.requiredString("token", length: 1...8192)
        try fields.check()
        do {
            let principal = try await authenticator.principal(for: [.authorization: "Bearer \(token)"])
            let user = try principal.requireUser()
            return .json(
                Members { json in
                    json.member("valid", true)
                    json.member("user", SessionUserView(user: user))
                })
        } catch let error as APIError where error.status == .unauthorized {
            return .json(
                Members { json in
                    json.member("valid", false)
                    json.member("error", error.message)
                }, status: .unauthorized)
        }
    }

    private func logout(_ call: AuthenticatedCall) async throws -> Response {
        try await audit.append(
            AuditEntry(
                actor: call.actor, action: "LOGOUT", resourceType: "AUTH", resourceId: call.principal.id),
            in: database)
        let origin = call.request.headers[.origin].flatMap { signIn.settings.frontendOrigins.contains($0) ? $0 : nil }
        let url = await provider.logoutURL(returningTo: origin ?? signIn.settings.frontendOrigins.first)
        return .json(
            Members { json in
                json.member("message", "Logged out successfully")
                if let url { json.member("logoutUrl", url) } else { json.nullMember("logoutUrl") }
            })
    }

    private func me(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        return .json(
            Members { json in
                json.member("id", user.id)
                json.member("username", user.username)
                json.member("email", user.email)
                json.member("name", user.fullName ?? user.username)
                json.member("roles", user.roles.map(\.rawValue))
            })
    }

    private func profile(_ call: AuthenticatedCall) async throws -> Response {
        let user = try call.principal.requireUser()
        return .json(
            Members { json in
                json.member("id", user.id)
                json.member("username", user.username)
                json.member("email", user.email)
                json.member("fullName", user.fullName)
                json.member("roles", user.roles.map(\.rawValue))
                json.member("createdAt", user.createdAt)
            })
    }

    private func redirect(to url: String) -> Response {
        Response(status: .found, headers: [.location: url])
    }
}

/// The user of a session, as the token's claims name them.
private struct SessionUserView: JSONRepresentable {
    let user: User

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("userId", user.id)
            json.member("username", user.username)
            json.member("email", user.email)
            json.member("roles", user.roles.map(\.rawValue))
        }
    }
}
