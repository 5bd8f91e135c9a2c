import Foundation
import Shared

/// Decides whether an ID token says, in the issuer's name and to this client, who has just signed in.
struct IDTokenValidator: Sendable {
    /// How far the provider's clock may be from ours, in seconds.
    private static let leeway: TimeInterval = 60
    private static let tokenLimit = 64 << 10

    let issuer: String
    let clientId: String
    let keys: ProviderDocument<[SigningKey]>
    let now: @Sendable () -> Date

    /// The claims. Throws `SignInFailure` with the one thing that is wrong.
    func claims(of token: String, nonce: String?) async throws -> JSONValue {
        let bytes = Array(token.utf8)
        guard bytes.count <= Self.tokenLimit else { throw SignInFailure.refused("id_token_malformed") }
        let header = try IDTokenHeader(token)
        let claims = try await signed(bytes, header)
        try check(claims, nonce: nonce)
        return claims
    }

    private func signed(_ token: [UInt8], _ header: IDTokenHeader) async throws -> JSONValue {
        let known = try await keys.content().filter { $0.fits(header) }
        if let claims = await claims(of: token, header, by: known) { return claims }
        // A key that was put in use since: providers publish it before they sign with it.
        let newer = try await keys.newerContent()?.filter { $0.fits(header) } ?? []
        if let claims = await claims(of: token, header, by: newer) { return claims }
        throw SignInFailure.refused(known.isEmpty && newer.isEmpty ? "id_token_unknown_key" : "id_token_signature")
    }

    private func claims(of token: [UInt8], _ header: IDTokenHeader, by keys: [SigningKey]) async -> JSONValue? {
        for key in keys {
            if let claims = await key.claims(of: token, header: header) { return claims }
        }
        return nil
    }

    private func check(_ claims: JSONValue, nonce: String?) throws(SignInFailure) {
        guard claims["iss"]?.stringValue == issuer else { throw .refused("id_token_issuer") }
        let audience = ProviderText.list(claims["aud"])
        guard audience.contains(clientId) else { throw .refused("id_token_audience") }
        let party = claims["azp"]
        guard party?.stringValue == clientId || (party == nil && audience.count == 1) else {
            throw .refused("id_token_party")
        }
        let time = now().timeIntervalSince1970
        guard let expiry = claims["exp"]?.doubleValue, time < expiry + Self.leeway else {
            throw .refused("id_token_expired")
        }
        guard let issued = claims["iat"]?.doubleValue, issued <= time + Self.leeway else {
            throw .refused("id_token_issued")
        }
        if let start = claims["nbf"], (start.doubleValue ?? .infinity) > time + Self.leeway {
            throw .refused("id_token_early")
        }
        guard let nonce, let repeated = claims["nonce"]?.stringValue, constantTimeEqual(nonce, repeated) else {
            throw .refused("id_token_nonce")
        }
        guard let subject = claims["sub"]?.stringValue, ProviderText.line(claims["sub"]) == subject else {
            throw .refused("id_token_subject")
        }
    }
}
