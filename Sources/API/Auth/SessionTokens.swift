import Crypto
import Foundation
import JWTKit
import Shared
import Synchronization

/// The claims of a session token, as LiteMaaS clients read them. Roles in it are for display: what a caller may do
/// is read from the database.
struct SessionClaims: JWTPayload, Equatable {
    let userId: String
    let username: String
    let email: String
    let roles: [String]
    let iat: IssuedAtClaim
    let exp: ExpirationClaim
    let jti: IDClaim

    /// The token's own id.
    var tokenId: String { jti.value }

    /// The time is judged by the caller, which has a clock that a test can set.
    func verify(using algorithm: some JWTAlgorithm) throws {}
}

/// Signs session tokens (HS256) and checks them.
///
/// Checking costs two hashes and two JSON documents; a client sends the same token again and again, so the claims of
/// tokens whose signature was right are kept by the token's digest, in a bounded table. Expiry is judged every time.
final class SessionTokens: Sendable {
    /// The shortest secret that HS256 deserves.
    static let shortestSecret = 32

    private static let cacheLimit = 10_000
    /// A token of ours has a few hundred bytes.
    private static let tokenLimit = 8192

    private let keys: JWTKeyCollection
    private let cache = Mutex<[SHA256.Digest: SessionClaims]>([:])
    private let now: @Sendable () -> Date
    /// How long a token is good, in seconds.
    let lifetime: Int

    /// - Parameters:
    ///   - secret: at least 32 bytes; the settings have refused shorter ones.
    ///   - lifetime: seconds.
    ///   - now: the clock.
    init(secret: Secret, lifetime: Int, now: @escaping @Sendable () -> Date = { Date() }) async {
        keys = await JWTKeyCollection().add(
            hmac: HMACKey(from: secret.reveal()), digestAlgorithm: .sha256)
        self.lifetime = lifetime
        self.now = now
    }

    /// A token for the user, good for `lifetime` seconds from now.
    func issue(for user: User) async throws -> String {
        let time = now()
        return try await keys.sign(
            SessionClaims(
                userId: user.id.text, username: user.username, email: user.email, roles: user.roles.map(\.rawValue),
                iat: IssuedAtClaim(value: time),
                exp: ExpirationClaim(value: time.addingTimeInterval(TimeInterval(lifetime))),
                jti: IDClaim(value: UUID().uuidString.lowercased())))
    }

    /// The claims of a token that we signed and that has not expired. Throws `APIError` 401.
    func claims(of token: String) async throws -> SessionClaims {
        let bytes = Array(token.utf8)
        guard bytes.count <= Self.tokenLimit else { throw Self.invalid }
        let digest = SHA256.hash(data: bytes)
        if let claims = cache.withLock({ $0[digest] }) {
            return try unexpired(claims)
        }
        let claims: SessionClaims
        do {
            claims = try await keys.verify(bytes, as: SessionClaims.self)
        } catch is JWTError {
            throw Self.invalid
        } catch is DecodingError {
            throw Self.invalid
        }
        _ = try unexpired(claims)
        cache.withLock { cache in
            // Dropping everything is rare, cheap and needs no order of use: the next requests fill it again.
            if cache.count >= Self.cacheLimit { cache.removeAll(keepingCapacity: true) }
            cache[digest] = claims
        }
        return claims
    }

    private func unexpired(_ claims: SessionClaims) throws(APIError) -> SessionClaims {
        guard claims.exp.value > now() else {
            throw APIError.unauthorized(.tokenExpired, "The session has expired; sign in again.")
        }
        return claims
    }

    private static var invalid: APIError {
        APIError.unauthorized(.invalidToken, "The token is not valid; sign in again.")
    }
}
