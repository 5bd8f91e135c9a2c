import HTTPTypes
import Hummingbird
import Shared

/// Signing in. The browser is sent to the identity provider, comes back to the callback, and is sent on to
/// the front end with its session in the URL's fragment.
struct AuthRoutes: RouteGroup {
    let signIn: SignIn
    let provider: any IdentityProvider

    var routes: [Route] {
        [
            .open(.get, "/api/auth/mock-users", mockUsers),
            .open(.get, "/api/auth/mock-login", mockLogin),
            .open(.post, "/api/auth/login", login),
            .open(.get, "/api/auth/callback", callback),
            .open(.post, "/api/auth/dev-token", devToken),
        ]
    }

    // MARK: Sign-in

    private func login(_ call: Call) async throws -> Response {
        var fields = try await call.body().fields
        let wantsRefresh = fields.bool("refresh") ?? false
        try fields.check()
        let url = try await signIn.begin(origin: call.request.headers[.origin], wantsRefresh: wantsRefresh)
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
        let issued = try await signIn.sessions.begin(
            for: user, provider: provider.name, withRefresh: false, from: call)
        return .json(
            Members { json in
                json.member("access_token", issued.accessToken)
                json.member("token_type", "Bearer")
                json.member("expires_in", issued.expiresIn)
                json.member("user", SessionUserView(user: user))
            })
    }

    private func redirect(to url: String) -> Response {
        Response(status: .found, headers: [.location: url])
    }
}
