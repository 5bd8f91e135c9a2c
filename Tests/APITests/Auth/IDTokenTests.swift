import Foundation
import Shared
import Synchronization
import TestSupport
import Testing

@testable import API

@Suite("ID tokens", .hangGuard)
struct IDTokenTests {
    /// A validator whose key set a test can change, and the clock of both.
    private final class Fixture: Sendable {
        let keys: Mutex<[TestKey]>
        let fetches = Mutex(0)
        let time = Mutex(Date(timeIntervalSince1970: 1_800_000_000))

        init(_ keys: [TestKey]) { self.keys = Mutex(keys) }

        func validator() -> IDTokenValidator {
            let now: @Sendable () -> Date = { self.time.withLock { $0 } }
            let document = ProviderDocument("keys", lifetime: 3600, now: now, logger: APIHarness.quiet) {
                self.fetches.withLock { $0 += 1 }
                return self.keys.withLock { $0.compactMap { SigningKey($0.published) } }
            }
            return IDTokenValidator(issuer: "https://sso.example/", clientId: "litemaas", keys: document, now: now)
        }
    }

    private static func claims(_ changes: [String: JSONValue] = [:]) -> JSONValue {
        let usual: [String: JSONValue] = [
            "iss": "https://sso.example/", "aud": "litemaas", "sub": "s", "nonce": "n", "iat": 1_800_000_000,
            "exp": 1_800_000_300,
        ]
        return .object(usual.merging(changes) { $1 }.filter { !$0.value.isNull })
    }

    private static func reason(_ validator: IDTokenValidator, _ token: String, nonce: String? = "n") async -> String {
        do {
            _ = try await validator.claims(of: token, nonce: nonce)
            return "accepted"
        } catch let failure as SignInFailure {
            return failure.reason
        } catch {
            return "\(error)"
        }
    }

    @Test("a token of the issuer, for this client, in time, with the nonce is accepted; ES256 and RS256")
    func accepted() async throws {
        let elliptic = await TestKey(elliptic: "e")
        let rsa = try await TestKey(rsa: "r")
        let validator = Fixture([elliptic, rsa]).validator()
        for key in [elliptic, rsa] {
            for changes: [String: JSONValue] in [
                [:], ["aud": ["litemaas"]], ["aud": ["litemaas", "other"], "azp": "litemaas"],
                ["exp": 1_799_999_941], ["iat": 1_800_000_060], ["exp": 1_800_000_300.5], ["nbf": 1_800_000_000],
            ] {
                let token = try await key.token(Self.claims(changes))
                let reason = await Self.reason(validator, token)
                #expect(reason == "accepted", "\(changes)")
            }
        }
    }

    @Test(
        "what a token must say, and does not",
        arguments: [
            (["exp": 1_799_999_940], "id_token_expired"), (["exp": nil], "id_token_expired"),
            (["exp": "1800000300"], "id_token_expired"),
            (["iat": 1_800_000_061], "id_token_issued"), (["iat": nil], "id_token_issued"),
            (["nbf": 1_800_000_061], "id_token_early"), (["nbf": "later"], "id_token_early"),
            (["aud": "other"], "id_token_audience"), (["aud": nil], "id_token_audience"),
            (["aud": []], "id_token_audience"), (["aud": ["litemaas", "other"]], "id_token_party"),
            (["aud": ["litemaas", "other"], "azp": "other"], "id_token_party"), (["azp": "other"], "id_token_party"),
            (["iss": "https://sso.example"], "id_token_issuer"), (["iss": "https://evil.example/"], "id_token_issuer"),
            (["iss": nil], "id_token_issuer"),
            (["nonce": "m"], "id_token_nonce"), (["nonce": nil], "id_token_nonce"), (["nonce": 1], "id_token_nonce"),
            (["sub": nil], "id_token_subject"), (["sub": ""], "id_token_subject"), (["sub": 7], "id_token_subject"),
        ] as [([String: JSONValue], String)])
    func refused(changes: [String: JSONValue], expected: String) async throws {
        let key = await TestKey(elliptic: "e")
        let token = try await key.token(Self.claims(changes))
        let reason = await Self.reason(Fixture([key]).validator(), token)
        #expect(reason == expected)
    }

    @Test("a sign-in without a nonce of its own accepts no token")
    func noNonce() async throws {
        let key = await TestKey(elliptic: "e")
        let token = try await key.token(Self.claims())
        #expect(await Self.reason(Fixture([key]).validator(), token, nonce: nil) == "id_token_nonce")
    }

    @Test("no signature, a shared secret made of the public key, another's signature and rubbish are refused")
    func forged() async throws {
        for key in [await TestKey(elliptic: "k"), try await TestKey(rsa: "k")] {
            let validator = Fixture([key]).validator()
            #expect(await Self.reason(validator, key.unsignedToken(Self.claims())) == "id_token_algorithm")
            let confused = try await key.confusedToken(Self.claims())
            #expect(await Self.reason(validator, confused) == "id_token_algorithm")
            let other = await TestKey(elliptic: "k")
            let stranger = await Self.reason(validator, try await other.token(Self.claims()))
            // Of another kind, the key of that name does not go with the algorithm at all.
            #expect(["id_token_signature", "id_token_unknown_key"].contains(stranger))
            let token = try await key.token(Self.claims())
            var parts = token.split(separator: ".").map(String.init)
            parts[1] = TestKey.base64URL(Data(Self.claims(["sub": "admin"]).encodedString().utf8))
            #expect(await Self.reason(validator, parts.joined(separator: ".")) == "id_token_signature")
            for rubbish in ["", "a.b", "a.b.c", "e30.e30.", "\(token).x", String(repeating: "a", count: 70_000)] {
                let reason = await Self.reason(validator, rubbish)
                #expect(reason.hasPrefix("id_token_"), "\(rubbish.prefix(20)): \(reason)")
            }
        }
    }

    @Test("a key that is not known is looked for, at most once a minute; then its tokens are accepted")
    func rotation() async throws {
        let old = await TestKey(elliptic: "old")
        let new = await TestKey(elliptic: "new")
        let fixture = Fixture([old])
        let validator = fixture.validator()
        let oldToken = try await old.token(Self.claims())
        #expect(await Self.reason(validator, oldToken) == "accepted")
        #expect(fixture.fetches.withLock { $0 } == 1)
        let newToken = try await new.token(Self.claims())
        for _ in 1...3 { #expect(await Self.reason(validator, newToken) == "id_token_unknown_key") }
        #expect(fixture.fetches.withLock { $0 } == 1, "the keys were fetched less than a minute ago")
        fixture.time.withLock { $0 += 61 }
        for _ in 1...3 { #expect(await Self.reason(validator, newToken) == "id_token_unknown_key") }
        #expect(fixture.fetches.withLock { $0 } == 2)
        fixture.keys.withLock { $0 = [new] }
        fixture.time.withLock { $0 += 61 }
        #expect(await Self.reason(validator, newToken) == "accepted")
        #expect(fixture.fetches.withLock { $0 } == 3)
        fixture.time.withLock { $0 += 61 }
        #expect(await Self.reason(validator, oldToken) == "id_token_unknown_key", "the old key was withdrawn")
    }

    @Test("without a key's name, the keys that go with the algorithm are tried")
    func unnamed() async throws {
        let keys = [await TestKey(elliptic: "a"), try await TestKey(rsa: "b")]
        let header: JSONValue = ["alg": "RS256"]
        let token = try await keys[1].token(Self.claims())
        let payload = token.split(separator: ".")[1]
        let forged = "\(TestKey.base64URL(Data(header.encodedString().utf8))).\(payload).AAAA"
        #expect(await Self.reason(Fixture(keys).validator(), forged) == "id_token_signature")
        #expect(await Self.reason(Fixture([keys[0]]).validator(), forged) == "id_token_unknown_key")
    }

    @Test("keys that are not for signatures, or of unknown kinds, are left out")
    func keys() async throws {
        let key = await TestKey(elliptic: "k").published.objectValue ?? [:]
        #expect(SigningKey(.object(key)) != nil)
        for changes: [String: JSONValue] in [
            ["use": "enc"], ["kty": "oct"], ["crv": "secp256k1"], ["alg": "ES384"], ["alg": "none"], ["alg": "HS256"],
        ] {
            #expect(SigningKey(.object(key.merging(changes) { $1 })) == nil, "\(changes)")
        }
        let rsa = try await TestKey(rsa: "r").published.objectValue ?? [:]
        #expect(SigningKey(.object(rsa.merging(["alg": "RSA-OAEP"]) { $1 })) == nil)
        #expect(SigningKey("text") == nil)
    }
}

@Suite("Documents of the provider", .hangGuard)
struct ProviderDocumentTests {
    @Test("a copy is used for its time, and beyond it when the provider cannot be asked, which is tried once a minute")
    func stale() async throws {
        let time = Mutex(Date(timeIntervalSince1970: 1_800_000_000))
        let outcome = Mutex<Result<Int, SignInFailure>>(.success(1))
        let fetches = Mutex(0)
        let document = ProviderDocument(
            "the document", lifetime: 100, now: { time.withLock { $0 } }, logger: APIHarness.quiet
        ) {
            fetches.withLock { $0 += 1 }
            return try outcome.withLock { try $0.get() }
        }
        #expect(await document.status == .missing)
        for _ in 1...3 { #expect(try await document.content() == 1) }
        #expect(fetches.withLock { $0 } == 1)
        #expect(await document.status == .fresh)
        outcome.withLock { $0 = .failure(.unavailable("down")) }
        time.withLock { $0 += 100 }
        for _ in 1...3 { #expect(try await document.content() == 1) }
        #expect(fetches.withLock { $0 } == 2)
        #expect(await document.status == .stale)
        outcome.withLock { $0 = .success(2) }
        #expect(try await document.content() == 1, "it was tried less than a minute ago")
        time.withLock { $0 += 60 }
        #expect(try await document.content() == 2)
        #expect(await document.status == .fresh)
    }

    @Test("without a copy the failure is told, and a little later tried again")
    func missing() async throws {
        let time = Mutex(Date(timeIntervalSince1970: 1_800_000_000))
        let fetches = Mutex(0)
        let document = ProviderDocument<Int>(
            "the document", lifetime: 100, now: { time.withLock { $0 } }, logger: APIHarness.quiet
        ) {
            fetches.withLock { $0 += 1 }
            throw SignInFailure.unavailable("down")
        }
        for _ in 1...3 { await #expect(throws: SignInFailure.self) { try await document.content() } }
        #expect(fetches.withLock { $0 } == 1)
        time.withLock { $0 += 5 }
        await #expect(throws: SignInFailure.self) { try await document.content() }
        #expect(fetches.withLock { $0 } == 2)
        #expect(await document.status == .missing)
    }
}
