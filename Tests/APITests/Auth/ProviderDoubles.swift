import Foundation
import Shared
import Synchronization

@testable import API

/// What stands in for a provider: answers by path, as its state says, and remembers what was asked.
protocol ProviderDouble: HTTPTransport {
    /// The parameters of the URL that the browser was sent to.
    func follow(_ url: String)
}

/// An OpenID provider in memory. It trades any code in for an ID token about the person in its state.
final class OIDCDouble: ProviderDouble {
    static let issuer = "https://sso.example"

    struct State: Sendable {
        var metadata: [String: JSONValue] = [
            "issuer": .string(OIDCDouble.issuer), "authorization_endpoint": "https://sso.example/authorize?tenant=1",
            "token_endpoint": "https://sso.example/token", "jwks_uri": "https://sso.example/keys",
            "userinfo_endpoint": "https://sso.example/userinfo",
            "end_session_endpoint": "https://sso.example/logout",
        ]
        var published: [JSONValue]
        var key: TestKey
        /// Of the ID token; what is missing is added, what is null is left out.
        var claims: [String: JSONValue] = [
            "sub": "sub-1", "preferred_username": "erika", "email": "erika@example.com", "email_verified": true,
            "name": "Erika Example", "groups": ["litemaas-users"],
        ]
        var userInfo: JSONValue = ["sub": "sub-1"]
        /// What paths answer instead.
        var answers: [String: HTTPClientResponse] = [:]
        /// Paths that cannot be reached.
        var unreachable: Set<String> = []
        var authorization: [String: String] = [:]
        var requests: [HTTPClientRequest] = []

        /// Requests for a path so far.
        func count(_ path: String) -> Int { requests.count { $0.path == path } }
    }

    let state: Mutex<State>

    init() async {
        let key = await TestKey(elliptic: "k1")
        state = Mutex(State(published: [key.published], key: key))
    }

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    func follow(_ url: String) {
        state.withLock { $0.authorization = HTTPClientRequest(url: url).query }
    }

    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        let state = state.withLock { state in
            state.requests.append(request)
            return state
        }
        if state.unreachable.contains(request.path) {
            throw HTTPTransportError(
                .connect(refused: true), requestMayHaveReachedServer: false, message: "nothing listens there")
        }
        if let answer = state.answers[request.path] { return answer }
        switch request.path {
        case "/.well-known/openid-configuration": return .json(200, JSONValue.object(state.metadata).encodedString())
        case "/keys": return .json(200, (["keys": .array(state.published)] as JSONValue).encodedString())
        case "/userinfo": return .json(200, state.userInfo.encodedString())
        case "/token":
            let time = Date().timeIntervalSince1970.rounded()
            let claims: [String: JSONValue] = [
                "iss": .string(Self.issuer), "aud": "litemaas", "iat": .double(time), "exp": .double(time + 300),
                "nonce": .string(state.authorization["nonce"] ?? ""),
            ].merging(state.claims) { $1 }.filter { !$0.value.isNull }
            let token = try await state.key.token(.object(claims))
            let tokens: JSONValue = ["access_token": "at", "token_type": "Bearer", "id_token": .string(token)]
            return .json(200, tokens.encodedString())
        default: return .json(404, "{}")
        }
    }
}

/// OpenShift's OAuth server and the user of its API, in memory.
final class OpenShiftDouble: ProviderDouble {
    struct State: Sendable {
        var discovery = HTTPClientResponse.json(
            200,
            """
            {"issuer": "https://oauth-openshift.apps.c1.example.com",
             "authorization_endpoint": "https://oauth-openshift.apps.c1.example.com/oauth/authorize",
             "token_endpoint": "https://oauth-openshift.apps.c1.example.com/oauth/token"}
            """)
        var user: JSONValue = [
            "kind": "User", "metadata": ["name": "erika", "uid": "u-1"], "fullName": "Erika Example",
            "groups": ["litemaas-admins", "others"],
        ]
        var userStatus = 200
        var authorization: [String: String] = [:]
        var requests: [HTTPClientRequest] = []
    }

    let state = Mutex(State())

    func change(_ body: (inout State) -> Void) { state.withLock { body(&$0) } }

    func follow(_ url: String) {
        state.withLock { $0.authorization = HTTPClientRequest(url: url).query }
    }

    func send(_ request: HTTPClientRequest) async throws -> HTTPClientResponse {
        state.withLock { state in
            state.requests.append(request)
            switch request.path {
            case "/.well-known/oauth-authorization-server": return state.discovery
            case "/oauth/token": return .json(200, #"{"access_token": "sha256~token", "token_type": "Bearer"}"#)
            case "/apis/user.openshift.io/v1/users/~": return .json(state.userStatus, state.user.encodedString())
            default: return .json(404, "{}")
            }
        }
    }
}
