import Foundation
import JWTKit
import Shared

/// One public key of the provider.
struct SigningKey: Sendable {
    /// Algorithms that a public key can check. Never `none`, and none with a shared secret: a public key must not be
    /// taken for one.
    static let algorithms: Set<String> = [
        "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA",
    ]

    let id: String?
    /// The algorithms that go with the key.
    private let algorithms: Set<String>
    private let jwk: JWK

    /// Nil for keys that are not for signatures or of a kind that is not known here.
    init?(_ json: JSONValue) {
        guard json["use"].map({ $0 == "sig" }) ?? true else { return nil }
        id = json["kid"]?.stringValue
        let curve = json["crv"]?.stringValue ?? ""
        let x = json["x"]?.stringValue
        let fitting: Set<String>
        switch json["kty"]?.stringValue {
        case "RSA":
            fitting = Self.algorithms.filter { $0.hasPrefix("RS") || $0.hasPrefix("PS") }
            jwk = .rsa(nil, identifier: nil, modulus: json["n"]?.stringValue, exponent: json["e"]?.stringValue)
        case "EC":
            guard let algorithm = ["P-256": "ES256", "P-384": "ES384", "P-521": "ES512"][curve] else { return nil }
            fitting = [algorithm]
            jwk = .ecdsa(
                nil, identifier: nil, x: x, y: json["y"]?.stringValue, curve: ECDSACurve(rawValue: curve))
        case "OKP":
            guard curve == "Ed25519" else { return nil }
            fitting = ["EdDSA"]
            jwk = .octetKeyPair(nil, identifier: nil, x: x, y: nil, curve: .ed25519)
        default: return nil
        }
        let named = json["alg"]?.stringValue
        algorithms = named.map { fitting.intersection([$0]) } ?? fitting
        guard !algorithms.isEmpty else { return nil }
    }

    func fits(_ header: IDTokenHeader) -> Bool {
        algorithms.contains(header.algorithm) && (header.keyId == nil || header.keyId == id)
    }

    /// The claims if the key made the signature, else nil.
    func claims(of token: [UInt8], header: IDTokenHeader) async -> JSONValue? {
        var jwk = jwk
        jwk.algorithm = JWK.Algorithm(rawValue: header.algorithm)
        jwk.keyIdentifier = JWKIdentifier(string: header.keyId ?? "only")
        do {
            // A collection of this one key, bound to the one algorithm: nothing in the token can choose another.
            return try await JWTKeyCollection().add(jwk: jwk).verify(token, as: SignedClaims.self).json
        } catch {
            // Whatever is wrong with key or token, it is not proved.
            return nil
        }
    }
}

/// The payload of a token whose signature was right. What it says is judged by `IDTokenValidator`.
private struct SignedClaims: JWTPayload {
    let json: JSONValue

    init(from decoder: any Decoder) throws { json = try JSONValue(from: decoder) }
    func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }
    func verify(using algorithm: some JWTAlgorithm) throws {}
}

/// The header of a token, before anything is known of its truth.
struct IDTokenHeader: Sendable {
    let algorithm: String
    let keyId: String?

    /// Throws `SignInFailure` for anything that cannot be checked here.
    init(_ token: String) throws(SignInFailure) {
        let parts = token.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 3, let bytes = Self.decoded(parts[0]) else { throw .refused("id_token_malformed") }
        let json: JSONValue
        do {
            json = try JSONParser.parse(bytes)
        } catch {
            throw .refused("id_token_malformed")
        }
        guard let algorithm = json["alg"]?.stringValue, SigningKey.algorithms.contains(algorithm) else {
            throw .refused("id_token_algorithm", detail: "the ID token is not signed in a way that is accepted")
        }
        // Extensions that the signer says must be understood.
        guard json["crit"] == nil else { throw .refused("id_token_extension") }
        self.algorithm = algorithm
        keyId = json["kid"]?.stringValue
    }

    private static func decoded(_ part: Substring) -> [UInt8]? {
        var base64 = part.replacing("-", with: "+").replacing("_", with: "/")
        while base64.count % 4 != 0 { base64.append("=") }
        return Data(base64Encoded: String(base64)).map(Array.init)
    }
}
