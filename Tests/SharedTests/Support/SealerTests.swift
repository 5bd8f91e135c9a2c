import Foundation
import Shared
import Testing

@Suite struct SealerTests {
    static let first = "a:" + Data(repeating: 1, count: 32).base64EncodedString()
    static let second = "b:" + Data(repeating: 2, count: 32).base64EncodedString()

    @Test func opensWhatItSealed() throws {
        let sealer = try Sealer(keys: Secret(Self.first))
        let sealed = try sealer.seal(Secret("sk-välue"), purpose: "api_key", rowId: "7")
        #expect(try sealer.open(sealed, purpose: "api_key", rowId: "7").reveal() == "sk-välue")
        #expect(String(bytes: sealed, encoding: .utf8)?.contains("välue") != true)
        #expect(try Sealer.keyId(of: sealed) == "a")
    }

    @Test func sealsDifferentlyEachTime() throws {
        let sealer = try Sealer(keys: Secret(Self.first))
        let sealed = try (0..<2).map { _ in try sealer.seal(Secret("x"), purpose: "p", rowId: "1") }
        #expect(sealed[0] != sealed[1])
    }

    @Test func firstKeySealsAndAllOpen() throws {
        let old = try Sealer(keys: Secret(Self.first))
        let rotated = try Sealer(keys: Secret("\(Self.second), \(Self.first)"))
        let sealed = try old.seal(Secret("x"), purpose: "p", rowId: "1")
        #expect(rotated.sealingKeyId == "b")
        #expect(try rotated.open(sealed, purpose: "p", rowId: "1").reveal() == "x")
        #expect(try Sealer.keyId(of: rotated.seal(Secret("x"), purpose: "p", rowId: "1")) == "b")
    }

    @Test func namesTheMissingKey() throws {
        let sealed = try Sealer(keys: Secret(Self.first)).seal(Secret("x"), purpose: "p", rowId: "1")
        let other = try Sealer(keys: Secret(Self.second))
        let error = #expect(throws: SealerError.self) { try other.open(sealed, purpose: "p", rowId: "1") }
        #expect(error?.code == .missingKey)
        #expect(error?.keyId == "a")
        #expect(error?.description == "key id 'a' is not in SECRETS_KEYS")
    }

    @Test(arguments: [("other", "1"), ("p", "2")])
    func refusesAnotherRowOrPurpose(purpose: String, rowId: String) throws {
        let sealer = try Sealer(keys: Secret(Self.first))
        let sealed = try sealer.seal(Secret("x"), purpose: "p", rowId: "1")
        let error = #expect(throws: SealerError.self) { try sealer.open(sealed, purpose: purpose, rowId: rowId) }
        #expect(error?.code == .notAuthentic)
    }

    @Test func refusesEveryChangedByte() throws {
        let sealer = try Sealer(keys: Secret(Self.first))
        let sealed = try sealer.seal(Secret("secret"), purpose: "p", rowId: "1")
        for index in sealed.indices {
            var changed = sealed
            changed[index] ^= 1
            #expect(throws: SealerError.self) { try sealer.open(changed, purpose: "p", rowId: "1") }
        }
        for length in sealed.indices {
            #expect(throws: SealerError.self) { try sealer.open(Array(sealed[..<length]), purpose: "p", rowId: "1") }
        }
    }

    @Test(arguments: [
        ("", "no key"),
        ("QUJD", "entry 1 is not of the form"),
        ("a:QUJD", "has 3 bytes instead of 32"),
        ("a:?????", "not base64"),
        ("a b:QUJD", "id of entry 1"),
        ("\(first),\(first)", "'a' is there twice"),
    ])
    func namesWhatIsWrongWithTheList(list: String, part: String) throws {
        let error = #expect(throws: SealerError.self) { try Sealer(keys: Secret(list)) }
        #expect(error?.code == .badKeyList)
        #expect(error?.message.contains(part) == true)
        #expect(error?.message.contains("QUJD") == false)
    }
}
