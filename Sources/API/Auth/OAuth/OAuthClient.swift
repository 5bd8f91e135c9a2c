import Crypto
import Foundation
import Shared

/// What the two OAuth providers have in common: this client's settings, the authorization request, and what groups
/// mean here.
struct OAuthClient: Sendable {
    let id: String
    let secret: Secret
    let callbackURL: String
    let scopes: String
    let requiresHTTPS: Bool
    private let rolesOfGroups: [String: Set<Role>]

    init(_ settings: OAuthConfiguration) {
        id = settings.clientId
        secret = settings.clientSecret
        callbackURL = settings.callbackURL
        scopes = settings.scopes
        requiresHTTPS = settings.requiresHTTPS
        rolesOfGroups = settings.groupRoles.reduce(into: [:]) { roles, entry in
            if let role = Role(spelling: entry.role) { roles[entry.group, default: []].insert(role) }
        }
    }

    /// The roles of somebody in these groups; empty when none of them means anything here.
    func roles(of groups: [String]) -> [Role] {
        var roles = groups.reduce(into: Set<Role>()) { $0.formUnion(rolesOfGroups[$1] ?? []) }
        if roles.contains(.admin) || roles.contains(.adminReadonly) { roles.insert(.user) }
        return Role.allCases.filter(roles.contains)
    }

    /// Where the browser goes. The challenge binds the code to whoever holds the verifier.
    func authorizationURL(_ endpoint: String, attempt: SignInAttempt, further: [(String, String)] = []) -> String {
        let query =
            [
                ("response_type", "code"), ("client_id", id), ("redirect_uri", callbackURL), ("scope", scopes),
                ("state", attempt.state), ("code_challenge", attempt.challenge), ("code_challenge_method", "S256"),
            ] + further
        return endpoint + (endpoint.contains("?") ? "&" : "?") + ProviderHTTP.encoded(query)
    }

    /// The form that trades a code for tokens.
    func exchange(code: String, verifier: String) -> [(String, String)] {
        [
            ("grant_type", "authorization_code"), ("code", code), ("redirect_uri", callbackURL),
            ("code_verifier", verifier),
        ]
    }

    /// The client's id and secret as members of a form.
    var credentialsInForm: [(String, String)] { [("client_id", id), ("client_secret", secret.reveal())] }

    /// The same as a header, encoded as RFC 6749 (2.3.1) has it.
    var credentialsInHeader: Secret {
        let pair = "\(PercentCoding.encode(id)):\(PercentCoding.encode(secret.reveal()))"
        return Secret("Basic \(Data(pair.utf8).base64EncodedString())")
    }

    /// The tokens of an answer to an exchange. Throws `SignInFailure`: the code was not taken, or nothing answers.
    static func checked(_ answer: ProviderHTTP.Answer) throws(SignInFailure) -> JSONValue {
        if answer.isSuccess, answer.json.objectValue != nil { return answer.json }
        let word = SignInFailure.word(answer.json["error"]?.stringValue)
        guard (400...499).contains(answer.status) else {
            throw .unavailable("exchange_failed", detail: "the token endpoint answered \(answer.status)")
        }
        // A wrong client secret is the operator's to mend, and looks like a bad code to the person.
        throw .refused("exchange_\(word)", detail: "the token endpoint answered \(answer.status) \(word)")
    }

    /// An endpoint that a discovery document names: absolute, and https where that is required.
    func endpoint(_ url: String?, _ name: String) throws(SignInFailure) -> String {
        guard let url, let parts = URLComponents(string: url), let scheme = parts.scheme?.lowercased(),
            parts.host?.isEmpty == false, parts.user == nil, parts.password == nil, parts.fragment == nil,
            scheme == "https" || (scheme == "http" && !requiresHTTPS)
        else {
            throw .unavailable(
                "discovery_invalid",
                detail: "\(name) of the discovery document is missing or no \(requiresHTTPS ? "https " : "")URL")
        }
        return url
    }
}

/// The secrets of one sign-in, from its begin to its callback.
struct SignInAttempt: Sendable {
    private static let byteCount = 32

    /// Goes through the browser and comes back.
    let state: String
    /// Shown only when the code is traded in; the browser sees its hash.
    let verifier: String
    /// What the ID token has to repeat.
    let nonce: String

    /// A new one, from the system's random bytes.
    static func begin() -> SignInAttempt {
        SignInAttempt(state: hexString(random()), verifier: base64URL(random()), nonce: hexString(random()))
    }

    /// S256 of the verifier (RFC 7636).
    var challenge: String { Self.base64URL(Array(SHA256.hash(data: Data(verifier.utf8)))) }

    private static func random() -> [UInt8] {
        var random = SystemRandomNumberGenerator()
        return (0..<byteCount).map { _ in UInt8.random(in: .min ... .max, using: &random) }
    }

    private static func base64URL(_ bytes: [UInt8]) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

/// Texts of a provider that rows are made of.
enum ProviderText {
    private static let longest = 255

    /// The text if it can be stored and shown: not empty, not too long, without control characters.
    static func line(_ value: JSONValue?) -> String? {
        guard let text = value?.stringValue?.trimmingCharacters(in: .whitespaces), (1...longest).contains(text.count),
            !text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control })
        else { return nil }
        return text
    }

    /// The text if it has the form of an e-mail address.
    static func address(_ value: JSONValue?) -> String? {
        guard let text = line(value) else { return nil }
        let parts = text.split(separator: "@", omittingEmptySubsequences: false)
        return parts.count == 2 && parts.allSatisfy { !$0.isEmpty } && !text.contains(where: \.isWhitespace)
            ? text : nil
    }

    /// An array of texts, or one text.
    static func list(_ value: JSONValue?) -> [String] {
        value?.stringValue.map { [$0] } ?? value?.arrayValue?.compactMap(\.stringValue) ?? []
    }
}
