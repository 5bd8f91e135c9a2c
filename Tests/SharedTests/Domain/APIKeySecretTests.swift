import Foundation
import Shared
import Testing

struct APIKeySecretTests {
    @Test func mintsWhatLiteLLMAccepts() {
        let minted = APIKeySecret.mint()
        let text = minted.secret.reveal()
        #expect(text.wholeMatch(of: /sk-[A-Za-z0-9_-]{43}/) != nil)
        #expect(minted.prefix == String(text.prefix(7)))
        #expect(minted.hash == sha256Hex(text))
    }

    @Test func neverMintsTheSameTwice() {
        let hashes = Set((0..<1000).map { _ in APIKeySecret.mint().hash })
        #expect(hashes.count == 1000)
    }

    @Test func hashesLikeLiteLLM() {
        #expect(
            APIKeySecret.hash(of: Secret("abc"))
                == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    }

    @Test(arguments: [
        ("My key", "My-key"), ("Ü/ß: prod.key_1", "-prod.key_1"), ("", "key"), ("///", "key"), ("   ", "key"),
        (String(repeating: "a", count: 80), String(repeating: "a", count: 50)),
    ])
    func makesAliasesThatAreUniqueForEver(name: String, expected: String) throws {
        let id = try #require(UUID(uuidString: "A0000000-0000-4000-8000-0000000000FF"))
        #expect(APIKeyAlias.make(name: name, id: id) == "\(expected)_a0000000-0000-4000-8000-0000000000ff")
        #expect(APIKeyAlias.make(name: nil, id: id) == "key_a0000000-0000-4000-8000-0000000000ff")
    }

    @Test func lateArrivalsEndAfterTheGrace() {
        let now = Date(timeIntervalSince1970: 1000)
        let none = CreateWindow(deadline: nil, now: now)
        #expect(none.lateArrivals(grace: .seconds(600)) == nil)
        let past = CreateWindow(deadline: now - 601, now: now)
        #expect(past.lateArrivals(grace: .seconds(600)) == nil)
        let recent = CreateWindow(deadline: now - 599, now: now)
        #expect(recent.lateArrivals(grace: .seconds(600)) == now + 1)
    }
}
