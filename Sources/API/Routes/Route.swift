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
    /// How requests are counted.
    let limit: RouteLimit
    /// Answers a caller who meets the policy as far as it can be judged without the route.
    private let respond: @Sendable (Call, Principal?) async throws -> Response

    private init(
        method: HTTPRequest.Method, path: String, policy: AccessPolicy,
        respond: @escaping @Sendable (Call, Principal?) async throws -> Response
    ) {
        self.method = method
        self.path = path
        self.policy = policy
        self.respond = respond
        limit = RouteLimit(method, path)
    }

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
        Route(method: method, path: path, policy: .anyoneOrCaller, respond: respond)
    }

    /// A route for everybody who has signed in.
    static func signedIn(
        _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (AuthenticatedCall) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .signedIn) { call, principal in
            try await respond(try AuthenticatedCall(call, principal))
        }
    }

    /// A route for people with a session; keys and service tokens are refused.
    static func session(
        _ method: HTTPRequest.Method, _ path: String,
        _ respond: @escaping @Sendable (AuthenticatedCall, User, UUID) async throws -> Response
    ) -> Route {
        Route(method: method, path: path, policy: .session) { call, principal in
            let call = try AuthenticatedCall(call, principal)
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
        Route(method: method, path: path, policy: .permission(permission)) { call, principal in
            let call = try AuthenticatedCall(call, principal)
            try call.principal.require(permission)
            return try await respond(call)
        }
    }

    /// Finds out who is calling, counts the request, and answers it. A refused credential counts on the address that
    /// it comes from, so that guessing ends in 429.
    func answer(_ call: Call, by authenticator: Authenticator, _ limits: RequestLimits) async throws -> Response {
        let principal: Principal?
        do {
            principal = try await caller(call, by: authenticator)
        } catch let error as APIError where error.status == .unauthorized {
            try await limits.admit(call, nil, to: limit)
            throw error
        }
        call.context.record.userId = principal?.id
        try await limits.admit(call, principal, to: limit)
        do {
            return try await respond(call, principal)
        } catch let error as APIError where error.code == .insufficientPermissions {
            if let principal, case .permission(let permission) = policy {
                await authenticator.denials.note(
                    AuthenticatedCall(call: call, principal: principal), lacking: permission)
            }
            throw error
        }
    }

    private func caller(_ call: Call, by authenticator: Authenticator) async throws -> Principal? {
        switch policy {
        case .anyone: nil
        case .anyoneOrCaller: try await authenticator.principalIfAny(for: call.request.headers)
        case .signedIn, .session, .permission: try await authenticator.principal(for: call.request.headers)
        }
    }
}

extension AuthenticatedCall {
    /// Throws 401 when nobody has signed in.
    fileprivate init(_ call: Call, _ principal: Principal?) throws(APIError) {
        guard let principal else { throw .unauthorized(.unauthorized, "Sign in first.") }
        self.init(call: call, principal: principal)
    }
}

/// A resource's part of the route table.
protocol RouteGroup: Sendable {
    var routes: [Route] { get }
}
