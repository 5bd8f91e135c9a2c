import Foundation
import HTTPTypes
import Shared

/// Finds out who is calling, from the `Authorization` header and the database.
///
/// The kind of credential is told by its form, so that other kinds (keys of users, tokens of services) are one more
/// case here and nothing elsewhere.
struct Authenticator: Sendable {
    let tokens: SessionTokens
    let users: UserReader

    /// The caller. Throws `APIError` 401 when there is no credential, it is not valid, or the user is gone or
    /// deactivated.
    func principal(for headers: HTTPFields) async throws -> Principal {
        guard let credential = Self.bearer(in: headers) else {
            throw APIError.unauthorized(.unauthorized, "Sign in first: an Authorization header is missing.")
        }
        let claims = try await tokens.claims(of: credential)
        guard let id = UUID(uuidString: claims.userId), let user = try await users.user(id: id) else {
            throw APIError.unauthorized(.invalidToken, "The user of this session no longer exists.")
        }
        guard user.isActive else {
            throw APIError.unauthorized(.unauthorized, "This user has been deactivated.")
        }
        return Principal(user: user, credential: .session(id: UUID(uuidString: claims.tokenId) ?? UUID()))
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

    private static func bearer(in headers: HTTPFields) -> String? {
        guard let field = headers[.authorization] else { return nil }
        let parts = field.split(separator: " ", maxSplits: 1)
        guard parts.count == 2, parts[0].lowercased() == "bearer" else { return nil }
        let token = parts[1].drop { $0 == " " }
        return token.isEmpty ? nil : String(token)
    }
}
