import Foundation
import HTTPTypes
import Hummingbird
import Shared

/// A request by somebody who has signed in. Handlers of protected routes take this and cannot be written without.
struct AuthenticatedCall: Sendable {
    let call: Call
    let principal: Principal

    var request: Request { call.request }
    var context: APIContext { call.context }
}

/// One operation of the API, as data: what is registered, documented and tested is this list and nothing else.
///
/// There is no way to make one without saying who may use it.
struct Route: Sendable {
    let method: HTTPRequest.Method
    /// The path as OpenAPI writes it: `/api/v1/jobs/{id}`.
    let path: String
    let policy: AccessPolicy
    let respond: @Sendable (Call, Authenticator) async throws -> Response

    /// A route that anybody may use.
    static func open(
        _ method: HTTPRequest.Method, _ path: String, _ respond: @escaping @Sendable (Call) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .anyone) { call, _ in try await respond(call) }
    }

    /// A route that anybody may use and that shows more to who has signed in.
    static func openOrIdentified(
        _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (Call, Principal?) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .anyoneOrCaller) { call, authenticator in
            let principal = try await authenticator.principalIfAny(for: call.request.headers)
            call.context.record.userId = principal?.id
            return try await respond(call, principal)
        }
    }

    /// A route for everybody who has signed in.
    static func signedIn(
        _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (AuthenticatedCall) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .signedIn) { call, authenticator in
            try await respond(try await authenticated(call, by: authenticator))
        }
    }

    /// A route for people with a session; keys and service tokens are refused.
    static func session(
        _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (AuthenticatedCall, User, UUID) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .session) { call, authenticator in
            let call = try await authenticated(call, by: authenticator)
            guard case .session(let id) = call.principal.credential else {
                throw APIError(.forbidden, .forbidden, "This needs a session: sign in as a person.")
            }
            return try await respond(call, try call.principal.requireUser(), id)
        }
    }

    /// A route for those who hold the permission.
    static func permitted(
        _ permission: Permission, _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (AuthenticatedCall) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .permission(permission)) { call, authenticator in
            let call = try await authenticated(call, by: authenticator)
            do {
                try call.principal.require(permission)
            } catch {
                await authenticator.denials.note(call, lacking: permission)
                throw error
            }
            return try await respond(call)
        }
    }

    private static func authenticated(_ call: Call, by authenticator: Authenticator) async throws -> AuthenticatedCall {
        let principal = try await authenticator.principal(for: call.request.headers)
        call.context.record.userId = principal.id
        return AuthenticatedCall(call: call, principal: principal)
    }
}

/// A resource's part of the route table.
protocol RouteGroup: Sendable {
    var routes: [Route] { get }
}
