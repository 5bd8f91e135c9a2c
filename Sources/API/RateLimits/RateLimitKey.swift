import Foundation
import HTTPTypes
import Shared

/// Whose requests are counted together, and against which limit.
enum RateLimitClass: String, Sendable, CaseIterable {
    /// An address whose callers have not signed in, or not validly.
    case anonymous
    case authenticated
    case apiKey = "api_key"
    /// Administrators and service tokens.
    case admin
    /// Signing in, by address.
    case login
    /// Secrets of keys, by caller.
    case reveal

    /// Requests a minute; 0 for no limit.
    func limit(in settings: RateLimitSettings) -> Int {
        switch self {
        case .anonymous: settings.anonymous
        case .authenticated: settings.authenticated
        case .apiKey: settings.apiKey
        case .admin: settings.admin
        case .login: settings.login
        case .reveal: settings.reveal
        }
    }
}

/// What is counted.
struct RateLimitKey: Sendable, Hashable {
    enum Subject: Sendable, Hashable {
        case address(IPNetwork?)
        case user(UUID)
        case apiKey(UUID)
        case service(String)
    }

    let rateClass: RateLimitClass
    let subject: Subject

    /// The caller's own key: who they are, or where they come from.
    init(_ principal: Principal?, address: IPNetwork?) {
        switch (principal?.credential, principal?.subject) {
        case (.apiKey(let id), _):
            rateClass = .apiKey
            subject = .apiKey(id)
        case (_, .user(let user)):
            rateClass = user.roles.contains(.admin) || user.roles.contains(.adminReadonly) ? .admin : .authenticated
            subject = .user(user.id)
        case (_, .service(let service)):
            rateClass = .admin
            subject = .service(service.id?.text ?? service.name)
        case (_, nil):
            rateClass = .anonymous
            subject = .address(address)
        }
    }

    init(_ rateClass: RateLimitClass, _ subject: Subject) {
        self.rateClass = rateClass
        self.subject = subject
    }

    /// As the table names it, such as `g:192.0.2.1`.
    var text: String {
        let subject =
            switch subject {
            // The peer of a connection that is no socket has no address.
            case .address(let address): address?.description ?? "unknown"
            case .user(let id), .apiKey(let id): id.text
            case .service(let name): name
            }
        return "\(prefix):\(subject)"
    }

    private var prefix: String {
        switch (rateClass, subject) {
        case (.anonymous, _): "g"
        case (.authenticated, _): "u"
        case (.apiKey, _): "k"
        case (.admin, .service): "s"
        case (.admin, _): "a"
        case (.login, _): "l"
        case (.reveal, _): "r"
        }
    }
}

/// How the requests to a route are counted.
enum RouteLimit: Sendable, Equatable {
    /// What monitors, proxies and front ends ask for, whoever they are.
    case exempt
    /// By address, with few to a minute.
    case login
    /// By caller, with few to a minute.
    case reveal
    /// On the caller's own limit.
    case caller

    static let exemptPaths: Set<String> = [
        "/api/v1/health", "/api/v1/health/live", "/api/v1/health/ready", "/metrics", "/api/v1/config",
        "/api/v1/openapi.json", "/docs", "/docs/openapi.json", "/docs/assets/{name}", "/api/docs",
    ]
    static let loginRoutes: Set<String> = [
        "POST /api/auth/login", "GET /api/auth/callback", "POST /api/auth/refresh", "POST /api/auth/dev-token",
    ]
    static let revealRoutes: Set<String> = [
        "POST /api/v1/api-keys/{id}/reveal", "POST /api/v1/api-keys/{id}/retrieve-key",
        "GET /api/v1/admin/bulk/keys/{id}/results",
    ]

    init(_ method: HTTPRequest.Method, _ path: String) {
        let name = "\(method.rawValue) \(path)"
        if Self.exemptPaths.contains(path) {
            self = .exempt
        } else if Self.loginRoutes.contains(name) {
            self = .login
        } else if Self.revealRoutes.contains(name) {
            self = .reveal
        } else {
            self = .caller
        }
    }

    /// What a request to such a route is counted on; nil when it is not.
    func key(_ principal: Principal?, address: IPNetwork?) -> RateLimitKey? {
        let own = RateLimitKey(principal, address: address)
        switch self {
        case .exempt: return nil
        case .login: return RateLimitKey(.login, .address(address))
        // Who did not prove who they are is counted as everybody at their address.
        case .reveal: return principal == nil ? own : RateLimitKey(.reveal, own.subject)
        case .caller: return own
        }
    }
}
