import Foundation
import HTTPTypes
import Shared

/// Finds out who is calling, from the `Authorization` header and the database.
///
/// The kind of credential is told by its form: `sk-…` is a key of LiteMaaS, `ltm_admin_…` a service token, anything
/// else a session token. None of them is trusted without its row.
struct Authenticator: Sendable {
    private static let keyMarker = "sk-"
    /// Longer ones are none of ours.
    private static let keyLimit = 256

    let tokens: SessionTokens
    let callers: CallerReader
    let use: CredentialUse
    let configured: ConfiguredServiceTokens
    let denials: DeniedAccess

    /// The caller. Throws `APIError` 401 when there is no credential, it is not valid, or the user is gone or
    /// deactivated.
    func principal(for headers: HTTPFields) async throws -> Principal {
        guard let credential = Self.bearer(in: headers) else {
            throw APIError.unauthorized(.unauthorized, "Sign in first: an Authorization header is missing.")
        }
        let principal =
            if credential.hasPrefix(ServiceTokenSecret.marker) {
                try await program(showing: credential)
            } else if credential.hasPrefix(Self.keyMarker) {
                try await holder(ofKey: credential)
            } else {
                try await person(showing: credential)
            }
        if let user = principal.user, !user.isActive {
            throw APIError.unauthorized(.unauthorized, "This user has been deactivated.")
        }
        use.note(principal.credential)
        return principal
    }

    /// The caller if the request shows a valid credential, else nil. Throws only when the database cannot answer.
    func principalIfAny(for headers: HTTPFields) async throws -> Principal? {
        guard headers[.authorization] != nil else { return nil }
        do {
            return try await principal(for: headers)
        } catch let error as APIError where error.status == .unauthorized {
            return nil
        }
    }

    private func person(showing token: String) async throws -> Principal {
        let claims = try await tokens.claims(of: token)
        guard let id = UUID(uuidString: claims.sid), let user = try await callers.user(ofSession: id) else {
            throw APIError.unauthorized(.invalidToken, "The session has ended; sign in again.")
        }
        return Principal(user: user, credential: .session(id: id))
    }

    private func holder(ofKey secret: String) async throws -> Principal {
        guard secret.utf8.count <= Self.keyLimit,
            let holder = try await callers.holder(ofKey: APIKeySecret.hash(of: Secret(secret)))
        else {
            throw APIError.unauthorized(.invalidToken, "The API key is unknown, revoked or expired.")
        }
        return Principal(user: holder.user, credential: .apiKey(id: holder.keyId))
    }

    private func program(showing token: String) async throws -> Principal {
        guard token.utf8.count <= Self.keyLimit else { throw Self.unknownServiceToken }
        let hash = sha256Hex(token)
        if let identity = configured.identity(hash: hash) { return Principal(service: identity) }
        guard let known = try await callers.serviceToken(hash: hash) else { throw Self.unknownServiceToken }
        return Principal(
            service: ServiceIdentity(
                id: known.id, name: known.name, permissions: Permission.named(by: known.scopes),
                creatorId: known.creatorId))
    }

    private static var unknownServiceToken: APIError {
        .unauthorized(.invalidToken, "The service token is unknown, revoked or expired.")
    }

    private static func bearer(in headers: HTTPFields) -> String? {
        guard let field = headers[.authorization] else { return nil }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        return token.isEmpty ? nil : String(token)
    }
}

/// The tokens of `ADMIN_API_KEYS`, by digest. They may do everything and are changed only with the configuration.
struct ConfiguredServiceTokens: Sendable {
    private let names: [String: String]

    init(_ tokens: [Secret]) {
        names = Dictionary(
            tokens.enumerated().map { (sha256Hex($1.reveal()), "admin-api-key-\($0 + 1)") },
            uniquingKeysWith: { first, _ in first })
    }

    /// Found by digest: a comparison that stops early tells nothing about the token.
    func identity(hash: String) -> ServiceIdentity? {
        names[hash].map { ServiceIdentity(id: nil, name: $0, permissions: Set(Permission.allCases)) }
    }
}
