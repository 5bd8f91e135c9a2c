import Shared
import Testing

@Suite struct HashingTests {
    @Test func knownDigests() {
        #expect(sha256Hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
        #expect(sha256Hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
        #expect(sha256Hex([0x61, 0x62, 0x63]) == sha256Hex("abc"))
    }

    @Test func hexIsLowerCase() {
        #expect(hexString([0x00, 0x0f, 0xab, 0xff]) == "000fabff")
    }

    @Test func constantTimeComparison() {
        #expect(constantTimeEqual("token", "token"))
        #expect(!constantTimeEqual("token", "tokem"))
        #expect(!constantTimeEqual("token", "token "))
        #expect(!constantTimeEqual("", "x"))
    }
}
