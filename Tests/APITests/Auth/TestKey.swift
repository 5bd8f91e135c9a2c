import Crypto
import CryptoExtras
import Foundation
import JWTKit
import Shared
import Synchronization

@testable import API

/// A key made for a test, with the name under which it is published.
struct TestKey: Sendable {
    /// As the key set publishes it.
    let published: JSONValue
    let id: String
    /// The public key as text: what a forger would try as a shared secret.
    let publicText: String
    private let collection: JWTKeyCollection

    /// An elliptic one (ES256).
    init(elliptic id: String) async {
        let key = ES256PrivateKey()
        let parameters = key.parameters
        self.id = id
        published = [
            "kty": "EC", "crv": "P-256", "use": "sig", "kid": .string(id), "x": .string(parameters?.x ?? ""),
            "y": .string(parameters?.y ?? ""),
        ]
        publicText = key.publicKey.pemRepresentation
        collection = await JWTKeyCollection().add(ecdsa: key, kid: JWKIdentifier(string: id))
    }

    /// An RSA one (RS256).
    init(rsa id: String) async throws {
        let key = try Insecure.RSA.PrivateKey(backing: _RSA.Signing.PrivateKey(keySize: .bits2048))
        let primitives = try key.publicKey.getKeyPrimitives()
        self.id = id
        published = [
            "kty": "RSA", "alg": "RS256", "kid": .string(id), "n": .string(Self.base64URL(primitives.modulus)),
            "e": .string(Self.base64URL(primitives.publicExponent)),
        ]
        publicText = key.publicKey.pemRepresentation
        collection = await JWTKeyCollection().add(rsa: key, digestAlgorithm: .sha256, kid: JWKIdentifier(string: id))
    }

    /// A signed token.
    func token(_ claims: JSONValue) async throws -> String {
        try await collection.sign(TestClaims(json: claims), kid: JWKIdentifier(string: id))
    }

    /// A token with the same key name whose HMAC was made with the public key's text.
    func confusedToken(_ claims: JSONValue) async throws -> String {
        let keys = await JWTKeyCollection().add(
            hmac: HMACKey(from: publicText), digestAlgorithm: .sha256, kid: JWKIdentifier(string: id))
        return try await keys.sign(TestClaims(json: claims), kid: JWKIdentifier(string: id))
    }

    /// A token that nobody signed.
    func unsignedToken(_ claims: JSONValue) -> String {
        let header: JSONValue = ["alg": "none", "kid": .string(id)]
        return [header, claims].map { Self.base64URL(Data($0.encodedString().utf8)) }.joined(separator: ".") + "."
    }

    static func base64URL(_ data: Data) -> String {
        data.base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }
}

private struct TestClaims: JWTPayload {
    let json: JSONValue

    init(json: JSONValue) { self.json = json }
    init(from decoder: any Decoder) throws { json = try JSONValue(from: decoder) }
    func encode(to encoder: any Encoder) throws { try json.encode(to: encoder) }
    func verify(using algorithm: some JWTAlgorithm) throws {}
}
