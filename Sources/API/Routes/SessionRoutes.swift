import Foundation
import HTTPTypes
import Hummingbird
import Shared

/// A person's sessions: who they are, refreshing, listing and ending them.
struct SessionRoutes: RouteGroup {
    let sessions: Sessions
    let authenticator: Authenticator
    let provider: any IdentityProvider
    let settings: APISettings

    var routes: [Route] {
        [
            .open(.post, "/api/auth/validate", validate),
            .open(.post, "/api/auth/refresh", refresh),
            .session(.post, "/api/auth/logout", logout),
            .session(.get, "/api/auth/sessions", list),
            .session(.delete, "/api/auth/sessions", endAll),
            .session(.delete, "/api/auth/sessions/{sessionId}", end),
            .permitted(.usersWrite, .delete, "/api/v1/admin/users/{id}/sessions", endAllOfUser),
            .signedIn(.get, "/api/v1/auth/me", me),
            .signedIn(.get, "/api/v1/auth/profile", profile),
        ]
    }

    // MARK: Tokens

    private func validate(_ call: Call) async throws -> Response {
        var fields = try await call.body().fields
        let token = fields.requiredString("token", length: 1...8192)
        try fields.check()
        do {
            let principal = try await authenticator.principal(for: [.authorization: "Bearer \(token)"])
            return .json(
                Members { json in
                    json.member("valid", true)
                    if let user = principal.user { json.member("user", SessionUserView(user: user)) }
                })
        } catch let error as APIError where error.status == .unauthorized {
            return .json(
                Members { json in
                    json.member("valid", false)
                    json.member("error", error.message)
                }, status: .unauthorized)
        }
    }

    private func refresh(_ call: Call) async throws -> Response {
        var fields = try await call.body().fields
        let token = fields.requiredString("refreshToken", length: 1...256)
        let sessionId = fields.uuid("sessionId")
        try fields.check()
        let issued = try await sessions.refresh(Secret(token), sessionId: sessionId, from: call)
        return .json(
            Members { json in
                json.member("accessToken", issued.accessToken)
                json.member("refreshToken", issued.refreshToken?.reveal())
                json.member("expiresIn", issued.expiresIn)
                json.member("sessionId", issued.session.id)
            })
    }

    // MARK: Ending

    private func logout(_ call: AuthenticatedCall, _ user: User, _ id: UUID) async throws -> Response {
        _ = try await sessions.end(id, of: user.id, action: "LOGOUT", by: call.actor)
        let origin = call.request.headers[.origin].flatMap { settings.frontendOrigins.contains($0) ? $0 : nil }
        let url = await provider.logoutURL(returningTo: origin ?? settings.frontendOrigins.first)
        return .json(
            Members { json in
                json.member("message", "Logged out successfully")
                if let url { json.member("logoutUrl", url) } else { json.nullMember("logoutUrl") }
            })
    }

    private func list(_ call: AuthenticatedCall, _ user: User, _ id: UUID) async throws -> Response {
        let live = try await sessions.live(of: user)
        return .json(Elements(elements: live.map { SessionView(session: $0, isCurrent: $0.id == id) }))
    }

    private func end(_ call: AuthenticatedCall, _ user: User, _ id: UUID) async throws -> Response {
        let other = try call.call.uuid("sessionId")
        guard try await sessions.end(other, of: user.id, action: "SESSION_REVOKED", by: call.actor) > 0 else {
            throw APIError.notFound("session", id: other.text)
        }
        return .json(Members { $0.member("message", "The session has ended.") })
    }

    private func endAll(_ call: AuthenticatedCall, _ user: User, _ id: UUID) async throws -> Response {
        let count = try await sessions.end(nil, of: user.id, action: "SESSIONS_REVOKED", by: call.actor)
        return ended(count)
    }

    private func endAllOfUser(_ call: AuthenticatedCall) async throws -> Response {
        let id = try call.call.uuid("id")
        guard id != User.systemId, try await sessions.knows(id) else { throw APIError.notFound("user", id: id.text) }
        return ended(try await sessions.end(nil, of: id, action: "SESSIONS_REVOKED", by: call.actor))
    }

    private func ended(_ count: Int) -> Response {
        .json(
            Members { json in
                json.member("message", "All sessions have ended.")
                json.member("invalidatedSessions", count)
            })
    }

    // MARK: The caller

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
}

/// A sign-in as its owner sees it.
private struct SessionView: JSONRepresentable {
    let session: Session
    let isCurrent: Bool

    func write(to json: inout JSONWriter) {
        json.object { json in
            json.member("sessionId", session.id)
            json.member("provider", session.provider)
            json.member("ipAddress", session.ipAddress)
            json.member("userAgent", session.userAgent)
            json.member("createdAt", session.createdAt)
            json.member("lastActivityAt", session.lastSeenAt)
            json.member("expiresAt", session.expiresAt)
            json.member("isCurrent", isCurrent)
        }
    }
}

/// The user of a session, as the token's claims name them.
struct SessionUserView: JSONRepresentable {
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
