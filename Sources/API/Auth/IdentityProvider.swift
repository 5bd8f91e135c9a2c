import Shared

/// Who somebody is according to an identity provider.
struct ExternalIdentity: Sendable, Equatable {
    /// The provider's stable id for the person.
    let subject: String
    let username: String
    let email: String
    let fullName: String?
    /// What the provider's groups make of them here; replaces what an earlier sign-in gave.
    let roles: [Role]
    /// Whether the provider vouches that the address is the person's. Only then may it say which user they are.
    let emailIsVerified: Bool
    /// Whether nobody at the provider can choose or change a name so that it becomes another person's.
    let usernameIsUnique: Bool
}

/// What operators see of a provider.
struct ProviderInformation: Sendable, Equatable {
    let issuer: String?
    let groupsClaim: String?
    /// `ok`, `stale` (the last copy is used), `unavailable`, or `none` where there is nothing to discover.
    let discoveryStatus: String
}

/// How people sign in: an authorization code flow, of which this API sees the two ends.
protocol IdentityProvider: Sendable {
    /// Stored with the user; together with the subject it identifies a person.
    var name: String { get }
    /// What clients are told: `mock` or `oauth`.
    var mode: String { get }
    /// Where the browser goes to sign in; it comes back to the callback with the attempt's state and a code. Throws
    /// `SignInFailure`.
    func authorizationURL(for attempt: SignInAttempt) async throws -> String
    /// Who the code stands for, in the sign-in that was begun so. Throws `SignInFailure`, or `APIError` 400.
    func identity(code: String, of begun: OAuthState) async throws -> ExternalIdentity
    /// Where the browser goes to end the provider's own session, and comes back to `origin`; nil where there is no such
    /// page.
    func logoutURL(returningTo origin: String?) async -> String?
    func information() async -> ProviderInformation
}

/// Three made-up people that anybody can sign in as. Exists only with `MOCK_AUTH=true`, never in production.
struct MockIdentityProvider: IdentityProvider {
    /// One of the people.
    struct Person: Sendable, JSONRepresentable {
        let id: String
        let username: String
        let email: String
        let fullName: String
        let roles: [Role]

        func write(to json: inout JSONWriter) {
            json.object { json in
                json.member("id", id)
                json.member("username", username)
                json.member("email", email)
                json.member("fullName", fullName)
                json.member("roles", roles.map(\.rawValue))
            }
        }
    }

    static let people = [
        Person(
            id: "admin-001", username: "admin", email: "admin@example.com", fullName: "System Administrator",
            roles: [.admin, .user]),
        Person(
            id: "user-001", username: "user", email: "user@example.com", fullName: "Test User",
            roles: [.user]),
        Person(
            id: "readonly-001", username: "readonly", email: "readonly@example.com",
            fullName: "Read Only User", roles: [.readonly]),
    ]

    /// Where this API is reached from outside, without a slash at the end.
    let publicURL: String

    var name: String { "mock" }
    var mode: String { "mock" }

    func authorizationURL(for attempt: SignInAttempt) async throws -> String {
        "\(publicURL)/api/auth/mock-login?state=\(PercentCoding.encode(attempt.state))"
    }

    func logoutURL(returningTo origin: String?) async -> String? { nil }

    func information() async -> ProviderInformation {
        ProviderInformation(issuer: nil, groupsClaim: nil, discoveryStatus: "none")
    }

    /// The code is the person's place in the list.
    func identity(code: String, of begun: OAuthState) async throws -> ExternalIdentity {
        guard let index = Int(code), Self.people.indices.contains(index) else {
            throw APIError.validation("code", .choice, "must be the number of a mock user (0 to 2)")
        }
        let person = Self.people[index]
        return ExternalIdentity(
            subject: person.id, username: person.username, email: person.email, fullName: person.fullName,
            roles: person.roles, emailIsVerified: true, usernameIsUnique: true)
    }
}
