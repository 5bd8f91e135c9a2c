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
    /// The session's row, which decides whether the token still counts.
    let sid: String
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
    /// Names the key that signs.
    private let keyId: JWKIdentifier
    private let cache = Mutex<[SHA256.Digest: SessionClaims]>([:])
    private let now: @Sendable () -> Date
    /// How long a token is good, in seconds.
    let lifetime: Int

    /// - Parameters:
    ///   - secret: signs and is accepted; at least 32 bytes, the settings have refused shorter ones.
    ///   - previous: is accepted too, so that a change of the secret signs nobody out.
    ///   - lifetime: seconds.
    ///   - now: the clock.
    init(
        secret: Secret, previous: Secret? = nil, lifetime: Int, now: @escaping @Sendable () -> Date = { Date() }
    ) async {
        let keys = JWTKeyCollection()
        for accepted in [previous, secret].compactMap({ $0 }) {
            await keys.add(
                hmac: HMACKey(from: accepted.reveal()), digestAlgorithm: .sha256, kid: Self.keyId(of: accepted))
        }
        self.keys = keys
        keyId = Self.keyId(of: secret)
        self.lifetime = lifetime
        self.now = now
    }

    /// A name that tells keys apart and nothing about them.
    private static func keyId(of secret: Secret) -> JWKIdentifier {
        JWKIdentifier(string: String(sha256Hex("litemaas-jwt-kid:" + secret.reveal()).prefix(16)))
    }

    /// A token for the user, good for `lifetime` seconds from now, or until the session ends if that is sooner.
    func issue(for user: User, session: Session) async throws -> String {
        let time = now()
        let end = min(time.addingTimeInterval(TimeInterval(lifetime)), session.expiresAt)
        return try await keys.sign(
            SessionClaims(
                userId: user.id.text, username: user.username, email: user.email, roles: user.roles.map(\.rawValue),
                sid: session.id.text, iat: IssuedAtClaim(value: time), exp: ExpirationClaim(value: end),
                jti: IDClaim(value: UUID().uuidString.lowercased())),
            kid: keyId)
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
